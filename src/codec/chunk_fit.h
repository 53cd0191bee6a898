#ifndef SLUICE_CODEC_CHUNK_FIT_H_
#define SLUICE_CODEC_CHUNK_FIT_H_

#include <cstdint>
#include <vector>

#include "base/view.h"
#include "codec/chunk_model.h"

namespace sluice {

/// A chunk's model without its tables, and what was chosen for each row.
struct ChunkFit {
  ChunkModel model;
  std::vector<int64_t> reference;  ///< an earlier row, or -1
  std::vector<uint8_t> row_class;  ///< 0 exactly where there is no reference
};

/// Fits centers, spreads, references and classes. Data: values [T, d]; NaN stands for an element that is kept as it is.
ChunkFit FitChunk(MatrixView<const float> values);

}  // namespace sluice

#endif  // SLUICE_CODEC_CHUNK_FIT_H_
