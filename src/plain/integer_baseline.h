#ifndef SLUICE_PLAIN_INTEGER_BASELINE_H_
#define SLUICE_PLAIN_INTEGER_BASELINE_H_

#include <cstdint>
#include <string>

#include "base/status.h"
#include "base/view.h"
#include "plain/compressor.h"

namespace sluice {

/// Bytes that a general compressor needs for the latent integers y [T, d], as the paper feeds it: each token by itself
/// as int32, the compressed sizes added up.
Result<uint64_t> PaperPackingBytes(Compressor compressor, int level, MatrixView<const int32_t> y);

/// The same with the packing that serves the compressor best.
struct BestPacking {
  uint64_t bytes = 0;
  std::string packing;  ///< for example "int16, channel-major, byte planes"
};

/// Tries the whole matrix as int8 or int16 or int32 (the narrowest that holds it), token-major and channel-major,
/// elements whole and in byte planes. Errors: InvalidArgument when y is empty or larger than a compressor takes at
/// once.
Result<BestPacking> BestPackingBytes(Compressor compressor, int level, MatrixView<const int32_t> y);

}  // namespace sluice

#endif  // SLUICE_PLAIN_INTEGER_BASELINE_H_
