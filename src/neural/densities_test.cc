// Every density and bound: gradients against central differences in double, tails in float, tables against densities.
#include <gtest/gtest.h>

#include <cmath>

#include "neural/bounds.h"
#include "neural/deep_factorized.h"
#include "neural/gaussian.h"
#include "neural/gradient_check_test.h"
#include "neural/hyper_tables.h"

namespace sluice {
namespace {

torch::Tensor Column(std::initializer_list<double> values) {
  return torch::tensor(std::vector<double>(values), torch::kDouble);
}

DeepFactorized RandomDensity(int64_t channels, double scale) {
  torch::manual_seed(11);
  DeepFactorized density(channels, scale);
  torch::NoGradGuard no_grad;
  for (auto& item : density->named_parameters()) {
    if (item.key().rfind("factor", 0) == 0) item.value().uniform_(-1.0, 1.0);
  }
  return density;
}

// ---- bounds

TEST(BoundsTest, CostsNoMoreGradientThanItsLimit) {
  const auto v = torch::tensor({1.0, 2.0, 3.0, 4.0, 5.0}, torch::kDouble).set_requires_grad(true);
  const auto limited = LimitGradient(v, 100);
  EXPECT_TRUE(torch::equal(limited, v));
  (limited * torch::tensor({7.0, -1e30, double{INFINITY}, double{NAN}, 100.0}, torch::kDouble)).sum().backward();
  EXPECT_TRUE(torch::equal(v.grad(), torch::tensor({7.0, -100.0, 100.0, 0.0, 100.0}, torch::kDouble)));
}

TEST(BoundsTest, MatchesTheMaximum) {
  const auto v = Column({-2, 0.1, 0.11, 0.12, 7});
  EXPECT_TRUE(torch::equal(LowerBound(v, 0.11), Column({0.11, 0.11, 0.11, 0.12, 7})));
}

TEST(BoundsTest, DifferentiatesAboveTheBound) {
  auto v = Column({0.2, 0.5, 3.0});
  CheckGradients([&] { return LowerBound(v, 0.11).square(); }, {v});
}

TEST(BoundsTest, DifferentiatesBelowTheBoundOnlyUpwards) {
  auto v = Column({0.0, 0.0, 0.11, 0.5});
  v.requires_grad_(true);
  // Descent subtracts: a negative gradient raises v and passes, a positive one would lower it and stops.
  (LowerBound(v, 0.11) * Column({-3, 3, 3, 3})).sum().backward();
  EXPECT_TRUE(torch::equal(v.grad(), Column({-3, 0, 3, 3})));
}

TEST(BoundsTest, DifferentiatesRoundingAsTheIdentity) {
  auto v = Column({-1.5, -0.2, 0.5, 0.6, 2.5, 1e6 + 0.3});
  v.requires_grad_(true);
  const auto rounded = RoundStraightThrough(v);
  EXPECT_TRUE(torch::equal(rounded, Column({-2, 0, 0, 1, 2, 1e6})));
  (rounded * Column({1, 2, 3, 4, 5, 6})).sum().backward();
  EXPECT_TRUE(torch::equal(v.grad(), Column({1, 2, 3, 4, 5, 6})));
}

TEST(BoundsTest, MatchesRoundExactlyInFloat) {
  torch::manual_seed(1);
  const auto v = torch::cat({torch::randn({5000}), torch::randn({5000}) * 100, torch::randn({5000}) * 1e6});
  EXPECT_TRUE(torch::equal(RoundStraightThrough(v), torch::round(v)));
}

// ---- deep factorized density of z

TEST(DeepFactorizedTest, CostsOneHundredAndEighteenParametersAChannel) {
  int64_t count = 0;
  for (const auto& parameter : DeepFactorized(24)->parameters()) count += parameter.numel();
  EXPECT_EQ(count, 118 * 24);
}

TEST(DeepFactorizedTest, DifferentiatesInParametersAndInput) {
  auto density = RandomDensity(2, 3.0);
  density->to(torch::kDouble);
  auto z = torch::tensor({{-6.3, 0.2}, {-1.0, 1.1}, {0.4, 9.7}, {3.3, -2.6}}, torch::kDouble);
  std::vector<torch::Tensor> inputs = density->parameters();
  inputs.push_back(z);
  CheckGradients([&] { return Bits(density->Likelihood(z)); }, inputs);
}

TEST(DeepFactorizedTest, MatchesOneSummedOverTheIntegers) {
  auto density = RandomDensity(5, 10.0);
  density->to(torch::kDouble);
  torch::NoGradGuard no_grad;
  const auto z = torch::arange(-3000, 3001, torch::kDouble).unsqueeze(1).expand({-1, 5});
  const auto sums = density->Likelihood(z).sum(0);
  // 6001 symbols are floored at 1e-9 each.
  EXPECT_LT((sums - 1).abs().max().item<double>(), 7e-6) << sums;
  EXPECT_GE(density->Likelihood(z).min().item<double>(), 1e-9);
  EXPECT_EQ(density->Likelihood(torch::full({1, 5}, 1e5, torch::kDouble)).max().item<double>(), 1e-9);
}

TEST(DeepFactorizedTest, MatchesDoubleInBothTailsOfFloat) {
  auto density = RandomDensity(4, 2.0);
  torch::NoGradGuard no_grad;
  const auto z = torch::arange(-60, 61, torch::kFloat32).unsqueeze(1).expand({-1, 4});
  const auto single = density->Likelihood(z).to(torch::kDouble);
  density->to(torch::kDouble);
  const auto exact = density->Likelihood(z.to(torch::kDouble));
  const auto error = ((single - exact) / exact).abs();
  EXPECT_LT(error.max().item<double>(), 1e-3);
  EXPECT_GT((exact < 1e-7).sum().item<int64_t>(), 40) << "no tail was reached";
}

TEST(DeepFactorizedTest, RegressesTheCentreOfASymmetricDensity) {
  // Logits at -1/2 and +1/2 that sum to exactly 0 have no sign; the probability there is the largest of all.
  DeepFactorized density(1, 4.0);
  torch::NoGradGuard no_grad;
  for (auto& item : density->named_parameters()) {
    if (item.key().rfind("bias", 0) == 0) item.value().zero_();
  }
  const auto p = density->Likelihood(torch::tensor({{-1.0f}, {0.0f}, {1.0f}}));
  EXPECT_GT(p[1].item<float>(), p[0].item<float>());
  EXPECT_EQ(p[0].item<float>(), p[2].item<float>());
  const auto logit = density->CumulativeLogits(torch::full({1, 1, 1}, 0.5));
  EXPECT_NEAR(p[1].item<float>(), std::tanh(logit.item<float>() / 2), 1e-6);
}

// ---- Gaussian density of y

TEST(GaussianTest, DifferentiatesInDistanceAndDeviation) {
  auto s = Column({-7.2, -3.0, -1.0, -0.3, 0.2, 1.0, 2.5, 6.0, 20.0});
  auto sigma = Column({1.9, 0.7, 0.4, 0.11, 0.3, 1.0, 5.0, 1.5, 9.0});
  CheckGradients([&] { return Bits(GaussianLikelihood(s, sigma)); }, {s, sigma}, 1e-5);
}

TEST(GaussianTest, DifferentiatesThroughTheFloorTowardsMoreProbability) {
  // 6.1 deviations away: below 1e-9, but the slope still says where to go.
  auto s = Column({6.6});
  auto sigma = Column({1.0});
  s.requires_grad_(true);
  sigma.requires_grad_(true);
  const auto bits = Bits(GaussianLikelihood(s, sigma));
  EXPECT_NEAR(bits.item<double>(), 29.897, 1e-3);
  bits.sum().backward();
  EXPECT_GT(s.grad().item<double>(), 0);
  EXPECT_LT(sigma.grad().item<double>(), 0);
}

TEST(GaussianTest, MatchesOneSummedOverTheIntegers) {
  const auto s = torch::arange(-400, 401, torch::kDouble);
  for (const double sigma : {0.11, 0.5, 1.0, 4.0, 40.0}) {
    for (const double mean : {0.0, 0.25, 0.5}) {
      const auto p = GaussianLikelihood(s - mean, torch::tensor(sigma, torch::kDouble));
      EXPECT_NEAR(p.sum().item<double>(), 1.0, 1e-6) << sigma << " " << mean;
      EXPECT_GE(p.min().item<double>(), 1e-9);
    }
  }
}

TEST(GaussianTest, MatchesLeftAndRightTailsInFloat) {
  const auto s = torch::arange(0, 400, torch::kFloat32);
  for (const float sigma : {0.11f, 0.3f, 1.0f, 3.0f, 16.0f, 64.0f}) {
    const auto scale = torch::tensor(sigma);
    const auto right = GaussianLikelihood(s, scale), left = GaussianLikelihood(-s, scale);
    EXPECT_TRUE(torch::equal(left, right)) << sigma;
    const auto exact =
        GaussianLikelihood(s.to(torch::kDouble), torch::tensor(static_cast<double>(sigma), torch::kDouble));
    EXPECT_LT(((right.to(torch::kDouble) - exact) / exact).abs().max().item<double>(), 1e-4) << sigma;
  }
}

// ---- integer tables of z

// The mean of the density over the cell, by sums over fine steps.
TEST(GaussianTest, MovesToTheCentroidOfACell) {
  const auto offsets = torch::linspace(-0.5, 0.5, 20001, torch::kDouble);
  for (const double sigma : {0.11, 0.4, 1.0, 3.0, 50.0}) {
    for (const double distance : {-2.5, -1.0, -0.25, 0.0, 0.5, 1.0, 2.0}) {
      const auto weights = torch::exp(((offsets + distance) / sigma).square() * -0.5);
      const double probability = GaussianLikelihood(Column({distance}), Column({sigma})).item<double>();
      const double expected = probability > 1e-6 ? ((offsets * weights).sum() / weights.sum()).item<double>()
                                                 : std::copysign(0.5, -distance);
      EXPECT_NEAR(CentroidShift(Column({distance}), Column({sigma})).item<double>(), expected, 1e-4)
          << "sigma " << sigma << " distance " << distance;
    }
  }
}

TEST(HyperTablesTest, MatchesTheDensityWithinThePrecision) {
  for (const double scale : {0.5, 4.0, 30.0}) {
    auto density = RandomDensity(3, scale);
    const auto tables = MakeHyperTables(*density, 14);
    ASSERT_TRUE(tables.ok()) << tables.status().ToString();
    ASSERT_EQ(tables->size(), 3u);
    torch::NoGradGuard no_grad;
    density->to(torch::kDouble);
    const auto z = torch::arange(-800, 801, torch::kDouble).unsqueeze(1).expand({-1, 3});
    const auto p = density->Likelihood(z).t().contiguous();
    for (size_t c = 0; c < 3; ++c) {
      double ideal = 0, real = 0;
      for (int64_t i = 0; i < p.size(1); ++i) {
        const double probability = p[static_cast<int64_t>(c)][i].item<double>();
        if (probability <= 1e-9) continue;
        ideal -= probability * std::log2(probability);
        real += probability * (*tables)[c].CostBits(i - 800);
      }
      EXPECT_LT(real - ideal, 0.01) << "scale " << scale << " channel " << c << ": " << ideal << " bits";
      EXPECT_GT(real - ideal, -1e-3);
    }
  }
}

TEST(HyperTablesTest, RoundTripsThroughATensor) {
  const auto tables = MakeHyperTables(*RandomDensity(4, 6.0), 12);
  ASSERT_TRUE(tables.ok());
  for (const StaticTable& table : *tables) {
    const auto again = TableFromTensor(TableToTensor(table), 12);
    ASSERT_TRUE(again.ok()) << again.status().ToString();
    EXPECT_EQ(*again, table);
  }
}

TEST(HyperTablesTest, RejectsDamagedTensors) {
  const auto tables = MakeHyperTables(*RandomDensity(1, 6.0), 12);
  ASSERT_TRUE(tables.ok());
  const auto good = TableToTensor(tables->front());
  const auto expect_corrupt = [](const torch::Tensor& tensor, const char* what) {
    const auto table = TableFromTensor(tensor, 12);
    ASSERT_FALSE(table.ok()) << what;
    EXPECT_EQ(table.status().code(), StatusCode::kCorrupt) << what;
  };
  expect_corrupt(good.reshape({1, -1}), "two dimensions");
  expect_corrupt(good.to(torch::kInt64), "another type");
  expect_corrupt(good.slice(0, 0, 1), "no frequency");
  expect_corrupt(good.slice(0, 0, good.size(0) - 1), "sum too small");
  auto zero = good.clone();
  zero[1] = 0;
  expect_corrupt(zero, "frequency 0");
  auto negative = good.clone();
  negative[1] = -5;
  expect_corrupt(negative, "negative frequency");
  auto edge = good.clone();
  edge[0] = std::numeric_limits<int32_t>::max();
  expect_corrupt(edge, "support beyond 32 bits");
}

TEST(HyperTablesTest, RejectsADensityThatHasDiverged) {
  auto density = RandomDensity(2, 6.0);
  {
    torch::NoGradGuard no_grad;
    density->named_parameters()["bias0"][1].fill_(std::nan(""));
  }
  const auto tables = MakeHyperTables(*density, 12);
  ASSERT_FALSE(tables.ok());
  EXPECT_EQ(tables.status().code(), StatusCode::kInternal);
  EXPECT_NE(tables.status().message().find("channel 1"), std::string::npos) << tables.status().message();
}

}  // namespace
}  // namespace sluice
