#include "study/bd_rate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <numbers>

#include "base/file.h"
#include "study/seed_interval.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

const RateCurve kAnchor = {{100, 30}, {200, 33}, {400, 35.5}, {800, 37.5}};

RateCurve Scaled(const RateCurve& curve, double factor) {
  RateCurve scaled = curve;
  for (RatePoint& point : scaled) point.rate *= factor;
  return scaled;
}

RateCurve FromJson(const nlohmann::json& json) {
  RateCurve curve;
  for (size_t i = 0; i < json["rate"].size(); ++i) curve.push_back({json["rate"][i], json["metric"][i]});
  return curve;
}

TEST(BdRateTest, GoldenCasesAgree) {
  const char* set = std::getenv("SLUICE_GOLDEN");
  const fs::path golden = set != nullptr ? fs::path(set) : fs::path(SLUICE_SOURCE_DIR) / "../shared/golden";
  const auto text = ReadFile(golden / "metrics.json");
  if (!text.ok()) GTEST_SKIP() << "no golden metrics: " << text.status().ToString();
  const auto cases = nlohmann::json::parse(*text)["bd"];
  ASSERT_GT(cases.size(), 0u);
  for (const auto& c : cases) {
    const RateCurve anchor = FromJson(c["anchor"]), test = FromJson(c["test"]);
    for (const bool cubic : {false, true}) {
      const BdOptions options{.fit = cubic ? BdFit::kCubic : BdFit::kPchip};
      const double tolerance = cubic ? 1e-7 : 1e-9;
      const auto rate = BdRate(anchor, test, options), metric = BdMetric(anchor, test, options);
      const auto& wanted_rate = c[cubic ? "bd_rate_cubic" : "bd_rate_pchip"];
      const double wanted_metric = c[cubic ? "bd_metric_cubic" : "bd_metric_pchip"];
      ASSERT_TRUE(metric.ok()) << metric.status().ToString();
      EXPECT_NEAR(metric->value, wanted_metric, tolerance * std::fabs(wanted_metric)) << c["name"];
      if (wanted_rate.is_null()) {
        EXPECT_EQ(rate.status().code(), StatusCode::kMismatch) << c["name"];
        continue;
      }
      ASSERT_TRUE(rate.ok()) << rate.status().ToString();
      EXPECT_NEAR(rate->value, wanted_rate, tolerance * std::fabs(wanted_rate.get<double>())) << c["name"];
      EXPECT_EQ(rate->anchor_dropped + rate->test_dropped, 0u);
    }
  }
}

TEST(BdRateTest, MatchesScaledCurves) {
  for (const BdFit fit : {BdFit::kPchip, BdFit::kCubic}) {
    const auto bd = BdRate(kAnchor, Scaled(kAnchor, 1.5), {.fit = fit});
    ASSERT_TRUE(bd.ok());
    EXPECT_NEAR(bd->value, 50, 1e-9);
    EXPECT_EQ(bd->low, 30);
    EXPECT_EQ(bd->high, 37.5);
    EXPECT_EQ(bd->overlap, 1);
  }
}

TEST(BdRateTest, MatchesMetricsThatFall) {
  // The same curve as a perplexity: BD-rate depends on the sense only through the filter.
  RateCurve anchor = kAnchor, test = Scaled(kAnchor, 0.8);
  for (RateCurve* curve : {&anchor, &test}) {
    for (RatePoint& point : *curve) point.metric = 100 - point.metric;
  }
  const auto bd = BdRate(anchor, test, {.sense = MetricSense::kLowerIsBetter});
  ASSERT_TRUE(bd.ok()) << bd.status().ToString();
  EXPECT_NEAR(bd->value, -20, 1e-9);
}

TEST(BdRateTest, MatchesTwoPointsByHand) {
  // Lines in log rate, 2 decades over 10 against 1 decade: the mean difference on [5, 10] is that at 7.5.
  const RateCurve anchor = {{1, 0}, {100, 10}}, test = {{10, 5}, {100, 15}};
  const auto bd = BdRate(anchor, test, {});
  ASSERT_TRUE(bd.ok());
  EXPECT_NEAR(bd->value, 100 * (std::pow(10.0, 1.25 - 1.5) - 1), 1e-9);
  EXPECT_NEAR(bd->overlap, 5.0 / 15, 1e-12);
}

TEST(BdRateTest, MatchesTheCurveWithoutItsDominatedPoints) {
  RateCurve noisy = Scaled(kAnchor, 0.8);
  noisy.push_back({300, 31});    // worse than the point at 160
  noisy.push_back({320, 35.5});  // the same point twice
  const auto bd = BdRate(kAnchor, noisy, {});
  ASSERT_TRUE(bd.ok());
  EXPECT_NEAR(bd->value, -20, 1e-9);
  EXPECT_EQ(bd->anchor_dropped, 0u);
  EXPECT_EQ(bd->test_dropped, 2u);
  EXPECT_EQ(ParetoFront(noisy, MetricSense::kLowerIsBetter).size(), 1u);
}

TEST(BdRateTest, RejectsCurvesThatCannotBeCompared) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto code = [](const RateCurve& test, BdFit fit) {
    const StatusCode a = BdRate(kAnchor, test, {.fit = fit}).status().code();
    EXPECT_EQ(a, BdRate(test, kAnchor, {.fit = fit}).status().code());
    return a;
  };
  for (const BdFit fit : {BdFit::kPchip, BdFit::kCubic}) {
    EXPECT_EQ(code({}, fit), StatusCode::kInvalidArgument);
    EXPECT_EQ(code({{100, 31}}, fit), StatusCode::kInvalidArgument);
    EXPECT_EQ(code({{100, 31}, {200, nan}, {300, 33}, {400, 34}}, fit), StatusCode::kInvalidArgument);
    EXPECT_EQ(code({{100, 31}, {0, 30}, {300, 33}, {400, 34}}, fit), StatusCode::kInvalidArgument);
    EXPECT_EQ(code({{100, 31}, {-5, 30}, {300, 33}, {400, 34}}, fit), StatusCode::kInvalidArgument);
    EXPECT_EQ(code({{100, 33}, {200, 32}, {300, 31}, {400, 30}}, fit), StatusCode::kInvalidArgument);  // falls
    EXPECT_EQ(code({{100, 10}, {200, 15}, {300, 20}, {400, 30}}, fit), StatusCode::kMismatch);         // touches at 30
  }
  EXPECT_EQ(code({{100, 31}, {200, 32}, {300, 33}}, BdFit::kCubic), StatusCode::kInvalidArgument);
  EXPECT_EQ(code({{100, 31}, {200, 32}, {300, 33}}, BdFit::kPchip), StatusCode::kOk);
  const auto status = BdRate(kAnchor, RateCurve{{1, 5}, {2, 6}}, {}).status();
  EXPECT_NE(status.message().find("no overlap: metric of the anchor 30 to 37.5, of the test 5 to 6"), std::string::npos)
      << status.ToString();
}

TEST(SeedIntervalTest, MatchesTablesOfStudentsT) {
  EXPECT_NEAR(StudentQuantile(0.975, 1), std::tan(std::numbers::pi * 0.475), 1e-11);
  EXPECT_NEAR(StudentQuantile(0.975, 2), 0.95 * std::sqrt(2 / 0.0975), 1e-11);
  EXPECT_NEAR(StudentQuantile(0.975, 3), 3.182446305284263, 1e-11);
  EXPECT_NEAR(StudentQuantile(0.975, 4), 2.7764451051977987, 1e-11);
  EXPECT_NEAR(StudentQuantile(0.95, 9), 1.8331129326536335, 1e-11);
  EXPECT_NEAR(StudentQuantile(0.025, 30), -2.0422724563012373, 1e-11);
  EXPECT_NEAR(StudentQuantile(0.5, 7), 0, 1e-12);
}

TEST(SeedIntervalTest, MatchesThreeSamplesByHand) {
  const double samples[] = {1, 2, 3};
  const auto mean = MeanOverSeeds(samples);
  ASSERT_TRUE(mean.ok());
  EXPECT_NEAR(mean->mean, 2, 1e-12);
  EXPECT_NEAR(mean->deviation, 1, 1e-12);
  EXPECT_NEAR(mean->interval->high, 2 + 4.30265272974946 / std::sqrt(3.0), 1e-9);
  EXPECT_NEAR(mean->interval->low, 2 - 4.30265272974946 / std::sqrt(3.0), 1e-9);
  EXPECT_FALSE(MeanOverSeeds(std::span(samples).first(1))->interval.has_value());
}

TEST(SeedIntervalTest, RejectsRunsThatFailed) {
  const double samples[] = {1, std::numeric_limits<double>::quiet_NaN(), 3};
  EXPECT_EQ(MeanOverSeeds(samples).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(MeanOverSeeds({}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(MeanOverSeeds(std::span(samples).first(1), 1.0).status().code(), StatusCode::kInvalidArgument);
}

TEST(SeedIntervalTest, MatchesBdRateOfPairs) {
  const std::vector<RateCurve> anchors = {kAnchor, Scaled(kAnchor, 1.1), Scaled(kAnchor, 0.9)};
  const std::vector<RateCurve> tests = {Scaled(kAnchor, 0.8), Scaled(kAnchor, 0.88), Scaled(kAnchor, 0.72)};
  const auto paired = BdRateOverSeeds(anchors, tests, {});
  ASSERT_TRUE(paired.ok());
  EXPECT_NEAR(paired->percent, -20, 1e-9);  // what the seeds share cancels
  EXPECT_NEAR(paired->interval->low, -20, 1e-6);
  EXPECT_NEAR(paired->interval->high, -20, 1e-6);
  const auto against_one = BdRateOverSeeds(std::span(anchors).first(1), tests, {});
  ASSERT_TRUE(against_one.ok());
  EXPECT_EQ(against_one->by_seed.size(), 3u);
  EXPECT_NEAR(against_one->percent, 100 * (0.8 * std::cbrt(1.1 * 0.9) - 1), 1e-9);
  EXPECT_LT(against_one->interval->low, -28);
  EXPECT_GT(against_one->interval->high, -12);
  EXPECT_FALSE(BdRateOverSeeds(std::span(anchors).first(1), std::span(tests).first(1), {})->interval.has_value());
}

TEST(SeedIntervalTest, RejectsSeedsThatDoNotPair) {
  const std::vector<RateCurve> two = {kAnchor, kAnchor}, three = {kAnchor, kAnchor, kAnchor};
  EXPECT_EQ(BdRateOverSeeds(two, three, {}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(BdRateOverSeeds({}, three, {}).status().code(), StatusCode::kInvalidArgument);
  const std::vector<RateCurve> apart = {kAnchor, {{1, 5}, {2, 6}}};
  const auto status = BdRateOverSeeds(two, apart, {}).status();
  EXPECT_EQ(status.code(), StatusCode::kMismatch);
  EXPECT_NE(status.message().find("pair 2: "), std::string::npos);
}

}  // namespace
}  // namespace sluice
