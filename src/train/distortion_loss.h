#ifndef SLUICE_TRAIN_DISTORTION_LOSS_H_
#define SLUICE_TRAIN_DISTORTION_LOSS_H_

#include <torch/torch.h>

#include "backbone/backbone.h"
#include "train/codec_training.h"

namespace sluice {

/// KL divergence in nats a position from the reference to the distribution of `logits`.
/// Data: both [B, T, V] -> [B, T]. Differentiable in `logits`.
torch::Tensor KlNats(const torch::Tensor& reference_logits, const torch::Tensor& logits);

/// D of the objective for one batch. Data: tokens [B, T]; hidden and reconstruction [B, T, d] entering layer `cut`;
/// `reference_logits` [B, T, V], for KL only.
torch::Tensor DistortionLoss(Distortion kind, Backbone& backbone, int64_t cut, const torch::Tensor& tokens,
                             const torch::Tensor& hidden, const torch::Tensor& reconstruction,
                             const torch::Tensor& reference_logits);

}  // namespace sluice

#endif  // SLUICE_TRAIN_DISTORTION_LOSS_H_
