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

// AVX-512 with VNNI multiplies pairs and adds them to a sum in one instruction.
#define HWY_WANT_AVX3_DL
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
/// Panels of a tile: two where one vector is a panel, since an input that is broadcast costs as much as a product.
constexpr size_t kTilePanels = kTileVectors == 1 ? 2 : 1;
/// Tokens of a tile: its sums fill most of 16 registers; g++ finds no good order for more where there are 32.
constexpr size_t kTileTokens = HWY_MAX_BYTES >= 32 ? 6 : 4;
/// Tokens of a block: their inputs stay in the second-level cache while panel after panel passes.
constexpr size_t kBlockTokens = 16 * kTileTokens;

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

/// Adds the products of pairs to `even`, or some of them to `odd`. Exact: VPDPWSSD does not saturate. It is spelled out
/// because Highway 1.0 does not tell compilers that they may use it.
HWY_INLINE void AddProducts(hn::Vec<DI16> pair, hn::Vec<DI16> weight, V32& even, [[maybe_unused]] V32& odd) {
#if HWY_TARGET <= HWY_AVX3_DL
  asm("vpdpwssd %2, %1, %0" : "+v"(even.raw) : "v"(pair.raw), "v"(weight.raw));
#else
  even = hn::ReorderWidenMulAccumulate(DI32(), pair, weight, even, odd);
#endif
}

template <size_t kTokens, size_t kPanels>
HWY_INLINE void Tile(const IntegerProduct& product, const int8_t* HWY_RESTRICT weights, size_t row, size_t token) {
  const DI16 d16;
  const DI32 d32;
  constexpr size_t kSums = kPanels * kTileVectors;
  V32 even[kTokens][kSums], odd[kTokens][kSums];
  for (size_t t = 0; t < kTokens; ++t) {
    for (size_t v = 0; v < kSums; ++v) even[t][v] = odd[t][v] = hn::Zero(d32);
  }
  const size_t columns = product.weights.padded_columns(), panel = columns * kPanelRows;
  const size_t stride = product.input_stride;
  const int16_t* HWY_RESTRICT const inputs = product.inputs + token * stride;
  for (size_t column = 0; column < columns; column += kColumnStep, weights += kPanelRows * kColumnStep) {
    hn::Vec<DI16> weight[kSums];
    for (size_t v = 0; v < kSums; ++v) {
      const size_t at = v / kTileVectors * panel + v % kTileVectors * kVectorRows * kColumnStep;
      weight[v] = hn::PromoteTo(d16, hn::LoadU(DI8(), weights + at));
    }
    for (size_t t = 0; t < kTokens; ++t) {
      const hn::Vec<DI16> pair = BroadcastPair(inputs + t * stride + column);
      for (size_t v = 0; v < kSums; ++v) {
        AddProducts(pair, weight[v], even[t][v], odd[t][v]);
        KeepInPlace(even[t][v]);
      }
    }
  }
  for (size_t t = 0; t < kTokens; ++t) {
    for (size_t v = 0; v < kSums; ++v) {
      const size_t at = row + v / kTileVectors * kPanelRows + v % kTileVectors * kVectorRows;
      int32_t* const sums = product.sums + (token + t) * product.sum_stride + at;
      const V32 sum = hn::RearrangeToOddPlusEven(even[t][v], odd[t][v]);
      hn::StoreU(product.add ? hn::Add(hn::LoadU(d32, sums), sum) : sum, d32, sums);
    }
  }
}

/// The part of one or more panels in the tokens [begin, end).
template <size_t kPanels>
HWY_INLINE void Panels(const IntegerProduct& product, size_t row, size_t begin, size_t end) {
  const int8_t* const panel = product.weights.data() + row * product.weights.padded_columns();
  for (size_t part = 0; part < kPanelRows; part += kTileVectors * kVectorRows) {
    const int8_t* const weights = panel + part * kColumnStep;
    size_t token = begin;
    for (; token + kTileTokens <= end; token += kTileTokens) {
      Tile<kTileTokens, kPanels>(product, weights, row + part, token);
    }
    for (; token + 2 <= end; token += 2) Tile<2, kPanels>(product, weights, row + part, token);
    if (token < end) Tile<1, kPanels>(product, weights, row + part, token);
  }
}

void Multiply(const IntegerProduct& product) {
  const size_t rows = product.weights.padded_rows();
  for (size_t begin = 0; begin < product.tokens; begin += kBlockTokens) {
    const size_t end = std::min(begin + kBlockTokens, product.tokens);
    constexpr size_t kRows = kTilePanels * kPanelRows;
    size_t row = 0;
    for (; row + kRows <= rows; row += kRows) Panels<kTilePanels>(product, row, begin, end);
    for (; row < rows; row += kPanelRows) Panels<1>(product, row, begin, end);
  }
}

[[maybe_unused]] const IntegerKernels& TargetIntegerKernels() {
  static const IntegerKernels kernels = {hwy::TargetName(HWY_TARGET), Multiply};
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

const IntegerKernels& BestIntegerKernels() { return ChooseKernels<IntegerKernels>(kCandidates); }

std::span<const IntegerKernels> AllIntegerKernels() { return ListKernels<IntegerKernels>(kCandidates); }

}  // namespace sluice
#endif  // HWY_ONCE
