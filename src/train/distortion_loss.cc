#include "train/distortion_loss.h"

#include "backbone/lm_score.h"

namespace sluice {

torch::Tensor KlNats(const torch::Tensor& reference_logits, const torch::Tensor& logits) {
  const auto reference = torch::log_softmax(reference_logits, -1);
  return (torch::exp(reference) * (reference - torch::log_softmax(logits, -1))).sum(-1);
}

torch::Tensor DistortionLoss(Distortion kind, Backbone& backbone, int64_t cut, const torch::Tensor& tokens,
                             const torch::Tensor& hidden, const torch::Tensor& reconstruction,
                             const torch::Tensor& reference_logits) {
  if (kind == Distortion::kMse) return (reconstruction - hidden).square().mean();
  const auto logits = backbone.Tail(reconstruction, cut);
  if (kind == Distortion::kCrossEntropy) return NextTokenNats(logits, tokens).mean();
  return KlNats(reference_logits, logits).mean();
}

}  // namespace sluice
