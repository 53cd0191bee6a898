#ifndef SLUICE_PROB_FREQUENCY_TABLE_H_
#define SLUICE_PROB_FREQUENCY_TABLE_H_

#include <cstdint>
#include <span>
#include <vector>

#include "base/interval.h"
#include "base/status.h"

namespace sluice {

inline constexpr int kMinTablePrecision = 10;
inline constexpr int kMaxTablePrecision = 16;
inline constexpr int kDefaultTablePrecision = 12;

/// Errors: InvalidArgument unless the precision of a table is in [10, 16].
Status CheckTablePrecision(int precision);

/// Integer frequencies for weights that need not be normalized.
/// Exact: integers only, so every machine gets the same. The four guarantees: every symbol has a frequency of at least
/// 1, there are no others, they sum to exactly 2^precision, none owns everything. Among all such tables this one has
/// the smallest code length under the weights. Equal weights may differ by 1 (the first ones get more).
/// Range: 2 to 2^precision symbols, weights below 2^63; all zero means all equal.
/// Errors: InvalidArgument for the precision, the number of symbols or a weight out of range.
/// Cost: O(n log n) for n symbols.
Result<std::vector<uint32_t>> QuantizeFrequencies(std::span<const uint64_t> weights, int precision);

/// A partition of [0, 2^precision) into one interval for each symbol 0 .. size() - 1.
/// Threads: immutable, any number of readers.
class FrequencyTable {
 public:
  /// The best table for the weights. Errors: as QuantizeFrequencies.
  static Result<FrequencyTable> FromWeights(std::span<const uint64_t> weights, int precision);

  /// A table from untrusted input. Errors: InvalidArgument for the precision; Corrupt when a guarantee of
  /// QuantizeFrequencies is broken.
  static Result<FrequencyTable> FromFrequencies(std::span<const uint32_t> frequencies, int precision);

  int precision() const { return precision_; }
  size_t size() const { return starts_.size() - 1; }
  Interval At(size_t symbol) const { return {starts_[symbol], starts_[symbol + 1] - starts_[symbol]}; }
  std::vector<uint32_t> Frequencies() const;

  /// The symbol that owns a slot. Bits of `slot` beyond the precision are ignored.
  size_t Find(uint32_t slot) const;

  /// Code length of a symbol in bits.
  float CostBits(size_t symbol) const;

  friend bool operator==(const FrequencyTable&, const FrequencyTable&) = default;

 private:
  FrequencyTable(std::span<const uint32_t> frequencies, int precision);

  static constexpr int kBucketBits = 8;

  int precision_;
  std::vector<uint32_t> starts_;   // size() + 1 of them, the last is 2^precision
  std::vector<uint16_t> buckets_;  // the symbol that owns the first slot of each of 256 equal parts
};

}  // namespace sluice

#endif  // SLUICE_PROB_FREQUENCY_TABLE_H_
