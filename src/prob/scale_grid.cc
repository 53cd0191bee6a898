// The grid is a geometric series evaluated in fixed point from two constants, so that every machine has the same
// integers. 64 scales over 7.2 octaves put neighbours 8 % apart; the nearest one costs at most 0.0006 bits a symbol.
#include "prob/scale_grid.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace sluice {
namespace {

using uint128 = unsigned __int128;

constexpr uint64_t kFirstQ44 = 1935140464886;         // 0.11 * 2^44
constexpr uint64_t kRatioQ62 = 4991013400188894872u;  // (16 / 0.11)^(1 / 63) * 2^62

// Floats that share exponent and four bits of mantissa are a bucket: at most a sixteenth apart, less than neighbours of
// the grid are, so one boundary at most runs through it.
constexpr int kBucketShift = 19;
constexpr float kBelowGrid = 0x1p-4F, kBeyondGrid = 0x1p12F;  // all boundaries lie between
constexpr uint32_t kFirstBucket = std::bit_cast<uint32_t>(kBelowGrid) >> kBucketShift;
constexpr uint32_t kBuckets = (std::bit_cast<uint32_t>(kBeyondGrid) >> kBucketShift) - kFirstBucket + 1;

struct Grid {
  std::array<uint64_t, kScaleCodes> q32;
  std::array<float, kScaleCodes> boundary;  // beyond the last: infinity
  std::array<uint8_t, kBuckets> first;      // index of the least float of a bucket
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
  uint8_t index = 0;
  for (uint32_t bucket = 0; bucket < kBuckets; ++bucket) {
    while (grid.boundary[index] <= std::bit_cast<float>((bucket + kFirstBucket) << kBucketShift)) ++index;
    grid.first[bucket] = index;
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
  const Grid& grid = TheGrid();
  // NaN compares as false, and so becomes the least.
  const float bounded = std::min(sigma > kBelowGrid ? sigma : kBelowGrid, kBeyondGrid);
  const int index = grid.first[(std::bit_cast<uint32_t>(bounded) >> kBucketShift) - kFirstBucket];
  return index + (grid.boundary[index] <= bounded ? 1 : 0);
}

ScaleRoute RouteOfScale(int index) { return TheGrid().route[InRange(index)]; }

}  // namespace sluice
