#include "neural/layers.h"

#include <cmath>
#include <limits>

namespace sluice {
namespace {

constexpr double kNormEpsilon = 1e-5;

}  // namespace

torch::Tensor WeightedNorm(const torch::Tensor& u, const torch::Tensor& weight) {
  return torch::layer_norm(u, {u.size(-1)}, weight, {}, kNormEpsilon);
}

torch::nn::Linear NoBias(int64_t in, int64_t out, double gain) {
  torch::nn::Linear linear(torch::nn::LinearOptions(in, out).bias(false));
  torch::nn::init::normal_(linear->weight, 0.0, gain / std::sqrt(static_cast<double>(in)));
  return linear;
}

torch::Tensor CausalMask(int64_t tokens, int64_t window, bool strict, const torch::TensorOptions& options) {
  const auto forbidden = torch::full({tokens, tokens}, -std::numeric_limits<float>::infinity(), options);
  auto mask = forbidden.triu(strict ? 0 : 1);
  if (window > 0) mask = mask + forbidden.tril(strict ? -window - 1 : -window);
  if (strict) mask[0][0] = 0;
  return mask;
}

torch::Tensor Attend(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v, int64_t heads,
                     const torch::Tensor& mask) {
  const int64_t batch = q.size(0), width = q.size(2), head_dim = width / heads;
  const auto split = [&](const torch::Tensor& x) {
    return x.reshape({batch, x.size(1), heads, head_dim}).transpose(1, 2).reshape({batch * heads, x.size(1), head_dim});
  };
  const double scale = 1.0 / std::sqrt(static_cast<double>(head_dim));
  const auto keys = split(k).transpose(1, 2);
  const auto scores =
      mask.defined() ? torch::baddbmm(mask, split(q), keys, 1.0, scale) : torch::bmm(split(q), keys) * scale;
  const auto mixed = torch::bmm(torch::softmax(scores, -1), split(v)).reshape({batch, heads, q.size(1), head_dim});
  return mixed.transpose(1, 2).reshape({batch, q.size(1), width});
}

}  // namespace sluice
