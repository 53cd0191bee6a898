#ifndef SLUICE_CODEC_GAUSSIAN_BLOCK_H_
#define SLUICE_CODEC_GAUSSIAN_BLOCK_H_

#include <array>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/status.h"
#include "codec/read_ahead.h"
#include "prob/gaussian_tables.h"
#include "simd/rans_kernels.h"

namespace sluice {

/// Gaussian tables in the form of the kernels. Threads: immutable, any number of coders.
class GaussianArrayTables {
 public:
  /// Errors: InvalidArgument unless precision is in [10, 14] and offsets is 1, 8 or 16.
  /// Cost: beyond GaussianTables, 64 * offsets * (2.6 KB + 2^precision bytes).
  static Result<GaussianArrayTables> Create(int precision = kDefaultTablePrecision, int offsets = 1);

  const GaussianTables& tables() const { return tables_; }
  /// One row for each table, in their order; a value is the symbol kKernelCenter + value, and 0 when it escapes.
  const RansKernelTables& kernel_tables() const { return kernel_tables_; }
  const StaticTable& TableOfRow(size_t row) const {
    return tables_.At(static_cast<int>(row) / tables_.offsets(), static_cast<int>(row) % tables_.offsets());
  }
  int precision() const { return tables_.precision(); }

  static constexpr int32_t kKernelCenter = 128;

 private:
  explicit GaussianArrayTables(GaussianTables tables) : tables_(std::move(tables)) {}
  void PackRow(size_t row);

  GaussianTables tables_;
  RansKernelTables kernel_tables_;
};

/// How each value of an array is coded. Data: a scale index for each value, as ScaleIndex gives it; a mean in units of
/// 1/16 for each value, or none at all: all means are 0.
struct GaussianParameters {
  std::span<const uint8_t> scales;
  std::span<const int32_t> mean_q4;

  /// Errors: InvalidArgument unless there are parameters for exactly `count` values.
  Status Check(size_t count) const;
  /// Adds the parameters of [begin, end), which the next block needs.
  void AddTo(ReadAhead& ahead, size_t begin, size_t end) const;
};

/// How a mean becomes the offset of a table and a center, as GaussianTables::Choose does for scales without low bits,
/// with the half added before it can overflow.
struct MeanRule {
  int drop = 4;
  int offset_bits = 0;
  int32_t half = 8;

  explicit MeanRule(int offsets);
  int32_t Rounded(int32_t mean_q4) const { return ((mean_q4 & 15) + half) >> drop; }
  int32_t Offset(int32_t mean_q4) const { return Rounded(mean_q4) & ((1 << offset_bits) - 1); }
  int32_t Center(int32_t mean_q4) const { return (mean_q4 >> 4) + (Rounded(mean_q4) >> offset_bits); }
};

/// What one pass over arrays works on: a part of them, small enough for the nearest cache.
struct GaussianBlock {
  static constexpr size_t kSize = 1024;

  size_t count = 0;
  bool whole = false;              ///< no value has low bits
  const int32_t* means = nullptr;  ///< of the values, or null: all are 0
  MeanRule rule{1};
  std::array<uint16_t, kSize + kKernelSlack> rows;
  std::array<uint8_t, kSize + kKernelSlack> symbols;
  std::array<int32_t, kSize> centers;   ///< unless `whole`
  std::array<uint8_t, kSize> low_bits;  ///< unless `whole`

  /// Takes the parameters [begin, begin + size), which stay where they are. Needs: size at most kSize.
  void TakeParameters(const GaussianTables& tables, const GaussianParameters& parameters, size_t begin, size_t size);
  /// The kernels' symbols of `count` values. Instances: int16_t, int32_t.
  template <typename T>
  void TakeValues(std::span<const T> values);
  /// The values of the first `size` symbols, as if none escaped or had low bits; false if one is out of range.
  template <typename T>
  bool GiveValues(size_t size, T* values) const;
  int32_t CenterOf(size_t i) const {
    if (!whole) return centers[i];
    return means == nullptr ? 0 : rule.Center(means[i]);
  }
  /// The first symbol in [begin, end) that escapes, or `end`.
  size_t FindEscape(size_t begin, size_t end) const {
    const void* const found = std::memchr(symbols.data() + begin, 0, end - begin);
    return found == nullptr ? end : static_cast<size_t>(static_cast<const uint8_t*>(found) - symbols.data());
  }
};

}  // namespace sluice

#endif  // SLUICE_CODEC_GAUSSIAN_BLOCK_H_
