#ifndef SLUICE_CODEC_CHUNK_VALUES_H_
#define SLUICE_CODEC_CHUNK_VALUES_H_

#include <cstdint>
#include <limits>
#include <span>

#include "base/view.h"
#include "codec/activation_coder.h"
#include "format/dtype.h"

namespace sluice {

/// A chunk as it came: tokens * width elements of F32, F16 or BF16.
struct ChunkInput {
  std::span<const uint8_t> bytes;
  DType dtype;
  size_t tokens;
  size_t width;
};

/// Stands among the values for an element that is kept as it is.
inline constexpr float kNoValue = std::numeric_limits<float>::quiet_NaN();

/// The values that a chunk's elements are coded as.
struct ChunkValues {
  Matrix<float> values;  ///< each normal, 0 or kNoValue; integers where step is not 0
  double step = 0;
  int mantissa = 0;  ///< bits that all values together need; 0 where step is not 0
  bool signed_zeros = false;
};

/// Bits of one element. Needs: i < tokens * width.
uint32_t WordAt(std::span<const uint8_t> bytes, DType dtype, size_t i);
/// Element from bits and back, rounding to nearest.
float FloatOf(DType dtype, uint32_t word);
uint32_t WordOf(DType dtype, float value);

/// What the decoder makes of a value.
inline float Reconstruct(float value, double step) {
  return step > 0 ? static_cast<float>(static_cast<double>(value) * step) : value;
}

/// Data: `step` is that of the grid for an absolute bound and for bits, 0 for the others.
ChunkValues MakeValues(const ChunkInput& in, const FidelitySpec& spec, double step);

}  // namespace sluice

#endif  // SLUICE_CODEC_CHUNK_VALUES_H_
