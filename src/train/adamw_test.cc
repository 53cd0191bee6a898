#include "train/adamw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "train/batches.h"

namespace sluice {
namespace {

// ---- optimizer

// One number of the update as the paper's algorithm 2 writes it.
struct Scalar {
  double value, m = 0, v = 0;
  void Step(int t, double gradient, double rate, double decay) {
    m = 0.8 * m + 0.2 * gradient;
    v = 0.9 * v + 0.1 * gradient * gradient;
    const double m_hat = m / (1 - std::pow(0.8, t)), v_hat = v / (1 - std::pow(0.9, t));
    value = value - rate * (m_hat / (std::sqrt(v_hat) + 1e-6) + decay * value);
  }
};

TEST(AdamWTest, MatchesTheUpdateWrittenOut) {
  auto matrix = torch::tensor({{1.0, -2.0}, {0.5, 3.0}}, torch::kDouble).requires_grad_(true);
  auto vector = torch::tensor({4.0, -1.0}, torch::kDouble).requires_grad_(true);
  auto kept = torch::tensor({{2.0}}, torch::kDouble).requires_grad_(true);
  AdamW optimizer({{.parameters = {{"matrix", matrix}, {"vector", vector}}},
                   {.parameters = {{"kept", kept}}, .rate_scale = 0.25, .decay = false}},
                  {.beta1 = 0.8, .beta2 = 0.9, .epsilon = 1e-6, .weight_decay = 0.3});
  std::vector<Scalar> scalars;
  for (double x : {1.0, -2.0, 0.5, 3.0, 4.0, -1.0, 2.0}) scalars.push_back({x});
  const std::vector<double> curvature = {1, 2, 3, 0.5, 1, 4, 2};
  for (int t = 1; t <= 25; ++t) {
    const double rate = 0.1 / t;
    optimizer.ZeroGrad();
    // f = sum curvature/2 x^2: the gradient is curvature * x.
    const auto c = torch::tensor(curvature, torch::kDouble);
    const auto all = torch::cat({matrix.reshape({-1}), vector, kept.reshape({-1})});
    (0.5 * c * all * all).sum().backward();
    optimizer.Step(t, rate);
    for (size_t i = 0; i < scalars.size(); ++i) {
      const bool last = i == 6;
      scalars[i].Step(t, curvature[i] * scalars[i].value, last ? 0.25 * rate : rate, i < 4 ? 0.3 : 0.0);
    }
  }
  const auto all = torch::cat({matrix.reshape({-1}), vector, kept.reshape({-1})});
  for (size_t i = 0; i < scalars.size(); ++i) {
    EXPECT_NEAR(all[static_cast<int64_t>(i)].item<double>(), scalars[i].value, 1e-12) << i;
  }
}

TEST(AdamWTest, MatchesTorch) {
  torch::manual_seed(1);
  const auto start = torch::randn({5, 4});
  auto ours = start.clone().requires_grad_(true), theirs = start.clone().requires_grad_(true);
  AdamW optimizer({{.parameters = {{"w", ours}}}}, {.beta1 = 0.9, .beta2 = 0.95, .weight_decay = 0.1});
  torch::optim::AdamW reference(std::vector<torch::Tensor>{theirs},
                                torch::optim::AdamWOptions(0.02).betas({0.9, 0.95}).weight_decay(0.1));
  const auto target = torch::randn({5, 4});
  for (int t = 1; t <= 40; ++t) {
    optimizer.ZeroGrad();
    reference.zero_grad();
    (ours - target).square().sum().backward();
    (theirs - target).square().sum().backward();
    optimizer.Step(t, 0.02);
    reference.step();
  }
  EXPECT_LT((ours - theirs).abs().max().item<float>(), 1e-5);
  EXPECT_GT((ours - start).abs().max().item<float>(), 0.1);
}

TEST(AdamWTest, MatchesTheGlobalNormWhenClipping) {
  auto a = torch::zeros({2}).requires_grad_(true), b = torch::zeros({1, 1}).requires_grad_(true);
  auto unused = torch::ones({3}).requires_grad_(true);
  AdamW optimizer({{.parameters = {{"a", a}, {"unused", unused}}}, {.parameters = {{"b", b}}}}, {});
  const auto pass = [&] {
    optimizer.ZeroGrad();
    (a * torch::tensor({3.0f, 0.0f})).sum().backward();
    (b * 4).sum().backward();
  };
  pass();
  EXPECT_DOUBLE_EQ(optimizer.ClipGradients(10), 5.0);
  EXPECT_FLOAT_EQ(b.grad().item<float>(), 4.0f);
  EXPECT_DOUBLE_EQ(optimizer.ClipGradients(0), 5.0);
  EXPECT_DOUBLE_EQ(optimizer.ClipGradients(1), 5.0);
  EXPECT_NEAR(b.grad().item<float>(), 0.8f, 1e-6);
  EXPECT_NEAR(a.grad()[0].item<float>(), 0.6f, 1e-6);
  optimizer.Step(1, 0.1);
  EXPECT_TRUE(torch::equal(unused, torch::ones({3}))) << "no gradient, no step";
}

TEST(AdamWTest, RoundTripsThroughItsState) {
  const auto make = [](torch::Tensor& w) { return AdamW({{.parameters = {{"w", w}}}}, {}); };
  auto first = torch::full({2, 2}, 3.0).requires_grad_(true);
  AdamW optimizer = make(first);
  const auto step = [](AdamW& o, torch::Tensor& w, int t) {
    o.ZeroGrad();
    w.square().sum().backward();
    o.Step(t, 0.1);
  };
  for (int t = 1; t <= 5; ++t) step(optimizer, first, t);
  auto second = first.detach().clone().requires_grad_(true);
  AdamW restored = make(second);
  const auto from = optimizer.State(), to = restored.State();
  ASSERT_EQ(from.size(), 2u);
  EXPECT_EQ(from[0].first, "m.w");
  EXPECT_EQ(from[1].first, "v.w");
  for (size_t i = 0; i < from.size(); ++i) to[i].second.copy_(from[i].second);
  for (int t = 6; t <= 9; ++t) {
    step(optimizer, first, t);
    step(restored, second, t);
  }
  EXPECT_TRUE(torch::equal(first, second));
}

TEST(CosineWithWarmupTest, MatchesItsCorners) {
  EXPECT_DOUBLE_EQ(CosineWithWarmup(1, 10, 110, 0.1), 0.1);
  EXPECT_DOUBLE_EQ(CosineWithWarmup(5, 10, 110, 0.1), 0.5);
  EXPECT_DOUBLE_EQ(CosineWithWarmup(10, 10, 110, 0.1), 1.0);
  EXPECT_DOUBLE_EQ(CosineWithWarmup(60, 10, 110, 0.1), 0.55);
  EXPECT_NEAR(CosineWithWarmup(35, 10, 110, 0.0), 0.5 * (1 + std::sqrt(0.5)), 1e-15);
  EXPECT_DOUBLE_EQ(CosineWithWarmup(110, 10, 110, 0.1), 0.1);
  EXPECT_DOUBLE_EQ(CosineWithWarmup(10, 10, 10, 0.1), 1.0);
  EXPECT_NEAR(CosineWithWarmup(1, 0, 100, 0.1), 1.0, 1e-3);
  EXPECT_DOUBLE_EQ(CosineWithWarmup(100, 0, 100, 0.1), 0.1);
}

// ---- batches

std::vector<int32_t> Numbers(int32_t count) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (int32_t i = 0; i < count; ++i) tokens[static_cast<size_t>(i)] = i + 100;
  return tokens;
}

TEST(BatchDealerTest, MatchesEveryWindowOnceAnEpoch) {
  constexpr int32_t kTokens = 1000, kContext = 9;
  auto dealer = BatchDealer::Create(Numbers(kTokens), 1, kContext, 3);
  ASSERT_TRUE(dealer.ok());
  const int64_t windows = dealer->epoch_windows();
  EXPECT_EQ(windows, kTokens / (kContext - 1) - 1);
  std::set<std::vector<int64_t>> orders;
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    const auto batch = dealer->Deal(epoch * windows, windows);
    ASSERT_EQ(batch.sizes(), (torch::IntArrayRef{windows, kContext}));
    std::vector<int64_t> order;
    std::set<int64_t> seen;
    for (int64_t w = 0; w < windows; ++w) {
      EXPECT_EQ(batch[w][0].item<int64_t>(), 1) << "BOS first";
      const int64_t start = batch[w][1].item<int64_t>();
      order.push_back(start);
      for (int64_t i = 1; i < kContext; ++i) {
        ASSERT_EQ(batch[w][i].item<int64_t>(), start + i - 1) << "a window is consecutive text";
        EXPECT_TRUE(seen.insert(start + i - 1).second) << "windows share nothing";
      }
    }
    EXPECT_EQ(static_cast<int64_t>(seen.size()), windows * (kContext - 1));
    EXPECT_EQ(*seen.rbegin() - *seen.begin() + 1, windows * (kContext - 1)) << "no gap";
    orders.insert(order);
  }
  EXPECT_EQ(orders.size(), 3u) << "every epoch has an order of its own";
}

TEST(BatchDealerTest, MatchesTheIndexAlone) {
  auto one = BatchDealer::Create(Numbers(500), std::nullopt, 10, 7).value();
  auto two = BatchDealer::Create(Numbers(500), std::nullopt, 10, 7).value();
  const auto all = one.Deal(0, 120);
  EXPECT_TRUE(torch::equal(two.Deal(90, 10), all.slice(0, 90, 100)));
  EXPECT_TRUE(torch::equal(two.Deal(3, 1), all.slice(0, 3, 4)));
  EXPECT_TRUE(torch::equal(two.Deal(45, 20), all.slice(0, 45, 65))) << "across two epochs";
  auto other = BatchDealer::Create(Numbers(500), std::nullopt, 10, 8).value();
  EXPECT_FALSE(torch::equal(other.Deal(0, 40), all.slice(0, 0, 40)));
}

TEST(BatchDealerTest, RejectsTextShorterThanOneWindow) {
  const auto refused = BatchDealer::Create(Numbers(7), 1, 9, 3);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(refused.status().message().find("7 tokens"), std::string::npos) << refused.status().message();
  EXPECT_NE(refused.status().message().find("window of 8"), std::string::npos) << refused.status().message();
  EXPECT_FALSE(BatchDealer::Create({}, std::nullopt, 4, 3).ok());
  EXPECT_FALSE(BatchDealer::Create(Numbers(7), 1, 1, 3).ok()) << "no room beside BOS";
  auto exact = BatchDealer::Create(Numbers(8), 1, 9, 3);
  ASSERT_TRUE(exact.ok());
  EXPECT_EQ(exact->epoch_windows(), 1);
  EXPECT_EQ(exact->Deal(5, 2)[1][8].item<int64_t>(), 107);
}

}  // namespace
}  // namespace sluice
