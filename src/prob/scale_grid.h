#ifndef SLUICE_PROB_SCALE_GRID_H_
#define SLUICE_PROB_SCALE_GRID_H_

#include <cstdint>

namespace sluice {

/// The scales sigma(i) = 0.11 * (16 / 0.11)^(i / 63): 64 with tables of their own, up to 16, and 70 more, up to about
/// 4060, that code the high part of a value with one of those tables and the low bits as they are.
inline constexpr int kGaussianScales = 64;
inline constexpr int kScaleCodes = 134;

/// sigma(i) in units of 2^-32. Exact: the definition of the grid; integers only. Range: i in [0, kScaleCodes).
uint64_t ScaleQ32(int index);

/// sigma(i) as a float. Indices out of range count as the nearest in range.
float ScaleValue(int index);

/// The nearest scale in the log domain: the boundaries are the geometric means of neighbours. NaN and negative: 0.
int ScaleIndex(float sigma);

/// How a scale is coded: shift the value right by `low_bits`, use table `table`.
struct ScaleRoute {
  uint8_t table;
  uint8_t low_bits;
};

/// `low_bits` is the least that brings sigma to 16 or below, `table` the nearest to what remains.
/// Indices out of range count as the nearest in range.
ScaleRoute RouteOfScale(int index);

}  // namespace sluice

#endif  // SLUICE_PROB_SCALE_GRID_H_
