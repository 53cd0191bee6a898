// One-sided Jacobi rotations (Hestenes, 1958): pairs of rows of the matrix are rotated until all rows are orthogonal;
// rows then point along the axes and are as long as the variances. It needs only sums over rows, which vectorize, and
// it is as exact as doubles allow. A ridge of 1e-9 of the largest variance, which moves no axis, keeps the rows of axes
// without variance away from zero.
#include "codec/principal_axes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace sluice {
namespace {

constexpr double kRidge = 1e-9;
constexpr double kOrthogonal = 1e-12;  // cosine between two rows below which they are left alone
constexpr int kMaxSweeps = 30;

double Dot(const double* a, const double* b, size_t size) {
  constexpr size_t kLanes = 8;
  std::array<double, kLanes> sums{};
  size_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    for (size_t k = 0; k < kLanes; ++k) sums[k] += a[i + k] * b[i + k];
  }
  for (; i < size; ++i) sums[0] += a[i] * b[i];
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

// Rotates rows p and q to be orthogonal, given their squared lengths; false when they are already.
bool Rotate(double* p, double* q, size_t size, double& pp, double& qq) {
  const double pq = Dot(p, q, size);
  if (std::fabs(pq) <= kOrthogonal * std::sqrt(pp * qq)) return false;
  const double zeta = (qq - pp) / (2 * pq);
  const double tangent = std::copysign(1.0, zeta) / (std::fabs(zeta) + std::sqrt(1 + zeta * zeta));
  const double cosine = 1 / std::sqrt(1 + tangent * tangent), sine = cosine * tangent;
  for (size_t i = 0; i < size; ++i) {
    const double a = p[i], b = q[i];
    p[i] = cosine * a - sine * b;
    q[i] = sine * a + cosine * b;
  }
  pp -= tangent * pq;
  qq += tangent * pq;
  return true;
}

}  // namespace

PrincipalAxes FindPrincipalAxes(const Matrix<double>& covariance, const std::function<bool(int)>& sweep_done) {
  const size_t d = covariance.rows();
  Matrix<double> rows = covariance;
  double largest = 0;
  for (size_t i = 0; i < d; ++i) largest = std::max(largest, covariance.row(i)[i]);
  const double ridge = largest > 0 ? kRidge * largest : 1;
  for (size_t i = 0; i < d; ++i) rows.row(i)[i] += ridge;
  std::vector<double> squares(d);
  for (int sweep = 1; sweep <= kMaxSweeps; ++sweep) {
    for (size_t i = 0; i < d; ++i) squares[i] = Dot(rows.row(i).data(), rows.row(i).data(), d);
    bool rotated = false;
    for (size_t p = 0; p < d; ++p) {
      for (size_t q = p + 1; q < d; ++q) {
        rotated |= Rotate(rows.row(p).data(), rows.row(q).data(), d, squares[p], squares[q]);
      }
    }
    if (!sweep_done(sweep) || !rotated) break;
  }
  for (size_t i = 0; i < d; ++i) squares[i] = Dot(rows.row(i).data(), rows.row(i).data(), d);
  std::vector<size_t> order(d);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return squares[a] < squares[b]; });
  PrincipalAxes result{Matrix<double>(d, d), std::vector<double>(d)};
  for (size_t i = 0; i < d; ++i) {
    const double length = std::sqrt(squares[order[i]]);
    const auto from = rows.row(order[i]);
    std::transform(from.begin(), from.end(), result.axes.row(i).data(), [&](double v) { return v / length; });
    result.variances[i] = std::max(0.0, length - ridge);
  }
  return result;
}

}  // namespace sluice
