// One copy of a chunk each way lets every codec see plain matrices, whatever the batch.
#include "codec/hidden_frames.h"

#include <fmt/format.h>

#include <algorithm>

#include "format/stream.h"

namespace sluice {

HiddenStreamStats StatsOf(const HiddenStates& hidden, uint64_t bytes) {
  return {bytes, hidden.batch * hidden.tokens, static_cast<uint32_t>(hidden.values.cols())};
}

Result<uint64_t> FrameTokens(const HiddenStates& hidden, uint32_t chunk_tokens) {
  if (hidden.batch == 0 || hidden.batch > kMaxFrameBatch) {
    return InvalidArgument(fmt::format("a batch of {} rows, expected 1 to {}", hidden.batch, kMaxFrameBatch));
  }
  if (chunk_tokens == 0) return InvalidArgument("a chunk of 0 tokens");
  const uint64_t most = std::min(kMaxFrameTokens, kMaxFrameElements / hidden.values.cols()) / hidden.batch;
  return std::clamp<uint64_t>(chunk_tokens, 1, std::max<uint64_t>(most, 1));
}

Matrix<float> CutFrame(const HiddenStates& hidden, uint64_t begin, uint64_t count) {
  Matrix<float> frame(hidden.batch * count, hidden.values.cols());
  for (uint64_t b = 0; b < hidden.batch; ++b) {
    const auto rows = hidden.values.View().Rows(b * hidden.tokens + begin, b * hidden.tokens + begin + count);
    std::copy(rows.all().begin(), rows.all().end(), frame.row(b * count).data());
  }
  return frame;
}

void PutFrame(const Matrix<float>& frame, uint64_t begin, HiddenStates& hidden) {
  const size_t count = frame.rows() / hidden.batch;
  for (uint64_t b = 0; b < hidden.batch; ++b) {
    const auto rows = frame.View().Rows(b * count, (b + 1) * count);
    std::copy(rows.all().begin(), rows.all().end(), hidden.values.row(b * hidden.tokens + begin).data());
  }
}

}  // namespace sluice
