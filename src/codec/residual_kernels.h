#ifndef SLUICE_CODEC_RESIDUAL_KERNELS_H_
#define SLUICE_CODEC_RESIDUAL_KERNELS_H_

#include <cstdint>
#include <span>

#include "codec/chunk_model.h"
#include "rans/rans_decoder.h"
#include "rans/rans_stack.h"
#include "simd/rans_kernels.h"

namespace sluice {

/// A model's residual tables as the kernels want them: row i is table i, empty where the model has none.
RansKernelTables PackResidualTables(const ChunkModel& model);

/// Encodes elements before those that the stack holds. Data: `rows` and `symbols` have room for `count` +
/// kKernelSlack. Needs: every symbol is in its table.
void PrependSymbols(const RansKernelTables& tables, size_t count, const uint16_t* rows, const uint8_t* symbols,
                    RansStack& stack);

/// Decodes the next elements. Data: `rows` and `symbols` have room for `count` + kKernelSlack.
/// Needs: every row's table is there.
void TakeSymbols(const RansKernelTables& tables, size_t count, const uint16_t* rows, RansDecoder& decoder,
                 uint8_t* symbols);

}  // namespace sluice

#endif  // SLUICE_CODEC_RESIDUAL_KERNELS_H_
