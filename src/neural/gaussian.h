#ifndef SLUICE_NEURAL_GAUSSIAN_H_
#define SLUICE_NEURAL_GAUSSIAN_H_

#include <torch/torch.h>

namespace sluice {

/// Probability of a symbol at distance `s` from its mean under a Gaussian integrated over the unit bin:
/// Phi((s + 1/2) / sigma) - Phi((s - 1/2) / sigma), at least 1e-9 (29.9 bits).
/// Data: s, sigma broadcastable; sigma > 0. Differentiable in both. Source: docs/codec.md, "Density of y".
torch::Tensor GaussianLikelihood(const torch::Tensor& s, const torch::Tensor& sigma);

/// How far the centroid of a unit cell under the Gaussian lies from the cell's middle, which is `distance` from the
/// mean. Without a gradient. Data: broadcastable, sigma > 0 -> within +-1/2, towards the mean. Source: docs/codec.md.
torch::Tensor CentroidShift(const torch::Tensor& distance, const torch::Tensor& sigma);

/// -log2 of a probability.
torch::Tensor Bits(const torch::Tensor& probability);

}  // namespace sluice

#endif  // SLUICE_NEURAL_GAUSSIAN_H_
