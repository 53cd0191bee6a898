#include "neural/state_classes.h"

#include <cmath>

#include "simd/float_kernels.h"

namespace sluice {

torch::Tensor FitClasses(const torch::Tensor& points, int64_t classes, int rounds) {
  torch::NoGradGuard no_grad;
  const int64_t n = points.size(0);
  auto means = points.index_select(0, torch::randint(n, {classes}));
  for (int round = 0; round < rounds; ++round) {
    const auto nearest = NearestClass(points, means);
    const auto sums = torch::zeros_like(means).index_add_(0, nearest, points);
    const auto counts = torch::zeros({classes}).index_add_(0, nearest, torch::ones({n})).unsqueeze(1);
    const auto anywhere = points.index_select(0, torch::randint(n, {classes}));
    means = torch::where(counts > 0, sums / counts.clamp_min(1), anywhere);
  }
  return means;
}

// A block of points at a time: the products of all points at once would not fit a cache, or a memory.
torch::Tensor NearestClass(const torch::Tensor& points, const torch::Tensor& means) {
  constexpr int64_t kBlock = 128;
  const int64_t classes = means.size(0);
  const auto squares = means.square().sum(1).contiguous();
  const auto nearest = torch::empty({points.size(0)}, torch::kInt64);
  for (int64_t from = 0; from < points.size(0); from += kBlock) {
    const auto products = torch::matmul(points.slice(0, from, from + kBlock), means.t()).contiguous();
    for (int64_t i = 0; i < products.size(0); ++i) {
      nearest.data_ptr<int64_t>()[from + i] = static_cast<int64_t>(BestFloatKernels().nearest(
          products.data_ptr<float>() + i * classes, squares.data_ptr<float>(), static_cast<size_t>(classes)));
    }
  }
  return nearest;
}

torch::Tensor GroupClasses(torch::Tensor& means, int64_t groups, int rounds) {
  torch::NoGradGuard no_grad;
  const auto centers = FitClasses(means, groups, rounds);
  auto distance = torch::cdist(means, centers);
  auto group = distance.argmin(1);
  // The nearest of the others comes to a group that has fewer than two.
  for (int64_t g = 0; g < groups; ++g) {
    while ((group == g).sum().item<int64_t>() < 2) {
      const auto counts = torch::bincount(group, {}, groups);
      const auto free = counts.index_select(0, group) > 2;
      const auto nearest = distance.select(1, g).masked_fill((group == g).logical_or(free.logical_not()), HUGE_VAL);
      group[nearest.argmin().item<int64_t>()] = g;
    }
  }
  means = means.index_select(0, torch::argsort(group));
  return torch::bincount(group, {}, groups);
}

}  // namespace sluice
