#ifndef SLUICE_CODEC_HIDDEN_FRAMES_H_
#define SLUICE_CODEC_HIDDEN_FRAMES_H_

#include <cstdint>

#include "base/status.h"
#include "format/hidden_file.h"

namespace sluice {

/// Tokens of each row in one frame when nothing else is asked for.
inline constexpr uint32_t kDefaultChunkTokens = 256;
/// Largest batch * tokens * width that is decoded into memory when nothing else is asked for: 4 GiB of floats.
inline constexpr uint64_t kDefaultMaxElements = uint64_t{1} << 30;

/// What was written or read.
struct HiddenStreamStats {
  uint64_t bytes = 0;  ///< the whole stream: headers and checksums included
  uint64_t tokens = 0;
  uint32_t width = 0;

  double BitsPerToken() const {
    return tokens == 0 ? 0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(tokens);
  }
};

/// Of a stream of `bytes` bytes that holds `hidden`.
HiddenStreamStats StatsOf(const HiddenStates& hidden, uint64_t bytes);

// A batch of hidden states is cut along its tokens: each frame holds the same tokens of all rows.

/// Tokens of each row for a frame: as many as were asked for, unless the batch is so wide that a frame cannot hold
/// them. Errors: InvalidArgument for a batch outside the stream's limits or a chunk of 0 tokens.
Result<uint64_t> FrameTokens(const HiddenStates& hidden, uint32_t chunk_tokens);

/// Tokens [begin, begin + count) of every row of the batch, rows one after the other.
Matrix<float> CutFrame(const HiddenStates& hidden, uint64_t begin, uint64_t count);

/// Inverse of CutFrame: puts a frame's rows where they belong. Needs: hidden has its shape, and room for them.
void PutFrame(const Matrix<float>& frame, uint64_t begin, HiddenStates& hidden);

}  // namespace sluice

#endif  // SLUICE_CODEC_HIDDEN_FRAMES_H_
