// Integer matrix products for vectors of 16-bit elements, one source for every instruction set.
//
// A pair of inputs is broadcast and multiplied with a pair of weights for each row of a panel; the instruction that
// does so adds the two products, exactly, to 32 bits (PMADDWD and its like). 8-bit products have twice the width, but
// their pairs saturate in 16 bits for some inputs, and what both ends must agree on may not depend on luck. Weights are
// stored in 8 bits and widened on the way in: with one token, when memory is what limits, that halves the traffic, and
// with many it costs one step in twelve. Tokens go in blocks that stay in the cache next to a panel.
#include "simd/integer_kernels.h"

#include <algorithm>
#include <cstring>
#include <vector>

// Vectors without a fixed length would need kernels of their own.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/integer_kernels.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "simd/target_choice.h"

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {
namespace {

#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128

[[maybe_unused]] const IntegerKernels& TargetIntegerKernels() { return PlainIntegerKernels(); }

#else

namespace hn = hwy::HWY_NAMESPACE;

using DI16 = hn::CappedTag<int16_t, 2 * kPanelRows>;
using DI32 = hn::Repartition<int32_t, DI16>;
using DI8 = hn::Rebind<int8_t, DI16>;
using V32 = hn::Vec<DI32>;

constexpr size_t kVectorRows = HWY_MAX_BYTES / sizeof(int32_t);
/// Vectors of sums of one token in a tile; a panel has one or two tiles.
constexpr size_t kTileVectors = kVectorRows == kPanelRows ? 1 : 2;
/// Tokens of a tile: its sums fill most of the registers.
constexpr size_t kTileTokens = kTileVectors == 1 ? 12 : kVectorRows == 8 ? 6 : 4;
/// Tokens of the tiles after the last whole one.
constexpr size_t kFewTokens = kTileVectors == 1 ? 4 : 2;
/// Tokens of a block: their inputs stay in the second-level cache while panel after panel passes.
constexpr size_t kBlockTokens = 96;

/// Two inputs for every row.
HWY_INLINE hn::Vec<DI16> BroadcastPair(const int16_t* inputs) {
  int32_t pair;
  std::memcpy(&pair, inputs, sizeof(pair));
  return hn::BitCast(DI16(), hn::Set(DI32(), pair));
}

/// Ties a sum to one register here: g++ would otherwise hold all products of a round first, for which there are not
/// enough registers.
HWY_INLINE void KeepInPlace([[maybe_unused]] V32& sum) {
#if HWY_ARCH_X86
  asm volatile("" : "+v"(sum.raw));
#endif
}

template <size_t kTokens>
HWY_INLINE void Tile(const IntegerProduct& product, const int8_t* HWY_RESTRICT weights, size_t row, size_t token) {
  const DI16 d16;
  const DI32 d32;
  V32 even[kTokens][kTileVectors], odd[kTokens][kTileVectors];
  for (size_t t = 0; t < kTokens; ++t) {
    for (size_t v = 0; v < kTileVectors; ++v) even[t][v] = odd[t][v] = hn::Zero(d32);
  }
  const size_t columns = product.weights.padded_columns();
  const size_t stride = product.input_stride;
  const int16_t* HWY_RESTRICT const inputs = product.inputs + token * stride;
  for (size_t column = 0; column < columns; column += kColumnStep, weights += kPanelRows * kColumnStep) {
    hn::Vec<DI16> weight[kTileVectors];
    for (size_t v = 0; v < kTileVectors; ++v) {
      weight[v] = hn::PromoteTo(d16, hn::LoadU(DI8(), weights + v * kVectorRows * kColumnStep));
    }
    for (size_t t = 0; t < kTokens; ++t) {
      const hn::Vec<DI16> pair = BroadcastPair(inputs + t * stride + column);
      for (size_t v = 0; v < kTileVectors; ++v) {
        even[t][v] = hn::ReorderWidenMulAccumulate(d32, pair, weight[v], even[t][v], odd[t][v]);
        KeepInPlace(even[t][v]);
      }
    }
  }
  for (size_t t = 0; t < kTokens; ++t) {
    for (size_t v = 0; v < kTileVectors; ++v) {
      int32_t* const sums = product.sums + (token + t) * product.sum_stride + row + v * kVectorRows;
      const V32 sum = hn::RearrangeToOddPlusEven(even[t][v], odd[t][v]);
      hn::StoreU(product.add ? hn::Add(hn::LoadU(d32, sums), sum) : sum, d32, sums);
    }
  }
}

/// One panel's part of the tokens [begin, end).
HWY_INLINE void Panel(const IntegerProduct& product, size_t row, size_t begin, size_t end) {
  const int8_t* const panel = product.weights.data() + row * product.weights.padded_columns();
  for (size_t part = 0; part < kPanelRows; part += kTileVectors * kVectorRows) {
    const int8_t* const weights = panel + part * kColumnStep;
    size_t token = begin;
    for (; token + kTileTokens <= end; token += kTileTokens) Tile<kTileTokens>(product, weights, row + part, token);
    for (; token + kFewTokens <= end; token += kFewTokens) Tile<kFewTokens>(product, weights, row + part, token);
    for (; token < end; ++token) Tile<1>(product, weights, row + part, token);
  }
}

void Multiply(const IntegerProduct& product) {
  for (size_t begin = 0; begin < product.tokens; begin += kBlockTokens) {
    const size_t end = std::min(begin + kBlockTokens, product.tokens);
    for (size_t row = 0; row < product.weights.padded_rows(); row += kPanelRows) Panel(product, row, begin, end);
  }
}

void RequantizeVectors(const Requantization& step) {
  const DI32 d32;
  const hn::Rebind<int16_t, DI32> d16;
  const V32 half = hn::Set(d32, step.shift > 0 ? int32_t{1} << (step.shift - 1) : 0);
  const V32 low = hn::Set(d32, step.low), high = hn::Set(d32, step.high);
  size_t i = 0;
  for (; i + kVectorRows <= step.count; i += kVectorRows) {
    const V32 value = hn::ShiftRightSame(hn::Add(hn::LoadU(d32, step.sums + i), half), step.shift);
    hn::StoreU(hn::DemoteTo(d16, hn::Min(hn::Max(value, low), high)), d16, step.outputs + i);
  }
  PlainIntegerKernels().requantize({step.sums + i, step.count - i, step.shift, step.low, step.high, step.outputs + i});
}

[[maybe_unused]] const IntegerKernels& TargetIntegerKernels() {
  static const IntegerKernels kernels = {hwy::TargetName(HWY_TARGET), Multiply, RequantizeVectors};
  return kernels;
}

#endif

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice {
namespace {

constexpr TargetCandidate<IntegerKernels> kCandidates[] = {
    SLUICE_TARGET_CANDIDATES(TargetIntegerKernels, PlainIntegerKernels, true)};

}  // namespace

const IntegerKernels& BestIntegerKernels() {
  static const IntegerKernels& best = ChooseKernels<IntegerKernels>(kCandidates);
  return best;
}

std::span<const IntegerKernels> AllIntegerKernels() {
  static const std::vector<IntegerKernels> all = ListKernels<IntegerKernels>(kCandidates);
  return all;
}

}  // namespace sluice
#endif  // HWY_ONCE
