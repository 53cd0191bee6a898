#ifndef SLUICE_STUDY_SEED_INTERVAL_H_
#define SLUICE_STUDY_SEED_INTERVAL_H_

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "study/bd_rate.h"

namespace sluice {

/// Quantile of Student's t distribution: the x with P(T <= x) = probability.
/// Range: degrees at least 1, probability in (0, 1). Exact: to about 1e-12 relative.
double StudentQuantile(double probability, int degrees);

struct ConfidenceInterval {
  double low, high;
};

/// A mean over seeds. One sample has no interval.
struct SeedMean {
  double mean = 0;
  double deviation = 0;  ///< of the samples, with n - 1; 0 for one sample
  size_t samples = 0;
  std::optional<ConfidenceInterval> interval;  ///< of the mean, Student's t with n - 1 degrees
};

/// Errors: InvalidArgument for no samples, one that is not finite (a run that failed is never averaged away), or a
/// confidence outside (0, 1).
Result<SeedMean> MeanOverSeeds(std::span<const double> samples, double confidence = 0.95);

using RateCurve = std::vector<RatePoint>;

/// BD-rate of a method over its seeds against an anchor over the same seeds.
struct BdOverSeeds {
  double percent = 0;                          ///< mean of the seeds
  std::optional<ConfidenceInterval> interval;  ///< of the mean, in percent; none for one pair
  std::vector<double> by_seed;                 ///< BD-rate of each pair, percent
  double least_overlap = 1;
  size_t dropped = 0;  ///< dominated points, all curves together
};

/// Pairs curve i of the test with curve i of the anchor; an anchor or test with one curve (a codec without seeds) is
/// paired with all of the other's. Mean and interval are those of log10(1 + BD / 100), turned back, since -50 % and
/// +100 % are the same distance from none.
/// Errors: InvalidArgument for no curves or numbers of curves that do not pair; BdRate's, with the pair's number.
Result<BdOverSeeds> BdRateOverSeeds(std::span<const RateCurve> anchors, std::span<const RateCurve> tests,
                                    const BdOptions& options, double confidence = 0.95);

}  // namespace sluice

#endif  // SLUICE_STUDY_SEED_INTERVAL_H_
