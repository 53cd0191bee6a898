#ifndef SLUICE_CODEC_VALUE_LATTICE_H_
#define SLUICE_CODEC_VALUE_LATTICE_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace sluice {

/// The numbers that a chunk's values are taken from: the neighbours of v, |v| in [2^e, 2^(e + 1)), are 2^max(e -
/// mantissa, lowest) away. With the right two numbers that is any IEEE format, subnormals included, and any uniform
/// grid.
struct ValueLattice {
  int mantissa = 0;  ///< 0 to 52
  int lowest = 0;    ///< exponent of the smallest step, -1074 to 900

  int StepAt(int exponent) const { return std::max(exponent - mantissa, lowest); }

  friend bool operator==(const ValueLattice&, const ValueLattice&) = default;
};

/// floor(log2 |v|). Needs: v normal and not 0.
inline int ExponentOf(double v) { return static_cast<int>((std::bit_cast<uint64_t>(v) >> 52) & 0x7FF) - 1023; }

/// 2^exponent. Needs: -1022 <= exponent <= 1023.
inline double PowerOfTwo(int exponent) { return std::bit_cast<double>(static_cast<uint64_t>(exponent + 1023) << 52); }

/// A lattice value as the bucket of width 2^k that it lies in, toward zero, and its place in there.
struct LatticeParts {
  int64_t bucket = 0;     ///< trunc(v / 2^k)
  int depth = 0;          ///< in bucket 0: how many octaves below 2^k; k - lowest for v = 0
  uint64_t place = 0;     ///< the lower bits of v
  int place_bits = 0;     ///< how many
  bool negative = false;  ///< sign of v; the bucket shows it unless it is 0
};

/// How many places a bucket of width 2^k has, as log2. Needs: bucket != 0.
inline int PlaceBits(const ValueLattice& lattice, int64_t bucket, int k) {
  const int exponent = k + std::bit_width(static_cast<uint64_t>(bucket < 0 ? -bucket : bucket)) - 1;
  return std::max(0, k - lattice.StepAt(exponent));
}
/// The same for the octave of bucket 0 that lies `depth` below 2^k. Needs: 0 <= depth < k - lowest.
inline int DepthPlaceBits(const ValueLattice& lattice, int depth, int k) {
  const int exponent = k - 1 - depth;
  return exponent - lattice.StepAt(exponent);
}

/// Needs: v on the lattice, |v| < 2^(k + 40), k >= lowest.
inline LatticeParts SplitValue(const ValueLattice& lattice, double v, int k) {
  LatticeParts parts;
  parts.negative = std::signbit(v);
  const double a = std::fabs(v);
  parts.bucket = static_cast<int64_t>(a * PowerOfTwo(-k));
  if (parts.bucket != 0) {
    parts.place_bits = PlaceBits(lattice, parts.bucket, k);
    const double inside = a - static_cast<double>(parts.bucket) * PowerOfTwo(k);
    parts.place = static_cast<uint64_t>(inside * PowerOfTwo(parts.place_bits - k));
    if (parts.negative) parts.bucket = -parts.bucket;
    return parts;
  }
  if (a == 0) {
    parts.depth = k - lattice.lowest;
    return parts;
  }
  const int exponent = ExponentOf(a);
  parts.depth = k - 1 - exponent;
  parts.place_bits = DepthPlaceBits(lattice, parts.depth, k);
  parts.place = static_cast<uint64_t>((a - PowerOfTwo(exponent)) * PowerOfTwo(parts.place_bits - exponent));
  return parts;
}

/// Inverse of SplitValue for a bucket other than 0.
inline double JoinBucket(int64_t bucket, uint64_t place, int place_bits, int k) {
  const double whole = static_cast<double>(bucket < 0 ? -bucket : bucket) * PowerOfTwo(k);
  const double value = whole + static_cast<double>(place) * PowerOfTwo(k - place_bits);
  return bucket < 0 ? -value : value;
}
/// Inverse of SplitValue for bucket 0 and a value other than 0.
inline double JoinDepth(int depth, uint64_t place, int place_bits, bool negative, int k) {
  const int exponent = k - 1 - depth;
  const double value = PowerOfTwo(exponent) + static_cast<double>(place) * PowerOfTwo(exponent - place_bits);
  return negative ? -value : value;
}

}  // namespace sluice

#endif  // SLUICE_CODEC_VALUE_LATTICE_H_
