#ifndef SLUICE_CODEC_CHUNK_MODEL_H_
#define SLUICE_CODEC_CHUNK_MODEL_H_

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "codec/value_lattice.h"
#include "prob/frequency_table.h"

namespace sluice {

inline constexpr int kActivationPrecision = 12;  ///< of all tables of an archive's chunk
inline constexpr size_t kMaxRowClasses = 32;
inline constexpr int kSpreadLimit = 500;  ///< quarter octaves, either side
inline constexpr int kRatioCount = 24;    ///< residual spread over bucket width, in quarter octaves from 2^-3
inline constexpr int kPhasedRatios = 20;  ///< below, the expectation's place in its bucket matters too
inline constexpr int kPhases = 4;
inline constexpr size_t kResidualTables = kPhasedRatios * kPhases + (kRatioCount - kPhasedRatios);
inline constexpr int32_t kBucketLimit = 1 << 20;
inline constexpr size_t kMaxResidualSymbols = 256;
inline constexpr int kFarBits = 22;  ///< a bucket that no table holds is written as bucket + 2^21

/// What rows that resemble their reference equally well have in common.
struct RowClass {
  uint8_t weight = 1;  ///< of the reference's deviation from the center, in 1/64: 1 to 64
  int8_t spread = 0;   ///< log2 of residual over channel spread, in quarter octaves
};

/// Symbols of a residual table; from kFirstResidual on, distances from the expected bucket, beginning with `first`.
inline constexpr size_t kRawSymbol = 0;   ///< the element's own bits follow
inline constexpr size_t kZeroSymbol = 1;  ///< 0 of a float lattice
inline constexpr size_t kFarSymbol = 2;   ///< the bucket follows
inline constexpr size_t kFirstResidual = 3;

struct ResidualTable {
  int32_t first;
  FrequencyTable frequencies;
};

/// Where the elements of a row are expected: a bucket width 2^k, a bucket, and the table of distances from it.
struct ExpectedRow {
  static constexpr size_t kTableSlack = 16;
  explicit ExpectedRow(size_t width) : k(width), bucket(width), table(width + kTableSlack) {}
  std::vector<int32_t> k;
  std::vector<int32_t> bucket;
  std::vector<uint16_t> table;  ///< with room for the kernels' slack
};

/// Everything that one chunk's elements are coded with; a chunk carries its own.
/// A value is the element itself, or, where step is not 0, an integer: element / step.
struct ChunkModel {
  double step = 0;
  int mantissa = 0;  ///< bits of the float values; 0 where step is not 0
  bool signed_zeros = false;
  std::vector<float> center;      ///< of the values of each channel; bfloat16 values
  std::vector<int16_t> spread;    ///< log2 of the residual at class spread 0, in quarter octaves
  std::vector<RowClass> classes;  ///< the first is for rows without a reference
  std::optional<FrequencyTable> row_class;
  std::array<std::optional<ResidualTable>, kResidualTables> residual;

  bool grid() const { return step > 0; }

  /// Data: reference [d], the values of the reference row, or the centers. Needs: row_class < classes.size(); the
  /// reference finite. Exact: float operations in a fixed order, without fused multiply-adds, on every machine.
  void Expect(size_t row_class_index, std::span<const float> reference, ExpectedRow& expected) const;

  void Write(ByteWriter& writer) const;
  /// Errors: Truncated; Corrupt for a field outside its range.
  static Result<ChunkModel> Read(ByteReader& reader, size_t width);
};

}  // namespace sluice

#endif  // SLUICE_CODEC_CHUNK_MODEL_H_
