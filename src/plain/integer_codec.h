#ifndef SLUICE_PLAIN_INTEGER_CODEC_H_
#define SLUICE_PLAIN_INTEGER_CODEC_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/view.h"
#include "plain/compressor.h"

namespace sluice {

/// Encoded integers as the messages that carry them. Where a method sends each token by itself a message is a token.
/// Whatever moves messages tells them apart, so their boundaries are not counted, as the paper does not count them.
struct IntegerMessages {
  std::vector<std::vector<uint8_t>> parts;

  uint64_t bytes() const;
};

/// A lossless coder of latent integers y [T, d]: what a learned entropy model has to beat. The decoder knows T and d.
/// Threads: one at a time.
class IntegerCodec {
 public:
  virtual ~IntegerCodec() = default;

  /// "zstd:19" or "static"; `packing` adds how the integers are laid out, for example "int8, channel-major".
  virtual std::string name() const = 0;
  virtual std::string packing() const = 0;

  /// Settles what the codec chooses by looking at the data (the best packing), so that a clock around Encode measures
  /// coding alone. Encode does it itself where that was not done.
  virtual Status Prepare(MatrixView<const int32_t> y);

  /// Errors: InvalidArgument when y is empty or larger than the codec takes at once.
  virtual Result<IntegerMessages> Encode(MatrixView<const int32_t> y) = 0;

  /// Errors: Truncated or Corrupt for messages that are not those of such a chunk.
  virtual Result<Matrix<int32_t>> Decode(const IntegerMessages& messages, size_t tokens, size_t width) = 0;
};

/// The paper's way to use a general compressor: each token by itself, as int32. Errors: InvalidArgument for the level.
Result<std::unique_ptr<IntegerCodec>> MakePaperPackingCodec(Compressor compressor, int level);

/// What a fair user would do: the whole chunk at once, in the packing that serves the compressor best: int8, int16 or
/// int32 (the narrowest that holds all values), token-major or channel-major, wider elements whole, in byte planes, or
/// in byte planes of zigzag numbers. Data: one byte that names the packing, then the compressed chunk.
/// Errors: InvalidArgument for the level.
Result<std::unique_ptr<IntegerCodec>> MakeBestPackingCodec(Compressor compressor, int level);

}  // namespace sluice

#endif  // SLUICE_PLAIN_INTEGER_CODEC_H_
