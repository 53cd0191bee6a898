// A curve becomes a function of one coordinate, and its integral is taken in closed form: PCHIP as a list of cubics
// between knots, the classic fit as one least-squares cubic. Both are pieces of the same type here, so that the
// integral is written once. The abscissa of the classic fit is centred and scaled, which keeps its normal equations
// well behaved for any unit of the metric.
#include "study/bd_rate.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

namespace sluice {
namespace {

constexpr size_t kCubicPoints = 4;
constexpr size_t kPchipPoints = 2;

struct Knot {
  double x, y;
};

// c[0] + c[1] s + c[2] s^2 + c[3] s^3 with s = (x - origin) / scale, valid on [from, to].
struct Cubic {
  double from, to, origin, scale;
  std::array<double, 4> c;

  double IntegralTo(double x) const {
    const double s = (x - origin) / scale;
    return scale * s * (c[0] + s * (c[1] / 2 + s * (c[2] / 3 + s * c[3] / 4)));
  }
};

double Integrate(const std::vector<Cubic>& pieces, double low, double high) {
  double sum = 0;
  for (const Cubic& piece : pieces) {
    const double from = std::max(low, piece.from), to = std::min(high, piece.to);
    if (from < to) sum += piece.IntegralTo(to) - piece.IntegralTo(from);
  }
  return sum;
}

// Slope at an end from the three-point formula, held to the shape of the data.
double EndSlope(double h0, double h1, double d0, double d1) {
  const double slope = ((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1);
  if (slope * d0 <= 0) return 0;
  return d0 * d1 <= 0 && std::fabs(slope) > 3 * std::fabs(d0) ? 3 * d0 : slope;
}

std::vector<double> PchipSlopes(const std::vector<double>& h, const std::vector<double>& d) {
  const size_t n = h.size();
  if (n == 1) return {d[0], d[0]};
  std::vector<double> slopes(n + 1);
  slopes[0] = EndSlope(h[0], h[1], d[0], d[1]);
  slopes[n] = EndSlope(h[n - 1], h[n - 2], d[n - 1], d[n - 2]);
  for (size_t i = 1; i < n; ++i) {
    if (d[i - 1] * d[i] <= 0) continue;  // a turning point is flat
    const double w1 = 2 * h[i] + h[i - 1], w2 = h[i] + 2 * h[i - 1];
    slopes[i] = (w1 + w2) / (w1 / d[i - 1] + w2 / d[i]);
  }
  return slopes;
}

std::vector<Cubic> FitPchip(const std::vector<Knot>& knots) {
  std::vector<double> h, d;
  for (size_t i = 0; i + 1 < knots.size(); ++i) {
    h.push_back(knots[i + 1].x - knots[i].x);
    d.push_back((knots[i + 1].y - knots[i].y) / h.back());
  }
  const std::vector<double> slopes = PchipSlopes(h, d);
  std::vector<Cubic> pieces;
  for (size_t i = 0; i < h.size(); ++i) {
    const double a = slopes[i], b = slopes[i + 1];
    pieces.push_back({knots[i].x,
                      knots[i + 1].x,
                      knots[i].x,
                      1.0,
                      {knots[i].y, a, (3 * d[i] - 2 * a - b) / h[i], (a + b - 2 * d[i]) / (h[i] * h[i])}});
  }
  return pieces;
}

// Solves the symmetric positive 4 x 4 system in place, by elimination with pivots.
std::array<double, 4> Solve(std::array<std::array<long double, 5>, 4> m) {
  for (size_t k = 0; k < 4; ++k) {
    size_t pivot = k;
    for (size_t i = k + 1; i < 4; ++i) {
      if (std::fabs(m[i][k]) > std::fabs(m[pivot][k])) pivot = i;
    }
    std::swap(m[k], m[pivot]);
    for (size_t i = k + 1; i < 4; ++i) {
      const long double factor = m[i][k] / m[k][k];
      for (size_t j = k; j < 5; ++j) m[i][j] -= factor * m[k][j];
    }
  }
  std::array<double, 4> solution{};
  for (size_t k = 4; k-- > 0;) {
    long double rest = m[k][4];
    for (size_t j = k + 1; j < 4; ++j) rest -= m[k][j] * solution[j];
    solution[k] = static_cast<double>(rest / m[k][k]);
  }
  return solution;
}

std::vector<Cubic> FitCubic(const std::vector<Knot>& knots) {
  const double low = knots.front().x, high = knots.back().x;
  const double origin = (low + high) / 2, scale = (high - low) / 2;
  std::array<std::array<long double, 5>, 4> normal{};
  for (const Knot& knot : knots) {
    std::array<long double, 4> power{1};
    for (size_t i = 1; i < 4; ++i) power[i] = power[i - 1] * ((knot.x - origin) / scale);
    for (size_t i = 0; i < 4; ++i) {
      for (size_t j = 0; j < 4; ++j) normal[i][j] += power[i] * power[j];
      normal[i][4] += power[i] * knot.y;
    }
  }
  return {{low, high, origin, scale, Solve(normal)}};
}

Status CheckPoints(std::span<const RatePoint> curve, std::string_view name) {
  for (size_t i = 0; i < curve.size(); ++i) {
    if (std::isfinite(curve[i].rate) && std::isfinite(curve[i].metric) && curve[i].rate > 0) continue;
    return InvalidArgument(
        fmt::format("BD: {}: point {}: rate {}, metric {}; expected finite numbers and a rate above 0", name, i,
                    curve[i].rate, curve[i].metric));
  }
  return OkStatus();
}

enum class Abscissa { kMetric, kLogRate };

// A curve without its dominated points, as knots along the abscissa.
struct Curve {
  std::vector<Knot> knots;
  size_t dropped;

  double low() const { return knots.front().x; }
  double high() const { return knots.back().x; }
};

Result<Curve> MakeCurve(std::span<const RatePoint> points, std::string_view name, Abscissa abscissa,
                        const BdOptions& options) {
  SLUICE_RETURN_IF_ERROR(CheckPoints(points, name));
  const std::vector<RatePoint> front = ParetoFront(points, options.sense);
  const size_t least = options.fit == BdFit::kCubic ? kCubicPoints : kPchipPoints;
  if (front.size() < least) {
    return InvalidArgument(fmt::format("BD: {}: {} of {} points are not dominated, expected at least {}", name,
                                       front.size(), points.size(), least));
  }
  Curve curve{{}, points.size() - front.size()};
  for (const RatePoint& point : front) {
    const double log_rate = std::log10(point.rate);
    curve.knots.push_back(abscissa == Abscissa::kMetric ? Knot{point.metric, log_rate} : Knot{log_rate, point.metric});
  }
  std::sort(curve.knots.begin(), curve.knots.end(), [](const Knot& a, const Knot& b) { return a.x < b.x; });
  const auto same = [](const Knot& a, const Knot& b) { return !(a.x < b.x); };
  if (std::adjacent_find(curve.knots.begin(), curve.knots.end(), same) != curve.knots.end()) {
    return InvalidArgument(fmt::format("BD: {}: two rates whose logarithms are equal", name));
  }
  return curve;
}

// The difference of the curves' means over their common range, with the range, and without the exponential of a rate.
Result<BdResult> MeanDifference(std::span<const RatePoint> anchor, std::span<const RatePoint> test, Abscissa abscissa,
                                const BdOptions& options) {
  SLUICE_ASSIGN_OR_RETURN(const Curve a, MakeCurve(anchor, "anchor", abscissa, options));
  SLUICE_ASSIGN_OR_RETURN(const Curve t, MakeCurve(test, "test", abscissa, options));
  BdResult result{.low = std::max(a.low(), t.low()),
                  .high = std::min(a.high(), t.high()),
                  .anchor_dropped = a.dropped,
                  .test_dropped = t.dropped};
  if (!(result.low < result.high)) {
    return Mismatch(fmt::format("BD: no overlap: {} of the anchor {} to {}, of the test {} to {}",
                                abscissa == Abscissa::kMetric ? "metric" : "log10(rate)", a.low(), a.high(), t.low(),
                                t.high()));
  }
  const auto fit = options.fit == BdFit::kCubic ? FitCubic : FitPchip;
  const double length = result.high - result.low;
  result.value =
      (Integrate(fit(t.knots), result.low, result.high) - Integrate(fit(a.knots), result.low, result.high)) / length;
  result.overlap = length / (std::max(a.high(), t.high()) - std::min(a.low(), t.low()));
  return result;
}

}  // namespace

std::vector<RatePoint> ParetoFront(std::span<const RatePoint> curve, MetricSense sense) {
  const double sign = sense == MetricSense::kHigherIsBetter ? 1 : -1;
  std::vector<RatePoint> sorted(curve.begin(), curve.end());
  std::sort(sorted.begin(), sorted.end(), [sign](const RatePoint& a, const RatePoint& b) {
    return a.rate != b.rate ? a.rate < b.rate : sign * a.metric > sign * b.metric;
  });
  std::vector<RatePoint> front;
  for (const RatePoint& point : sorted) {
    if (front.empty() || sign * point.metric > sign * front.back().metric) front.push_back(point);
  }
  return front;
}

Result<BdResult> BdRate(std::span<const RatePoint> anchor, std::span<const RatePoint> test, const BdOptions& options) {
  SLUICE_ASSIGN_OR_RETURN(BdResult result, MeanDifference(anchor, test, Abscissa::kMetric, options));
  result.value = 100 * (std::pow(10.0, result.value) - 1);
  return result;
}

Result<BdResult> BdMetric(std::span<const RatePoint> anchor, std::span<const RatePoint> test,
                          const BdOptions& options) {
  return MeanDifference(anchor, test, Abscissa::kLogRate, options);
}

}  // namespace sluice
