// Three seeds are what a study can afford, and with three the normal interval is less than half as wide as it should
// be: hence Student's t. Its distribution has a finite sum for whole degrees of freedom (Abramowitz and Stegun 26.7.3
// and 26.7.4), which bisection inverts.
#include "study/seed_interval.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace sluice {
namespace {

constexpr int kBisections = 200;

// P(|T| <= t) for t >= 0.
double CentralProbability(double t, int degrees) {
  const double theta = std::atan(t / std::sqrt(static_cast<double>(degrees)));
  const double cos2 = std::cos(theta) * std::cos(theta);
  const bool odd = degrees % 2 == 1;
  double term = odd ? std::cos(theta) : 1.0, sum = degrees == 1 ? 0.0 : term;
  for (int k = odd ? 3 : 2; k < degrees; k += 2) {
    term *= cos2 * (k - 1) / k;
    sum += term;
  }
  return odd ? 2 / std::numbers::pi * (theta + std::sin(theta) * sum) : std::sin(theta) * sum;
}

double ToLog(double percent) { return std::log10(1 + percent / 100); }
double ToPercent(double log) { return 100 * (std::pow(10.0, log) - 1); }

}  // namespace

double StudentQuantile(double probability, int degrees) {
  if (probability < 0.5) return -StudentQuantile(1 - probability, degrees);
  const double central = 2 * probability - 1;
  double low = 0, high = 1;
  while (CentralProbability(high, degrees) < central && high < 1e300) high *= 2;
  for (int i = 0; i < kBisections && low < high; ++i) {
    const double middle = (low + high) / 2;
    (CentralProbability(middle, degrees) < central ? low : high) = middle;
  }
  return high;
}

Result<SeedMean> MeanOverSeeds(std::span<const double> samples, double confidence) {
  if (samples.empty()) return InvalidArgument("mean over seeds: no samples");
  if (!(confidence > 0 && confidence < 1)) {
    return InvalidArgument(fmt::format("mean over seeds: confidence {}, expected between 0 and 1", confidence));
  }
  SeedMean result;
  result.samples = samples.size();
  for (size_t i = 0; i < samples.size(); ++i) {
    if (!std::isfinite(samples[i])) {
      return InvalidArgument(fmt::format("mean over seeds: sample {} is {}", i, samples[i]));
    }
    result.mean += samples[i] / static_cast<double>(samples.size());
  }
  if (samples.size() == 1) return result;
  double squares = 0;
  for (const double sample : samples) squares += (sample - result.mean) * (sample - result.mean);
  result.deviation = std::sqrt(squares / static_cast<double>(samples.size() - 1));
  const double reach = StudentQuantile((1 + confidence) / 2, static_cast<int>(samples.size()) - 1) * result.deviation /
                       std::sqrt(static_cast<double>(samples.size()));
  result.interval = ConfidenceInterval{result.mean - reach, result.mean + reach};
  return result;
}

Result<BdOverSeeds> BdRateOverSeeds(std::span<const RateCurve> anchors, std::span<const RateCurve> tests,
                                    const BdOptions& options, double confidence) {
  const size_t pairs = std::max(anchors.size(), tests.size());
  if (anchors.empty() || tests.empty() || (anchors.size() != pairs && anchors.size() != 1) ||
      (tests.size() != pairs && tests.size() != 1)) {
    return InvalidArgument(fmt::format("BD over seeds: {} curves of the anchor and {} of the test do not pair",
                                       anchors.size(), tests.size()));
  }
  BdOverSeeds result;
  std::vector<double> logs;
  for (size_t i = 0; i < pairs; ++i) {
    const auto bd = BdRate(anchors[anchors.size() == 1 ? 0 : i], tests[tests.size() == 1 ? 0 : i], options);
    if (!bd.ok()) return bd.status().WithContext(fmt::format("pair {}", i + 1));
    result.by_seed.push_back(bd->value);
    result.least_overlap = std::min(result.least_overlap, bd->overlap);
    result.dropped += bd->anchor_dropped + bd->test_dropped;
    logs.push_back(ToLog(bd->value));
  }
  SLUICE_ASSIGN_OR_RETURN(const SeedMean mean, MeanOverSeeds(logs, confidence));
  result.percent = ToPercent(mean.mean);
  if (mean.interval.has_value()) {
    result.interval = ConfidenceInterval{ToPercent(mean.interval->low), ToPercent(mean.interval->high)};
  }
  return result;
}

}  // namespace sluice
