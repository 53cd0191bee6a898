#ifndef SLUICE_BACKBONE_LM_SCORE_H_
#define SLUICE_BACKBONE_LM_SCORE_H_

#include <torch/torch.h>

namespace sluice {

/// Cross-entropy in nats of every next-token prediction; `.mean()` is the language-model loss. Differentiable.
/// Data: logits [B, T, V], tokens [B, T] int64 -> [B, T - 1].
torch::Tensor NextTokenNats(const torch::Tensor& logits, const torch::Tensor& tokens);

}  // namespace sluice

#endif  // SLUICE_BACKBONE_LM_SCORE_H_
