// What the parts that all blocks share do at the edges.
#include "neural/layers.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(WeightedNormTest, CostsNoGradientWhereARowIsSilent) {
  torch::manual_seed(1);
  auto u = torch::randn({3, 8});
  u[1].zero_();
  u.set_requires_grad(true);
  auto v = u;
  // Each norm alone multiplies the gradient of a row of zeros by 1 / sqrt(1e-5).
  for (int layer = 0; layer < 20; ++layer) v = v + WeightedNorm(v, torch::ones({8}));
  v.square().sum().backward();
  EXPECT_TRUE(torch::isfinite(u.grad()).all().item<bool>());
  EXPECT_GT(u.grad()[0].abs().sum().item<double>(), 0);
  EXPECT_EQ(v[1].abs().max().item<double>(), 0);
}

TEST(WeightedNormTest, MatchesItselfWithoutGradients) {
  torch::manual_seed(2);
  auto u = torch::randn({5, 8}) * torch::tensor({1.0, 1e-2, 1e-3, 1e-4, 0.0}).unsqueeze(1);
  const auto weight = torch::randn({8});
  const auto plain = WeightedNorm(u, weight);
  u.set_requires_grad(true);
  EXPECT_TRUE(torch::equal(WeightedNorm(u, weight), plain));
}

}  // namespace
}  // namespace sluice
