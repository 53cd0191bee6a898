// Elements become floats, which hold all three source types exactly, and every kind of fidelity is a choice of floats:
// all of them, those of fewer mantissa bits, or integers that count steps. Subnormals of 32 bits, infinities and NaN
// are left to be kept as they are. The loops have no branches, so that the compiler vectorizes them.
#include "codec/chunk_values.h"

#include <bit>
#include <cmath>

#include "base/bytes.h"
#include "base/half.h"
#include "base/vector_clones.h"
#include "codec/value_lattice.h"

namespace sluice {
namespace {

constexpr uint32_t kSignBit = 0x80000000u;
constexpr uint32_t kFractionMask = 0x7FFFFF;

SLUICE_VECTOR_CLONES
void HalvesToFloats(const uint8_t* bytes, size_t count, float* out) {
  for (size_t i = 0; i < count; ++i) {
    const uint32_t half = LoadLe<uint16_t>(bytes + 2 * i);
    // The exponent of a half is 112 less; the product is exact, subnormals included.
    const float magnitude = std::bit_cast<float>((half & 0x7FFF) << 13) * 0x1p112f;
    const float value = std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | (half & 0x8000) << 16);
    out[i] = (half & 0x7C00) == 0x7C00 ? kNoValue : value;
  }
}

// Leaves normal numbers and zeros.
void DropOthers(size_t count, float* values) {
  for (size_t i = 0; i < count; ++i) {
    const uint32_t magnitude = std::bit_cast<uint32_t>(values[i]) & ~kSignBit;
    const bool kept = magnitude == 0 || magnitude - 0x800000u < 0x7F000000u;
    values[i] = kept ? values[i] : kNoValue;
  }
}

void ToFloats(const ChunkInput& in, float* out) {
  const size_t count = in.tokens * in.width;
  switch (in.dtype) {
    case DType::kF16:
      return HalvesToFloats(in.bytes.data(), count, out);
    case DType::kBf16:
      for (size_t i = 0; i < count; ++i) out[i] = Bfloat16ToFloat(LoadLe<uint16_t>(in.bytes.data() + 2 * i));
      return DropOthers(count, out);
    default:
      std::memcpy(out, in.bytes.data(), 4 * count);
      return DropOthers(count, out);
  }
}

// Rounds to `bits` mantissa bits, ties away from zero.
SLUICE_VECTOR_CLONES
void RoundMantissas(int bits, size_t count, float* values) {
  if (bits >= kMantissaBits) return;
  const uint32_t half = 1u << (kMantissaBits - 1 - bits);
  const uint32_t mask = ~((1u << (kMantissaBits - bits)) - 1);
  for (size_t i = 0; i < count; ++i) {
    const uint32_t old = std::bit_cast<uint32_t>(values[i]);
    const uint32_t rounded = (old & ~kSignBit) == 0 ? old : (old + half) & mask;
    values[i] = (rounded & ~kSignBit) >= 0x7F800000u ? kNoValue : std::bit_cast<float>(rounded);
  }
}

int RelativeMantissa(double bound) {
  int bits = 0;
  while (bits < kMantissaBits && std::exp2(-(bits + 1)) > bound) ++bits;
  return bits;
}

struct BitsInUse {
  uint32_t fractions;
  uint32_t negative_zeros;
};

SLUICE_VECTOR_CLONES
BitsInUse UseOf(size_t count, const float* values) {
  BitsInUse used{0, 0};
  for (size_t i = 0; i < count; ++i) {
    const uint32_t bits = std::bit_cast<uint32_t>(values[i]);
    used.fractions |= values[i] == values[i] ? bits & kFractionMask : 0;
    used.negative_zeros |= bits == kSignBit ? 1 : 0;
  }
  return used;
}

// Integers that count steps. With a bound, those that miss it are left out.
SLUICE_VECTOR_CLONES
void ToGrid(double step, double bound, size_t count, float* values) {
  constexpr double kRounder = 0x1.8p52;  // adding it rounds to an integer
  constexpr double kLargest = 1 << kMaxGridBits;
  const double inverse = 1 / step;
  for (size_t i = 0; i < count; ++i) {
    const double x = values[i];
    const double value = (x * inverse + kRounder) - kRounder;
    const double error = std::fabs(static_cast<double>(static_cast<float>(value * step)) - x);
    const bool kept = (std::fabs(value) <= kLargest) & (error <= bound);
    values[i] = kept ? static_cast<float>(value + 0.0) : kNoValue;
  }
}

}  // namespace

uint32_t WordAt(std::span<const uint8_t> bytes, DType dtype, size_t i) {
  return dtype == DType::kF32 ? LoadLe<uint32_t>(bytes.data() + 4 * i) : LoadLe<uint16_t>(bytes.data() + 2 * i);
}

float FloatOf(DType dtype, uint32_t word) {
  if (dtype == DType::kF32) return std::bit_cast<float>(word);
  return dtype == DType::kF16 ? HalfToFloat(static_cast<uint16_t>(word)) : Bfloat16ToFloat(static_cast<uint16_t>(word));
}

uint32_t WordOf(DType dtype, float value) {
  if (dtype == DType::kF32) return std::bit_cast<uint32_t>(value);
  return dtype == DType::kF16 ? FloatToHalf(value) : FloatToBfloat16(value);
}

ChunkValues MakeValues(const ChunkInput& in, const FidelitySpec& spec, double step) {
  ChunkValues made{Matrix<float>(in.tokens, in.width), step};
  const size_t count = in.tokens * in.width;
  float* values = made.values.data();
  ToFloats(in, values);
  if (step > 0) {
    const bool bounded = spec.kind == Fidelity::kAbsolute;
    ToGrid(step, bounded ? spec.bound : std::numeric_limits<double>::max(), count, values);
    return made;
  }
  if (spec.kind == Fidelity::kRelative) RoundMantissas(RelativeMantissa(spec.bound), count, values);
  const BitsInUse used = UseOf(count, values);
  made.mantissa = used.fractions == 0 ? 0 : kMantissaBits - std::countr_zero(used.fractions);
  made.signed_zeros = used.negative_zeros != 0;
  return made;
}

}  // namespace sluice
