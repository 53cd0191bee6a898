// The Gaussian is even in s, so the difference of the two cumulative values is taken in the left tail (-|s|), where
// both are small and nothing cancels.
#include "neural/gaussian.h"

#include <cmath>
#include <numbers>

#include "neural/bounds.h"

namespace sluice {
namespace {

constexpr double kProbabilityFloor = 1e-9;

torch::Tensor NormalCumulative(const torch::Tensor& v) { return 0.5 * torch::erfc(v * (-1.0 / std::sqrt(2.0))); }

torch::Tensor NormalDensity(const torch::Tensor& v) {
  return torch::exp(v.square() * -0.5) * (0.5 * std::numbers::inv_sqrtpi * std::numbers::sqrt2);
}

}  // namespace

torch::Tensor GaussianLikelihood(const torch::Tensor& s, const torch::Tensor& sigma) {
  const auto distance = torch::abs(s);
  const auto inverse = torch::reciprocal(sigma);
  const auto upper = NormalCumulative((0.5 - distance) * inverse);
  const auto lower = NormalCumulative((-0.5 - distance) * inverse);
  return LowerBound(upper - lower, kProbabilityFloor);
}

torch::Tensor CentroidShift(const torch::Tensor& distance, const torch::Tensor& sigma) {
  constexpr double kTail = 1e-6;  // beyond, the quotient is noise
  torch::NoGradGuard no_grad;
  const auto inverse = torch::reciprocal(sigma);
  const auto low = (distance - 0.5) * inverse, high = (distance + 0.5) * inverse;
  const auto probability = GaussianLikelihood(distance, sigma);
  const auto shift = sigma * (NormalDensity(low) - NormalDensity(high)) / probability - distance;
  return torch::where(probability > kTail, shift, -torch::sign(distance) * 0.5).clamp(-0.5, 0.5);
}

torch::Tensor Bits(const torch::Tensor& probability) { return torch::log2(probability).neg(); }

}  // namespace sluice
