// On a grid of step h the density follows from itself: exp(-(t + h)^2 / 2) / exp(-t^2 / 2) = exp(-t h) exp(-h^2 / 2),
// and that ratio changes from node to node by the constant factor exp(-h^2). With h = 2^-10 both constants are a few
// terms of the exponential series in powers of two. The integral over a cell is the trapezoid plus its first
// Euler-Maclaurin correction, which needs the derivative -t exp(-t^2 / 2) only at the ends of the whole range.
// Between nodes a Taylor polynomial of third degree from the nearest one remains below 2^-47.
#include "prob/normal_integral.h"

#include <algorithm>

namespace sluice {
namespace {

using int128 = __int128;

constexpr int kNodeBits = 10;  // nodes a unit, as a power of two
constexpr int kNodes = 8 << kNodeBits;
constexpr int64_t kOne = int64_t{1} << 62;
constexpr int64_t kExpHalfStep = kOne - (int64_t{1} << 41) + (int64_t{1} << 19);  // exp(-2^-21)
constexpr int64_t kExpStep = kOne - (int64_t{1} << 42) + (int64_t{1} << 21) - 1;  // exp(-2^-20)

int64_t MultiplyQ62(int64_t a, int64_t b) { return static_cast<int64_t>((int128{a} * b + (int128{1} << 61)) >> 62); }

}  // namespace

NormalIntegral::NormalIntegral() {
  nodes_.reserve(kNodes + 1);
  int64_t density = kOne;
  int64_t ratio = kExpHalfStep;
  int128 trapezoids = 0;  // twice the sum of densities, in units of h / 2
  for (int i = 0; i <= kNodes; ++i) {
    const int128 area = trapezoids >> (kNodeBits + 1);
    const int128 correction = (int128{i} * density) / (int128{12} << (3 * kNodeBits));
    nodes_.push_back({density, static_cast<int64_t>(area + correction)});
    trapezoids += density;
    density = MultiplyQ62(density, ratio);
    trapezoids += density;
    ratio = MultiplyQ62(ratio, kExpStep);
  }
}

int64_t NormalIntegral::At(int64_t t_q32) const {
  const bool negative = t_q32 < 0;
  const int64_t t = std::min(negative ? -t_q32 : t_q32, int64_t{8} << 32);
  constexpr int kStepBits = 32 - kNodeBits;
  const int64_t i = (t + (int64_t{1} << (kStepBits - 1))) >> kStepBits;
  const int64_t d = t - (i << kStepBits);  // in units of 2^-32, at most 2^21 of them
  const Node& node = nodes_[static_cast<size_t>(i)];
  // d - t d^2 / 2 + (t^2 - 1) d^3 / 6 in units of 2^-52, with t = i / 1024 at the node.
  const int64_t square = d * d;                     // 2^-64
  const int64_t cube = ((square >> 20) * d) >> 14;  // 2^-62
  const int64_t second = (square * i) >> 23;        // t d^2 / 2
  const int64_t third = (cube * (i * i - (int64_t{1} << (2 * kNodeBits))) / 6) >> 30;
  const int64_t series = (d << 20) - second + third;
  const int64_t value = node.integral + static_cast<int64_t>((int128{node.density} * series) >> 52);
  return negative ? -(value >> 2) : value >> 2;
}

}  // namespace sluice
