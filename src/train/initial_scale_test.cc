#include "train/initial_scale.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "backbone/backbone_test_util.h"
#include "neural/gradient_check_test.h"
#include "train/distortion_loss.h"

namespace sluice {
namespace {

TEST(InitialScaleTest, MatchesTheGainOfAnAnalyticDistortion) {
  // D = c / gain^2 meets lambda d / (2 ln 2) at gain = sqrt(2 ln 2 c / (lambda d)).
  for (const double c : {1e-4, 1.0, 300.0}) {
    for (const double lambda : {1e-6, 7e-4, 0.1}) {
      const double expected = std::sqrt(2 * std::numbers::ln2 * c / (lambda * 64));
      const double got = GainForLambda([&](double gain) { return c / (gain * gain); }, lambda, 64);
      EXPECT_NEAR(std::log2(got), std::log2(expected), 1e-3) << c << " " << lambda;
    }
  }
  EXPECT_NEAR(GainForLambda([](double) { return 1e9; }, 1e-9, 1), 0x1p16, 0x1p16 * 1e-3);
  EXPECT_NEAR(GainForLambda([](double) { return 0.0; }, 1.0, 1), 0x1p-12, 0x1p-12 * 1e-3);
}

TEST(InitialScaleTest, MatchesStatisticsComputedDirectly) {
  torch::manual_seed(2);
  const int64_t d = 5;
  const auto mix = torch::randn({d, d});
  auto hidden = torch::matmul(torch::randn({6, 50, d}), mix) + 3;
  hidden.select(1, 0).fill_(1000);  // the first token is unlike all others, and left out
  const HiddenStatistics statistics = MeasureHidden(hidden);
  std::vector<double> mean(d, 0.0);
  const auto rows = hidden.slice(1, 1).reshape({-1, d}).to(torch::kDouble);
  const int64_t n = rows.size(0);
  ASSERT_EQ(n, 6 * 49);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t c = 0; c < d; ++c) mean[static_cast<size_t>(c)] += rows[i][c].item<double>() / static_cast<double>(n);
  }
  for (int64_t c = 0; c < d; ++c) {
    EXPECT_NEAR(statistics.mean[c].item<double>(), mean[static_cast<size_t>(c)], 1e-5);
  }
  const auto identity = torch::matmul(statistics.axes, statistics.axes.t());
  EXPECT_LT((identity - torch::eye(d)).abs().max().item<float>(), 1e-5);
  // Along its axes the data is uncorrelated, with the deviations given, in falling order.
  const auto centred = rows - torch::tensor(mean, torch::kDouble);
  const auto rotated = torch::matmul(centred, statistics.axes.to(torch::kDouble).t());
  const auto covariance = torch::matmul(rotated.t(), rotated) / n;
  const auto expected = torch::diag(statistics.deviation.to(torch::kDouble).square());
  EXPECT_LT((covariance - expected).abs().max().item<double>(), 1e-4 * expected.max().item<double>());
  for (int64_t c = 1; c < d; ++c) {
    EXPECT_LE(statistics.deviation[c].item<float>(), statistics.deviation[c - 1].item<float>());
  }
}

BackboneConfig Variant(int i) {
  if (i == 0) return TinyGpt2();
  BackboneConfig config = TinyLlama();
  config.tied = i == 2;
  config.attention_bias = config.mlp_bias = i == 2;
  return config;
}

TEST(InitialScaleTest, MatchesLogitsAfterRescalingTheStream) {
  for (int i = 0; i < 3; ++i) {
    auto model = TinyModel(Variant(i));
    torch::NoGradGuard no_grad;
    for (auto& item : model->named_parameters()) {  // biases start at zero, where scaling them would not show
      if (item.value().dim() == 1) item.value().add_(0.1 * torch::randn(item.value().sizes()));
    }
    const auto tokens = RandomTokens(model->config(), 2, 20);
    const auto logits = model->Logits(tokens);
    std::vector<torch::Tensor> hidden;
    for (int64_t cut = 0; cut <= model->config().layers; ++cut) hidden.push_back(model->Head(tokens, cut));
    constexpr double kFactor = 12.5;
    RescaleResidualStream(*model, kFactor);
    // The norms' epsilon of 1e-5 weighs 156 times less afterwards; the stream's variance is of order 0.1 to 10.
    const auto error = (model->Logits(tokens) - logits).abs().max() / logits.abs().max();
    EXPECT_LT(error.item<float>(), 1e-3) << "variant " << i;
    for (int64_t cut = 0; cut <= model->config().layers; ++cut) {
      const auto& before = hidden[static_cast<size_t>(cut)];
      const auto scaled = (model->Head(tokens, cut) / kFactor - before).abs().max() / before.abs().max();
      EXPECT_LT(scaled.item<float>(), 1e-3) << "variant " << i << " cut " << cut;
    }
  }
}

TEST(InitialScaleTest, MatchesFallingDistortionOfRounding) {
  auto model = TinyModel(TinyGpt2());
  torch::NoGradGuard no_grad;
  const auto hidden = model->Head(RandomTokens(model->config(), 2, 16), 2);
  const auto axes = MeasureHidden(hidden).axes;
  const double coarse = RoundingKl(*model, 2, hidden, axes, 1.0), fine = RoundingKl(*model, 2, hidden, axes, 16.0);
  EXPECT_GT(coarse, 0);
  EXPECT_GT(fine, 0);
  EXPECT_LT(fine, 0.05 * coarse) << "about 1/256 where the model is smooth";
}

TEST(DistortionLossTest, MatchesKlWrittenOut) {
  const auto p = torch::tensor({{{0.5, 0.25, 0.25}, {0.1, 0.1, 0.8}}}, torch::kDouble);
  const auto q = torch::tensor({{{0.25, 0.5, 0.25}, {0.1, 0.1, 0.8}}}, torch::kDouble);
  const auto kl = KlNats(torch::log(p) + 3, torch::log(q) - 1);  // logits are free up to a constant
  ASSERT_EQ(kl.sizes(), (torch::IntArrayRef{1, 2}));
  EXPECT_NEAR(kl[0][0].item<double>(), 0.25 * std::log(2.0), 1e-12);
  EXPECT_NEAR(kl[0][1].item<double>(), 0, 1e-12);
}

TEST(DistortionLossTest, DifferentiatesInTheReconstruction) {
  auto model = TinyModel(TinyGpt2());
  model->to(torch::kDouble);
  const auto tokens = RandomTokens(model->config(), 1, 3);
  torch::Tensor hidden;
  {
    torch::NoGradGuard no_grad;
    hidden = model->Head(tokens, 2);
  }
  torch::manual_seed(4);
  const auto reference = model->Tail(hidden, 2).detach();
  for (const Distortion kind : {Distortion::kCrossEntropy, Distortion::kKl, Distortion::kMse}) {
    auto changed = (hidden + 0.1 * torch::randn_like(hidden)).detach();
    CheckGradients([&] { return DistortionLoss(kind, *model, 2, tokens, hidden, changed, reference); }, {changed},
                   1e-5);
    torch::NoGradGuard no_grad;
    const double same = DistortionLoss(kind, *model, 2, tokens, hidden, hidden, reference).item<double>();
    if (kind == Distortion::kCrossEntropy) {
      EXPECT_GT(same, 0.5);
    } else {
      EXPECT_NEAR(same, 0, 1e-12);
    }
  }
}

TEST(DistortionLossTest, RejectsUnknownNames) {
  EXPECT_EQ(ParseDistortion("ce").value(), Distortion::kCrossEntropy);
  EXPECT_EQ(ParseDistortion("kl").value(), Distortion::kKl);
  EXPECT_EQ(ParseDistortion("mse").value(), Distortion::kMse);
  const auto refused = ParseDistortion("l1");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(refused.status().message().find("ce, kl, mse"), std::string::npos);
}

}  // namespace
}  // namespace sluice
