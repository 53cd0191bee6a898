#ifndef SLUICE_PROB_STATIC_TABLE_H_
#define SLUICE_PROB_STATIC_TABLE_H_

#include <cstdint>
#include <span>

#include "base/status.h"
#include "prob/escape.h"
#include "prob/frequency_table.h"
#include "prob/interval_coder.h"

namespace sluice {

/// One integer table for the values [first, first + count), and an escape symbol, the last one, for all others.
/// A closed table has no escape and codes nothing outside of its support.
/// Threads: immutable, any number of readers.
class StaticTable {
 public:
  /// The best table for the weights of the support and of everything outside of it.
  /// Errors: InvalidArgument as QuantizeFrequencies (the escape counts as a symbol), or a support that leaves 32 bits.
  static Result<StaticTable> FromWeights(int32_t first, std::span<const uint64_t> weights, uint64_t escape_weight,
                                         int precision);
  /// The same without an escape.
  static Result<StaticTable> ClosedFromWeights(int32_t first, std::span<const uint64_t> weights, int precision);

  /// Chooses the support for a sample of values (outliers escape where that is cheaper) and fits it.
  /// Errors: InvalidArgument for the precision. Cost: one sort of the values.
  static Result<StaticTable> Fit(std::span<const int32_t> values, int precision);

  /// A table from untrusted input: `frequencies` as Frequencies() gave them, the escape's last unless `closed`.
  /// Errors: as FrequencyTable::FromFrequencies; Corrupt for a support that leaves 32 bits.
  static Result<StaticTable> FromFrequencies(int32_t first, std::span<const uint32_t> frequencies, bool closed,
                                             int precision);

  int precision() const { return table_.precision(); }
  bool closed() const { return closed_; }
  int32_t first() const { return first_; }
  /// Number of values in the support.
  size_t count() const { return table_.size() - (closed_ ? 0 : 1); }
  const FrequencyTable& frequency_table() const { return table_; }
  std::vector<uint32_t> Frequencies() const { return table_.Frequencies(); }

  /// Index of a value in the support, or of the escape symbol (count()) when it lies outside.
  size_t SymbolOf(int64_t value) const {
    const uint64_t offset = static_cast<uint64_t>(value - first_);
    return offset < count() ? static_cast<size_t>(offset) : count();
  }
  /// How far an escaped value lies beyond the edge of the support.
  Escape EscapeOf(int64_t value) const {
    return value < first_ ? Escape{false, static_cast<uint32_t>(first_ - value - 1)}
                          : Escape{true, static_cast<uint32_t>(value - first_ - static_cast<int64_t>(count()))};
  }
  int64_t ValueOf(Escape escape) const {
    return escape.above ? first_ + static_cast<int64_t>(count()) + escape.excess : int64_t{first_} - 1 - escape.excess;
  }

  /// Code length of a value in bits, escapes included; infinite where a closed table cannot code it.
  float CostBits(int64_t value) const;

  friend bool operator==(const StaticTable&, const StaticTable&) = default;

 private:
  StaticTable(int32_t first, FrequencyTable table, bool closed)
      : first_(first), closed_(closed), table_(std::move(table)) {}

  int32_t first_;
  bool closed_;
  FrequencyTable table_;
};

/// Codes one value. Needs: |value| below 2^32 - 2^16; inside the support if the table is closed; the sink's precision
/// equal to the table's.
template <IntervalSink Sink>
void EncodeStatic(const StaticTable& table, int64_t value, Sink& sink) {
  const size_t symbol = table.SymbolOf(value);
  sink.Push(table.frequency_table().At(symbol));
  if (symbol < table.count()) return;
  const Escape escape = table.EscapeOf(value);
  EncodeEscape(escape.above, escape.excess, sink);
}

/// Inverse of EncodeStatic. Damaged input yields some value below 2^33 in magnitude.
template <IntervalSource Source>
int64_t DecodeStatic(const StaticTable& table, Source& source) {
  const size_t symbol = table.frequency_table().Find(source.Peek());
  source.Advance(table.frequency_table().At(symbol));
  if (symbol < table.count()) return table.first() + static_cast<int64_t>(symbol);
  return table.ValueOf(DecodeEscape(source));
}

}  // namespace sluice

#endif  // SLUICE_PROB_STATIC_TABLE_H_
