// A cumulative distribution is any increasing function from 0 to 1. Each layer is increasing by construction: positive
// matrices (softplus) and v + tanh(a) tanh(v), whose slope stays positive because |tanh(a)| < 1.
//
// P(z) is a difference of two sigmoids. In the right tail both are close to 1 and the difference cancels in float32, so
// both logits are reflected to the left tail first (the sign trick): sigmoid(-u) - sigmoid(-l) has the same magnitude.
#include "neural/deep_factorized.h"

#include <cmath>
#include <string>

#include "neural/bounds.h"
#include "neural/gaussian.h"

namespace sluice {
namespace {

constexpr int kLayers = 9;
constexpr int64_t kHidden = 3;

}  // namespace

DeepFactorizedImpl::DeepFactorizedImpl(int64_t channels, double init_scale) : HyperDensityImpl(channels) {
  const double layer_scale = std::pow(init_scale, 1.0 / kLayers);
  for (int i = 0; i < kLayers; ++i) {
    const int64_t in = i == 0 ? 1 : kHidden;
    const int64_t out = i == kLayers - 1 ? 1 : kHidden;
    const double value = std::log(std::expm1(1.0 / layer_scale / static_cast<double>(out)));
    const std::string suffix = std::to_string(i);
    matrices_.push_back(register_parameter("matrix" + suffix, torch::full({channels, out, in}, value)));
    biases_.push_back(register_parameter("bias" + suffix, torch::rand({channels, out, 1}) - 0.5));
    if (i < kLayers - 1) {
      factors_.push_back(register_parameter("factor" + suffix, torch::zeros({channels, out, 1})));
    }
  }
}

torch::Tensor DeepFactorizedImpl::CumulativeLogits(const torch::Tensor& v) {
  torch::Tensor u = v;
  for (int i = 0; i < kLayers; ++i) {
    u = torch::matmul(torch::softplus(matrices_[i]), u) + biases_[i];
    if (i < kLayers - 1) u = u + torch::tanh(factors_[i]) * torch::tanh(u);
  }
  return u;
}

torch::Tensor DeepFactorizedImpl::Likelihood(const torch::Tensor& z) {
  const auto by_channel = z.reshape({-1, channels()}).t().reshape({channels(), 1, -1});
  const auto lower = CumulativeLogits(by_channel - 0.5);
  const auto upper = CumulativeLogits(by_channel + 0.5);
  // Not sign(): at the centre of a symmetric density the logits sum to exactly 0, and 0 would erase both.
  const auto sign = torch::where(lower + upper > 0, -torch::ones_like(lower), torch::ones_like(lower)).detach();
  const auto probability = torch::abs(torch::sigmoid(sign * upper) - torch::sigmoid(sign * lower));
  return LowerBound(probability, kProbabilityFloor).reshape({channels(), -1}).t().reshape(z.sizes());
}

torch::Tensor DeepFactorizedImpl::Bits(const torch::Tensor& z) { return sluice::Bits(Likelihood(z)); }

}  // namespace sluice
