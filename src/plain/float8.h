#ifndef SLUICE_PLAIN_FLOAT8_H_
#define SLUICE_PLAIN_FLOAT8_H_

#include <bit>
#include <cstdint>

namespace sluice {

// The 8-bit float E4M3 of the Open Compute Project (OFP8 1.0, also arXiv 2209.05433): sign, 4 bits of exponent with
// bias 7, 3 of mantissa. There is no infinity; magnitude 0x7F is NaN, so 0x7E is the largest finite value, 448; the
// subnormal step is 2^-9.

inline constexpr float kLargestE4m3 = 448.0f;
inline constexpr uint8_t kE4m3Nan = 0x7F;

/// Exact. 0x7F and 0xFF give NaN.
inline float E4m3ToFloat(uint8_t code) {
  const uint32_t sign = static_cast<uint32_t>(code & 0x80) << 24;
  const uint32_t magnitude = code & 0x7Fu;
  if (magnitude == kE4m3Nan) return std::bit_cast<float>(sign | 0x7FC00000u);
  if (magnitude >= 8) return std::bit_cast<float>(sign | ((magnitude << 20) + (uint32_t{120} << 23)));
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(static_cast<float>(magnitude) * 0x1p-9f));
}

/// Exact: round to nearest, ties to even; what is beyond 448, infinity included, saturates there; NaN stays NaN.
inline uint8_t FloatToE4m3(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint8_t>((bits >> 24) & 0x80);
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return sign | kE4m3Nan;
  if (magnitude >= std::bit_cast<uint32_t>(kLargestE4m3)) return sign | (kE4m3Nan - 1);
  if (magnitude < std::bit_cast<uint32_t>(0x1p-6f)) {
    // Below the smallest normal: the FPU rounds at 2^-9 when 2^14 is added, whose last place that is.
    const float rounded = std::bit_cast<float>(magnitude) + 0x1p14f;
    return sign | static_cast<uint8_t>(std::bit_cast<uint32_t>(rounded) - std::bit_cast<uint32_t>(0x1p14f));
  }
  const uint32_t odd = (magnitude >> 20) & 1;
  return sign | static_cast<uint8_t>((magnitude - (uint32_t{120} << 23) + 0x7FFFFu + odd) >> 20);
}

}  // namespace sluice

#endif  // SLUICE_PLAIN_FLOAT8_H_
