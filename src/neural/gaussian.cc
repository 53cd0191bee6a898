// The Gaussian is even in s, so the difference of the two cumulative values is taken in the left tail (-|s|), where
// both are small and nothing cancels.
#include "neural/gaussian.h"

#include <cmath>

#include "neural/bounds.h"

namespace sluice {
namespace {

constexpr double kProbabilityFloor = 1e-9;

torch::Tensor NormalCumulative(const torch::Tensor& v) { return 0.5 * torch::erfc(v * (-1.0 / std::sqrt(2.0))); }

}  // namespace

torch::Tensor GaussianLikelihood(const torch::Tensor& s, const torch::Tensor& sigma) {
  const auto distance = torch::abs(s);
  const auto inverse = torch::reciprocal(sigma);
  const auto upper = NormalCumulative((0.5 - distance) * inverse);
  const auto lower = NormalCumulative((-0.5 - distance) * inverse);
  return LowerBound(upper - lower, kProbabilityFloor);
}

torch::Tensor Bits(const torch::Tensor& probability) { return torch::log2(probability).neg(); }

}  // namespace sluice
