// Products of a dense float matrix with a few or many vectors, one source for every instruction set.
//
// As in the integer kernels a tile of sums stays in registers while a panel passes: six tokens by two vectors of
// rows keep both multipliers of a core busy, since each sum is touched again only after the others. One token has too
// few sums for that, so it takes four panels at once.
#include "simd/float_kernels.h"

#include <algorithm>
#include <array>

// Vectors without a fixed length would need kernels of their own.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/float_kernels.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "simd/target_choice.h"

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {
namespace {

#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128

[[maybe_unused]] const FloatKernels& TargetFloatKernels() { return PlainFloatKernels(); }

#else

namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::CappedTag<float, FloatPanels::kRows>;
using V = hn::Vec<DF>;

constexpr size_t kLanes = HWY_MAX_BYTES / sizeof(float);
/// Vectors of sums of one token in a tile of one panel; a panel has one or two tiles.
constexpr size_t kTileVectors = kLanes == FloatPanels::kRows ? 1 : 2;
/// Panels of a tile: two where one vector is a panel, since an input that is broadcast costs as much as a product.
constexpr size_t kTilePanels = kTileVectors == 1 ? 2 : 1;
constexpr size_t kTileRows = kTileVectors * kLanes;
/// Tokens of a tile: its sums fill most of 16 registers; g++ finds no good order for more where there are 32.
constexpr size_t kTileTokens = HWY_MAX_BYTES >= 32 ? 6 : 4;
/// Tokens of a block: their inputs stay in the second-level cache while panel after panel passes.
constexpr size_t kBlockTokens = 16 * kTileTokens;
/// Panels at once for a single token.
constexpr size_t kManyPanels = 4;

/// Ties a sum to one register here, as in the integer kernels.
HWY_INLINE void KeepInPlace([[maybe_unused]] V& sum) {
#if HWY_ARCH_X86
  asm volatile("" : "+v"(sum.raw));
#endif
}

/// Where a tile's sums go.
struct Output {
  float* at;
  size_t stride;
};

/// kTokens tokens, kPanels panels, of each the rows from `part` on.
template <size_t kTokens, size_t kPanels>
HWY_INLINE void Tile(const FloatProduct& product, const float* HWY_RESTRICT weights, const float* HWY_RESTRICT inputs,
                     Output output) {
  const DF d;
  constexpr size_t kSums = kPanels * kTileVectors;
  V sums[kTokens][kSums];
  for (size_t t = 0; t < kTokens; ++t) {
    for (size_t v = 0; v < kSums; ++v) sums[t][v] = hn::Zero(d);
  }
  const size_t columns = product.matrix.cols(), stride = product.input_stride;
  const size_t panel = columns * FloatPanels::kRows;
  for (size_t c = 0; c < columns; ++c, weights += FloatPanels::kRows) {
    V weight[kSums];
    for (size_t v = 0; v < kSums; ++v) {
      weight[v] = hn::LoadU(d, weights + v / kTileVectors * panel + v % kTileVectors * kLanes);
    }
    for (size_t t = 0; t < kTokens; ++t) {
      const V input = hn::Set(d, inputs[t * stride + c]);
      for (size_t v = 0; v < kSums; ++v) {
        sums[t][v] = hn::MulAdd(weight[v], input, sums[t][v]);
        KeepInPlace(sums[t][v]);
      }
    }
  }
  for (size_t t = 0; t < kTokens; ++t) {
    for (size_t v = 0; v < kSums; ++v) {
      const size_t row = v / kTileVectors * FloatPanels::kRows + v % kTileVectors * kLanes;
      hn::StoreU(sums[t][v], d, output.at + t * output.stride + row);
    }
  }
}

/// Rows that end within a tile go through a buffer. Needs: whole panels if there are several.
template <size_t kTokens, size_t kPanels>
HWY_INLINE void TileOfRows(const FloatProduct& product, const float* weights, size_t row, size_t token) {
  const float* const inputs = product.inputs + token * product.input_stride;
  float* const outputs = product.outputs + token * product.output_stride + row;
  if (kPanels > 1 || row + kTileRows <= product.matrix.rows()) {
    Tile<kTokens, kPanels>(product, weights, inputs, {outputs, product.output_stride});
    return;
  }
  std::array<float, kTokens * kTileRows> sums;
  Tile<kTokens, 1>(product, weights, inputs, {sums.data(), kTileRows});
  for (size_t t = 0; t < kTokens; ++t) {
    std::copy_n(sums.data() + t * kTileRows, product.matrix.rows() - row, outputs + t * product.output_stride);
  }
}

/// The part of one or more panels in the tokens [begin, end).
template <size_t kPanels>
HWY_INLINE void Panels(const FloatProduct& product, size_t panel, size_t begin, size_t end) {
  for (size_t part = 0; part < FloatPanels::kRows; part += kTileRows) {
    const size_t row = panel + part;
    if (row >= product.matrix.rows()) return;
    const float* const weights = product.matrix.data() + panel * product.matrix.cols() + part;
    size_t token = begin;
    for (; token + kTileTokens <= end; token += kTileTokens) {
      TileOfRows<kTileTokens, kPanels>(product, weights, row, token);
    }
    for (; token + 2 <= end; token += 2) TileOfRows<2, kPanels>(product, weights, row, token);
    if (token < end) TileOfRows<1, kPanels>(product, weights, row, token);
  }
}

void Multiply(const FloatProduct& product) {
  const size_t rows = product.matrix.rows(), columns = product.matrix.cols();
  size_t first = 0;
  if (product.tokens == 1) {
    constexpr size_t kRows = kManyPanels * FloatPanels::kRows;
    for (; first + kRows <= rows; first += kRows) {
      for (size_t part = 0; part < FloatPanels::kRows; part += kTileRows) {
        Tile<1, kManyPanels>(product, product.matrix.data() + first * columns + part, product.inputs,
                             {product.outputs + first + part, 0});
      }
    }
  }
  for (size_t begin = 0; begin < product.tokens; begin += kBlockTokens) {
    const size_t end = std::min(begin + kBlockTokens, product.tokens);
    constexpr size_t kRows = kTilePanels * FloatPanels::kRows;
    size_t row = first;
    for (; row + kRows <= rows; row += kRows) Panels<kTilePanels>(product, row, begin, end);
    for (; row < rows; row += FloatPanels::kRows) Panels<1>(product, row, begin, end);
  }
}

size_t Nearest(const float* products, const float* squares, size_t count) {
  const DF d;
  constexpr size_t kStep = 32, kChains = kStep / kLanes;
  if (count < kStep) return PlainFloatKernels().nearest(products, squares, count);
  const V two = hn::Set(d, 2.0f);
  const auto score = [&](size_t at) {
    return hn::Sub(hn::Mul(two, hn::LoadU(d, products + at)), hn::LoadU(d, squares + at));
  };
  V most[kChains];
  for (size_t k = 0; k < kChains; ++k) most[k] = score(k * kLanes);
  // The last step may overlap the one before it: what it sees again changes nothing.
  for (size_t i = kStep; i < count; i += kStep) {
    const size_t at = std::min(i, count - kStep);
    for (size_t k = 0; k < kChains; ++k) most[k] = hn::Max(most[k], score(at + k * kLanes));
  }
  for (size_t k = 1; k < kChains; ++k) most[0] = hn::Max(most[0], most[k]);
  const V best = hn::MaxOfLanes(d, most[0]);
  for (size_t i = 0; i < count; i += kLanes) {
    const size_t at = std::min(i, count - kLanes);
    const intptr_t lane = hn::FindFirstTrue(d, hn::Eq(score(at), best));
    if (lane >= 0) return at + static_cast<size_t>(lane);
  }
  return PlainFloatKernels().nearest(products, squares, count);  // scores that are no numbers equal nothing
}

[[maybe_unused]] const FloatKernels& TargetFloatKernels() {
  static const FloatKernels kernels = {hwy::TargetName(HWY_TARGET), Multiply, Nearest};
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

constexpr TargetCandidate<FloatKernels> kCandidates[] = {
    SLUICE_TARGET_CANDIDATES(TargetFloatKernels, PlainFloatKernels, true)};

}  // namespace

const FloatKernels& BestFloatKernels() { return ChooseKernels<FloatKernels>(kCandidates); }

std::span<const FloatKernels> AllFloatKernels() { return ListKernels<FloatKernels>(kCandidates); }

}  // namespace sluice
#endif  // HWY_ONCE
