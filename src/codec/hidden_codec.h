#ifndef SLUICE_CODEC_HIDDEN_CODEC_H_
#define SLUICE_CODEC_HIDDEN_CODEC_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/view.h"

namespace sluice {

/// Turns a chunk of hidden states into a payload and back, with nothing kept between chunks.
/// Threads: const access from any number of threads.
class HiddenCodec {
 public:
  virtual ~HiddenCodec() = default;

  /// The specification that makes this codec again, for example "zstd:3".
  virtual std::string name() const = 0;

  /// Data: hidden [T, d], T and d at least 1. Errors: InvalidArgument for a value that the codec cannot carry (NaN and
  /// infinity for all but the raw ones), naming token and channel.
  virtual Result<std::vector<uint8_t>> Encode(MatrixView<const float> hidden) const = 0;

  /// Whether a payload of this size and head can be one of [tokens, width], found out without memory for the values.
  /// Errors: as Decode.
  virtual Status CheckPayload(std::span<const uint8_t> payload, size_t tokens, size_t width) const = 0;

  /// Gives [tokens, width]; the caller has bounded tokens * width (kMaxFrameElements). Errors: Truncated or Corrupt for
  /// a payload that is not one of such a chunk; never reads or allocates beyond what tokens * width explains.
  virtual Result<Matrix<float>> Decode(std::span<const uint8_t> payload, size_t tokens, size_t width) const = 0;
};

/// Refuses NaN and infinity. Errors: InvalidArgument, naming the first such token and channel.
Status CheckFinite(MatrixView<const float> hidden);

}  // namespace sluice

#endif  // SLUICE_CODEC_HIDDEN_CODEC_H_
