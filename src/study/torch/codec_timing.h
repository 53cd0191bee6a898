#ifndef SLUICE_STUDY_TORCH_CODEC_TIMING_H_
#define SLUICE_STUDY_TORCH_CODEC_TIMING_H_

#include <torch/torch.h>

#include <vector>

#include "base/status.h"
#include "study/rival_timing.h"
#include "study/torch/tensor_codec.h"

namespace sluice {

/// Time to code chunks of one length, the median of several passes over the same chunks.
struct ChunkTiming {
  int64_t tokens = 0;  ///< of a chunk
  double bits_per_token = 0;
  double encode_us = 0, decode_us = 0;  ///< a token
  std::vector<RivalTiming> rivals;      ///< in the same passes; none where the codec does not show its integers
};

/// Codes `hidden` in chunks of `tokens` tokens; where the codec takes fewer at once, a chunk is several rows of its
/// longest. Data: hidden [N, d], N at least `tokens`; ids int64 [N], for codecs whose two ends know them. Errors: the
/// codec's and the rivals'; InvalidArgument for too few tokens.
Result<ChunkTiming> TimeChunks(TensorCodec& codec, const torch::Tensor& hidden, const torch::Tensor& ids,
                               int64_t tokens);

}  // namespace sluice

#endif  // SLUICE_STUDY_TORCH_CODEC_TIMING_H_
