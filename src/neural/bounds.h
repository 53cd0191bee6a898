#ifndef SLUICE_NEURAL_BOUNDS_H_
#define SLUICE_NEURAL_BOUNDS_H_

#include <torch/torch.h>

namespace sluice {

/// max(v, bound) whose gradient passes where v >= bound or where following it would raise v. Without the second rule a
/// value below the bound could never come back.
/// Data: any shape and float type. Source: docs/codec.md, "Bounds"; arXiv 2601.22002.
torch::Tensor LowerBound(const torch::Tensor& v, double bound);

/// v itself, whose gradient's elements are cut to [-bound, bound], and are 0 where they are not a number.
torch::Tensor LimitGradient(const torch::Tensor& v, double bound);

/// Nearest integer (ties to even) with the gradient of the identity: the straight-through estimator.
torch::Tensor RoundStraightThrough(const torch::Tensor& v);

}  // namespace sluice

#endif  // SLUICE_NEURAL_BOUNDS_H_
