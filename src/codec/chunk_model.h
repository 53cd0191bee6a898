#ifndef SLUICE_CODEC_CHUNK_MODEL_H_
#define SLUICE_CODEC_CHUNK_MODEL_H_

#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "codec/value_lattice.h"
#include "prob/static_table.h"

namespace sluice {

inline constexpr int kActivationPrecision = 12;  ///< of all tables of an archive's chunk
inline constexpr size_t kMaxRowClasses = 32;
inline constexpr int kSpreadLimit = 640;  ///< quarter octaves, either side
inline constexpr int kRatioCount = 28;    ///< residual spread over bucket width, in quarter octaves from 2^-3
inline constexpr int kFractionBins = 4;
inline constexpr int64_t kBucketLimit = int64_t{1} << 20;
inline constexpr int64_t kRawResidual = int64_t{1} << 22;  ///< stands for "the element's own bits follow"

/// What rows that resemble their reference equally well have in common.
struct RowClass {
  uint8_t weight = 0;  ///< of the reference's deviation from the center, in 1/64: 0 to 64
  int8_t spread = 0;   ///< log2 of residual over channel spread, in quarter octaves
};

/// Where an element is expected: a bucket width 2^k, a bucket, and the table of distances from it.
struct Expectation {
  int k;
  int64_t bucket;
  size_t table;
};

/// Everything that one chunk's elements are coded with; a chunk carries its own.
/// A value v is the element itself, or the element / step when step is not 0.
struct ChunkModel {
  ValueLattice lattice;
  double step = 0;
  bool signed_zeros = false;
  std::vector<float> center;      ///< of v, for each channel; bfloat16 values
  std::vector<int16_t> spread;    ///< log2 of the residual at class spread 0, in quarter octaves
  std::vector<RowClass> classes;  ///< the first is for rows without a reference
  std::array<std::optional<StaticTable>, kRatioCount * kFractionBins> residual;
  std::optional<StaticTable> depth;
  std::optional<StaticTable> row_class;

  /// Exact: double arithmetic in this order, without fused multiply-adds, on every machine.
  /// Needs: row_class < classes.size(), channel < width; reference finite.
  Expectation Expect(size_t row_class_index, size_t channel, double reference) const {
    const double middle = center[channel];
    const double expected = middle + classes[row_class_index].weight / 64.0 * (reference - middle);
    const int level = spread[channel] + classes[row_class_index].spread;
    const int natural = expected == 0 ? lattice.lowest : lattice.StepAt(ExponentOf(expected));
    const int k = std::max((level >> 2) - kBucketsInSpreadLog2, natural);
    const double scaled = expected * PowerOfTwo(-k);
    const double whole = std::floor(scaled);
    const int ratio = std::clamp(level - 4 * k + 4 * 3, 0, kRatioCount - 1);
    const int fraction = ratio < kSmoothRatio ? static_cast<int>((scaled - whole) * kFractionBins) : 0;
    const double limit = static_cast<double>(kBucketLimit);
    return {k, static_cast<int64_t>(std::clamp(whole, -limit, limit)),
            static_cast<size_t>(ratio * kFractionBins + fraction)};
  }

  void Write(ByteWriter& writer) const;
  /// Errors: Truncated; Corrupt for a field outside its range.
  static Result<ChunkModel> Read(ByteReader& reader, size_t width);

 private:
  static constexpr int kBucketsInSpreadLog2 = 3;
  static constexpr int kSmoothRatio = 20;  // above, the place of the expectation inside its bucket tells nothing
};

}  // namespace sluice

#endif  // SLUICE_CODEC_CHUNK_MODEL_H_
