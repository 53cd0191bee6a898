// Three passes over a chunk: where each channel lies; which earlier row resembles each row, sorted into classes of
// equal resemblance; and for each class how far to trust the reference (the regression weight) and what is left.
// Residual spread is modelled as channel times class, which needs a few bytes where a table of both would need a page.
#include "codec/chunk_fit.h"

#include <algorithm>
#include <cmath>

#include "base/half.h"
#include "codec/row_matcher.h"

namespace sluice {
namespace {

constexpr size_t kReferenceClasses = 20;  // half octaves of the mean squared distance, from the unlike to the alike
constexpr double kWorstDistance = 1.7;    // in squared spreads; 2 is what two independent rows have
constexpr double kQuarterOctaves = 4.0;
constexpr size_t kSampledRows = 4096;  // the spreads of a longer chunk are fitted on evenly spaced rows

size_t SampleStride(size_t rows) { return std::max<size_t>(1, rows / kSampledRows); }

struct ChannelMoments {
  std::vector<double> center;
  std::vector<double> spread;
};

ChannelMoments MomentsOf(MatrixView<const double> values) {
  const size_t width = values.cols();
  std::vector<double> sum(width), square(width), count(width);
  for (size_t t = 0; t < values.rows(); ++t) {
    const std::span<const double> row = values.row(t);
    for (size_t c = 0; c < width; ++c) {
      const bool known = !std::isnan(row[c]);
      sum[c] += known ? row[c] : 0;
      square[c] += known ? row[c] * row[c] : 0;
      count[c] += known ? 1 : 0;
    }
  }
  ChannelMoments moments{std::vector<double>(width), std::vector<double>(width)};
  for (size_t c = 0; c < width; ++c) {
    if (count[c] == 0) continue;
    // The center that the decoder will have; a value too large for it is not worth centering on.
    const double center = Bfloat16ToFloat(FloatToBfloat16(static_cast<float>(sum[c] / count[c])));
    moments.center[c] = std::isfinite(center) ? center : 0;
    const double mean = sum[c] / count[c];
    moments.spread[c] = std::sqrt(std::max(0.0, square[c] / count[c] - mean * mean));
  }
  return moments;
}

// The distance of normal deviates is 0.8 of its root mean square.
uint8_t ClassOf(const RowMatcher::Match& match) {
  const double squared = match.distance * match.distance / 0.64;
  if (match.row < 0 || !(squared < kWorstDistance)) return 0;
  const double octaves = squared > 0 ? std::log2(2 / squared) : 1000;
  return static_cast<uint8_t>(1 + std::min<double>(std::floor(2 * octaves), kReferenceClasses - 1));
}

void FindReferences(MatrixView<const double> values, const ChannelMoments& moments, ChunkFit& fit) {
  RowMatcher matcher(values, moments.center, moments.spread);
  for (size_t t = 0; t < values.rows(); ++t) {
    const RowMatcher::Match match = matcher.FindAndAdd(t);
    fit.row_class[t] = ClassOf(match);
    fit.reference[t] = fit.row_class[t] == 0 ? -1 : match.row;
  }
}

struct ClassSums {
  double product = 0;
  double reference = 0;
  double own = 0;
  double count = 0;
};

// Regression weight and residual of each class, over all channels in units of their spread.
void FitClasses(MatrixView<const double> values, const ChannelMoments& moments, ChunkFit& fit) {
  std::vector<ClassSums> sums(kReferenceClasses + 1);
  for (size_t t = 0; t < values.rows(); t += SampleStride(values.rows())) {
    ClassSums& sum = sums[fit.row_class[t]];
    if (fit.reference[t] < 0) continue;
    const std::span<const double> own = values.row(t), other = values.row(static_cast<size_t>(fit.reference[t]));
    for (size_t c = 0; c < own.size(); ++c) {
      if (!(moments.spread[c] > 0) || std::isnan(own[c]) || std::isnan(other[c])) continue;
      const double x = (own[c] - moments.center[c]) / moments.spread[c];
      const double p = (other[c] - moments.center[c]) / moments.spread[c];
      sum.product += x * p;
      sum.reference += p * p;
      sum.own += x * x;
      sum.count += 1;
    }
  }
  fit.model.classes.assign(kReferenceClasses + 1, RowClass{});
  for (size_t i = 1; i < sums.size(); ++i) {
    const ClassSums& sum = sums[i];
    if (sum.count == 0 || !(sum.reference > 0)) continue;
    const double weight = std::clamp(std::round(64 * sum.product / sum.reference), 0.0, 64.0);
    const double w = weight / 64;
    const double residual = (sum.own - 2 * w * sum.product + w * w * sum.reference) / sum.count;
    const double level = residual > 0 ? kQuarterOctaves * std::log2(residual) / 2 : -127;
    fit.model.classes[i] = {static_cast<uint8_t>(weight),
                            static_cast<int8_t>(std::clamp(std::round(level), -127.0, 20.0))};
  }
}

// Each channel's spread such that, over all rows, residual / (channel * class) has unit mean square.
void FitChannels(MatrixView<const double> values, const ChannelMoments& moments, ChunkFit& fit) {
  const size_t width = values.cols();
  std::vector<double> sum(width), count(width);
  std::vector<double> inverse(fit.model.classes.size());
  for (size_t i = 0; i < inverse.size(); ++i) inverse[i] = std::exp2(-fit.model.classes[i].spread / kQuarterOctaves);
  for (size_t t = 0; t < values.rows(); t += SampleStride(values.rows())) {
    const std::span<const double> own = values.row(t);
    const std::span<const double> other = values.row(static_cast<size_t>(std::max<int64_t>(fit.reference[t], 0)));
    const double weight = fit.model.classes[fit.row_class[t]].weight / 64.0;
    for (size_t c = 0; c < width; ++c) {
      const double p = weight > 0 && !std::isnan(other[c]) ? other[c] : moments.center[c];
      const double residual =
          (own[c] - moments.center[c] - weight * (p - moments.center[c])) * inverse[fit.row_class[t]];
      if (std::isnan(residual)) continue;
      sum[c] += residual * residual;
      count[c] += 1;
    }
  }
  for (size_t c = 0; c < width; ++c) {
    const double limit = kSpreadLimit;
    const double level = sum[c] > 0 ? kQuarterOctaves * std::log2(sum[c] / count[c]) / 2 : -limit;
    fit.model.spread[c] = static_cast<int16_t>(std::clamp(std::round(level), -limit, limit));
  }
}

}  // namespace

ChunkFit FitChunk(MatrixView<const double> values, const ValueLattice& lattice) {
  ChunkFit fit;
  fit.model.lattice = lattice;
  fit.model.center.resize(values.cols());
  fit.model.spread.resize(values.cols());
  fit.reference.assign(values.rows(), -1);
  fit.row_class.assign(values.rows(), 0);
  const ChannelMoments moments = MomentsOf(values);
  for (size_t c = 0; c < values.cols(); ++c) fit.model.center[c] = static_cast<float>(moments.center[c]);
  FindReferences(values, moments, fit);
  FitClasses(values, moments, fit);
  FitChannels(values, moments, fit);
  return fit;
}

}  // namespace sluice
