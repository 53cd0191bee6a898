#ifndef SLUICE_CODEC_VALUE_LATTICE_H_
#define SLUICE_CODEC_VALUE_LATTICE_H_

#include <bit>
#include <cstdint>

namespace sluice {

inline constexpr int kMantissaBits = 23;   ///< of a float, the leading one not counted
inline constexpr int kMaxDepth = 8;        ///< octaves below a bucket's width that are coded
inline constexpr int kMaxGridBits = 24;    ///< a grid's values are integers of at most this magnitude, as log2
inline constexpr int kExponentLimit = 90;  ///< bucket widths are 2^-90 to 2^90

/// floor(log2 |v|). Needs: v normal.
inline int ExponentOf(float v) { return static_cast<int>((std::bit_cast<uint32_t>(v) >> kMantissaBits) & 0xFF) - 127; }

/// 2^exponent. Needs: -126 <= exponent <= 127.
inline float PowerOfTwo(int exponent) {
  return std::bit_cast<float>(static_cast<uint32_t>(exponent + 127) << kMantissaBits);
}

/// A value of a chunk as the bucket of width 2^k that it lies in and what tells it from the others in there.
struct LatticeParts {
  int32_t bucket;
  uint32_t place;  ///< raw bits
  int place_bits;
};

/// Floats of `mantissa` bits, sign and magnitude: bucket i >= 0 holds [i, i + 1) 2^k, bucket -1 - i their negatives.
/// In the buckets 0 and -1 the place begins with as many zeros as there are octaves between the value and 2^k.
/// Needs: v normal, ExponentOf(v) - k in [-1 - kMaxDepth, 22].
inline LatticeParts SplitFloat(float v, int mantissa, int k) {
  const uint32_t bits = std::bit_cast<uint32_t>(v);
  const uint32_t fraction = (bits & 0x7FFFFF) >> (kMantissaBits - mantissa);
  const int octave = ExponentOf(v) - k;  // floor(log2 |v| / 2^k)
  const int32_t sign = static_cast<int32_t>(bits) >> 31;
  if (octave < 0) {
    const int depth = -1 - octave;
    return {sign, (fraction << 1 | 1) << depth, depth + 1 + mantissa};
  }
  const int place_bits = octave < mantissa ? mantissa - octave : 0;
  const uint32_t whole = (0x800000u | (bits & 0x7FFFFF)) >> (kMantissaBits - octave);
  return {static_cast<int32_t>(whole) ^ sign, fraction & ((1u << place_bits) - 1), place_bits};
}

/// Inverse for a bucket other than 0 and -1: its places, as log2, and the value at one of them.
/// Needs: |bucket| < 2^23; the exponent of the bucket at most 127.
inline int PlaceBits(int32_t magnitude, int mantissa) {
  const int octave = std::bit_width(static_cast<uint32_t>(magnitude)) - 1;
  return octave < mantissa ? mantissa - octave : 0;
}

}  // namespace sluice

#endif  // SLUICE_CODEC_VALUE_LATTICE_H_
