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
constexpr size_t kSampledRows = 2048;  // a longer chunk is fitted on evenly spaced rows

size_t SampleStride(size_t rows) { return std::max<size_t>(1, rows / kSampledRows); }

struct ChannelMoments {
  std::vector<float> center;
  std::vector<float> spread;
};

ChannelMoments MomentsOf(MatrixView<const float> values) {
  const size_t width = values.cols();
  std::vector<double> sum(width), square(width), count(width);
  for (size_t t = 0; t < values.rows(); t += SampleStride(values.rows())) {
    const float* row = values.row(t).data();
    for (size_t c = 0; c < width; ++c) {
      const bool known = row[c] == row[c];
      const double value = known ? row[c] : 0;
      sum[c] += value;
      square[c] += value * value;
      count[c] += known ? 1 : 0;
    }
  }
  ChannelMoments moments{std::vector<float>(width), std::vector<float>(width)};
  for (size_t c = 0; c < width; ++c) {
    if (count[c] == 0) continue;
    // The center that the decoder will have; a value too large for it is not worth centering on.
    const float center = Bfloat16ToFloat(FloatToBfloat16(static_cast<float>(sum[c] / count[c])));
    moments.center[c] = std::isfinite(center) ? center : 0;
    const double mean = sum[c] / count[c];
    moments.spread[c] = static_cast<float>(std::sqrt(std::max(0.0, square[c] / count[c] - mean * mean)));
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

void FindReferences(MatrixView<const float> values, const ChannelMoments& moments, ChunkFit& fit) {
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

// Adds a row and its reference, in units of the channels' spreads.
void AddRow(std::span<const float> own, std::span<const float> other, const ChannelMoments& moments,
            std::span<const double> inverse_spread, ClassSums& sum) {
  for (size_t c = 0; c < own.size(); ++c) {
    const double x = (static_cast<double>(own[c]) - moments.center[c]) * inverse_spread[c];
    const double p = (static_cast<double>(other[c]) - moments.center[c]) * inverse_spread[c];
    if (std::isnan(x) || std::isnan(p)) continue;
    sum.product += x * p;
    sum.reference += p * p;
    sum.own += x * x;
    sum.count += inverse_spread[c] > 0 ? 1 : 0;
  }
}

// Regression weight and residual of each class, over all channels in units of their spread.
void FitClasses(MatrixView<const float> values, const ChannelMoments& moments, ChunkFit& fit) {
  std::vector<ClassSums> sums(kReferenceClasses + 1);
  std::vector<double> inverse(values.cols());
  for (size_t c = 0; c < inverse.size(); ++c) inverse[c] = moments.spread[c] > 0 ? 1.0 / moments.spread[c] : 0.0;
  for (size_t t = 0; t < values.rows(); t += SampleStride(values.rows())) {
    if (fit.reference[t] < 0) continue;
    AddRow(values.row(t), values.row(static_cast<size_t>(fit.reference[t])), moments, inverse, sums[fit.row_class[t]]);
  }
  fit.model.classes.assign(kReferenceClasses + 1, RowClass{});
  for (size_t i = 1; i < sums.size(); ++i) {
    const ClassSums& sum = sums[i];
    if (sum.count == 0 || !(sum.reference > 0)) continue;
    const double weight = std::clamp(std::round(64 * sum.product / sum.reference), 1.0, 64.0);
    const double w = weight / 64;
    const double residual = (sum.own - 2 * w * sum.product + w * w * sum.reference) / sum.count;
    const double level = residual > 0 ? kQuarterOctaves * std::log2(residual) / 2 : -127;
    fit.model.classes[i] = {static_cast<uint8_t>(weight),
                            static_cast<int8_t>(std::clamp(std::round(level), -127.0, 20.0))};
  }
}

// Each channel's spread such that, over all rows, residual / (channel * class) has unit mean square.
void FitChannels(MatrixView<const float> values, const ChannelMoments& moments, ChunkFit& fit) {
  const size_t width = values.cols();
  std::vector<double> sum(width), count(width);
  std::vector<double> inverse(fit.model.classes.size());
  for (size_t i = 0; i < inverse.size(); ++i) inverse[i] = std::exp2(-fit.model.classes[i].spread / kQuarterOctaves);
  for (size_t t = 0; t < values.rows(); t += SampleStride(values.rows())) {
    const float* own = values.row(t).data();
    const float* other =
        fit.reference[t] < 0 ? moments.center.data() : values.row(static_cast<size_t>(fit.reference[t])).data();
    const double weight = fit.model.classes[fit.row_class[t]].weight / 64.0, scale = inverse[fit.row_class[t]];
    for (size_t c = 0; c < width; ++c) {
      const double center = moments.center[c];
      const double deviation = other[c] == other[c] ? other[c] - center : 0;
      const double residual = (own[c] - center - weight * deviation) * scale;
      const bool known = residual == residual;
      sum[c] += known ? residual * residual : 0;
      count[c] += known ? 1 : 0;
    }
  }
  for (size_t c = 0; c < width; ++c) {
    const double limit = kSpreadLimit;
    const double level = sum[c] > 0 ? kQuarterOctaves * std::log2(sum[c] / count[c]) / 2 : -limit;
    fit.model.spread[c] = static_cast<int16_t>(std::clamp(std::round(level), -limit, limit));
  }
}

}  // namespace

ChunkFit FitChunk(MatrixView<const float> values) {
  ChunkFit fit;
  fit.reference.assign(values.rows(), -1);
  fit.row_class.assign(values.rows(), 0);
  const ChannelMoments moments = MomentsOf(values);
  fit.model.center = moments.center;
  fit.model.spread.resize(values.cols());
  FindReferences(values, moments, fit);
  FitClasses(values, moments, fit);
  FitChannels(values, moments, fit);
  return fit;
}

}  // namespace sluice
