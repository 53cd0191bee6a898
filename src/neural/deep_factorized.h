#ifndef SLUICE_NEURAL_DEEP_FACTORIZED_H_
#define SLUICE_NEURAL_DEEP_FACTORIZED_H_

#include <torch/torch.h>

#include <vector>

#include "neural/hyper_density.h"

namespace sluice {

/// The learned density of the hyper-prior: one cumulative distribution per channel, a chain of monotone layers.
///
/// c(v) = sigmoid(f_9 ... f_1(v)), f_i(v) = softplus(H_i) v + b_i followed by v + tanh(a_i) tanh(v) on all but the
/// last, hidden width 3: 118 parameters a channel. P(z) = c(z + 1/2) - c(z - 1/2). Source: docs/codec.md, "Density of
/// z"; arXiv 2601.22002; Ballé et al., arXiv 1802.01436, appendix 6.1.
class DeepFactorizedImpl : public HyperDensityImpl {
 public:
  /// `init_scale`: the density starts about this wide.
  explicit DeepFactorizedImpl(int64_t channels, double init_scale = 10.0);

  /// Probability of integer symbols, at least kProbabilityFloor.
  /// Data: z [..., channels] -> the same shape.
  torch::Tensor Likelihood(const torch::Tensor& z);

  /// Logit of the cumulative distribution. Data: v [channels, 1, n] -> [channels, 1, n]. Increasing in v.
  torch::Tensor CumulativeLogits(const torch::Tensor& v);

  torch::Tensor Bits(const torch::Tensor& z) override;

  static constexpr double kProbabilityFloor = 1e-9;

 private:
  std::vector<torch::Tensor> matrices_;
  std::vector<torch::Tensor> biases_;
  std::vector<torch::Tensor> factors_;
};
TORCH_MODULE(DeepFactorized);

}  // namespace sluice

#endif  // SLUICE_NEURAL_DEEP_FACTORIZED_H_
