#ifndef SLUICE_STUDY_BD_RATE_H_
#define SLUICE_STUDY_BD_RATE_H_

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"

namespace sluice {

/// One operating point: bits per token (or any rate) and what they bought.
struct RatePoint {
  double rate;
  double metric;
};

/// How points are joined. kPchip (monotone piecewise cubic) is the default because it follows saturating curves; kCubic
/// is the one polynomial of degree 3 of the first report, kept to compare with older tables.
enum class BdFit { kPchip, kCubic };

/// Which way the metric is better: accuracy rises, perplexity falls.
enum class MetricSense { kHigherIsBetter, kLowerIsBetter };

struct BdOptions {
  BdFit fit = BdFit::kPchip;
  MetricSense sense = MetricSense::kHigherIsBetter;
};

/// A Bjontegaard delta and what it rests on.
struct BdResult {
  double value = 0;  ///< rate: percent, negative when `test` needs less; metric: in its own units, test less anchor
  double low = 0;    ///< the common range: of the metric for a rate, of log10(rate) for a metric
  double high = 0;
  double overlap = 0;                           ///< its share of the range that either curve covers, (0, 1]
  size_t anchor_dropped = 0, test_dropped = 0;  ///< points that another of their curve dominates
};

/// The points that no other of the curve dominates (as good or better at the same rate or less), from the lowest rate
/// up: rate and quality both rise strictly. Cost: O(n log n).
std::vector<RatePoint> ParetoFront(std::span<const RatePoint> curve, MetricSense sense);

/// Mean difference of rate at equal metric, over the common range of the metric: 100 (10^m - 1) for the mean m of log10
/// r_test - log10 r_anchor. Curves in any order; dominated points are left out and counted.
/// Exact: integrals in closed form.
/// Errors: InvalidArgument for a point that is not finite, a rate that is not positive, or fewer than 2 (kCubic: 4)
/// points that are not dominated; Mismatch when the curves have no metric in common.
/// Source: Bjontegaard, VCEG-M33 (2001); PCHIP as Fritsch and Butland, with the three-point ends of SciPy.
Result<BdResult> BdRate(std::span<const RatePoint> anchor, std::span<const RatePoint> test, const BdOptions& options);

/// Mean difference of the metric at equal rate, over the common range of log10(rate). As BdRate.
Result<BdResult> BdMetric(std::span<const RatePoint> anchor, std::span<const RatePoint> test, const BdOptions& options);

}  // namespace sluice

#endif  // SLUICE_STUDY_BD_RATE_H_
