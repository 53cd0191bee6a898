// The grid is a geometric series evaluated in fixed point from two constants, so that every machine has the same
// integers. 64 scales over 7.2 octaves put neighbours 8 % apart; the nearest one costs at most 0.0006 bits a symbol.
#include "prob/scale_grid.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace sluice {
namespace {

using uint128 = unsigned __int128;

constexpr uint64_t kFirstQ44 = 1935140464886;         // 0.11 * 2^44
constexpr uint64_t kRatioQ62 = 4991013400188894872u;  // (16 / 0.11)^(1 / 63) * 2^62

constexpr int kFirstStep = 128;  // of the search for an index: the largest power of two below kScaleCodes

struct Grid {
  std::array<uint64_t, kScaleCodes> q32;
  std::array<float, 2 * kFirstStep - 1> boundary;  // beyond the last: infinity
  std::array<ScaleRoute, kScaleCodes> route;
};

/// The first of the 64 scales whose upper boundary lies beyond x.
uint8_t NearestTable(const std::array<uint64_t, kScaleCodes>& q32, uint64_t x) {
  uint8_t index = 0;
  while (index + 1 < kGaussianScales && uint128{x} * x > uint128{q32[index]} * q32[index + 1]) ++index;
  return index;
}

Grid MakeGrid() {
  Grid grid;
  grid.boundary.fill(std::numeric_limits<float>::infinity());
  uint64_t sigma = kFirstQ44;
  for (uint64_t& q32 : grid.q32) {
    q32 = (sigma + (1 << 11)) >> 12;
    sigma = static_cast<uint64_t>((uint128{sigma} * kRatioQ62 + (uint128{1} << 61)) >> 62);
  }
  for (int i = 0; i < kScaleCodes; ++i) {
    ScaleRoute& route = grid.route[i];
    route.low_bits = 0;
    while (grid.q32[i] >> route.low_bits > grid.q32[kGaussianScales - 1]) ++route.low_bits;
    route.table = NearestTable(grid.q32, grid.q32[i] >> route.low_bits);
    if (i > 0) {
      const double product = static_cast<double>(grid.q32[i - 1]) * static_cast<double>(grid.q32[i]);
      grid.boundary[i - 1] = static_cast<float>(std::sqrt(product) * 0x1p-32);
    }
  }
  return grid;
}

const Grid& TheGrid() {
  static const Grid grid = MakeGrid();
  return grid;
}

int InRange(int index) { return std::clamp(index, 0, kScaleCodes - 1); }

}  // namespace

uint64_t ScaleQ32(int index) { return TheGrid().q32[InRange(index)]; }

float ScaleValue(int index) { return static_cast<float>(static_cast<double>(ScaleQ32(index)) * 0x1p-32); }

int ScaleIndex(float sigma) {
  const auto& boundary = TheGrid().boundary;
  const float bounded = std::min(sigma, std::numeric_limits<float>::max());
  // No branch: which half a scale is in is what a processor cannot foresee.
  size_t index = 0;
  for (size_t step = kFirstStep; step > 0; step /= 2) index += boundary[index + step - 1] <= bounded ? step : 0;
  return static_cast<int>(index);
}

ScaleRoute RouteOfScale(int index) { return TheGrid().route[InRange(index)]; }

}  // namespace sluice
