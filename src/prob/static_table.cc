// A support is a contiguous range because that needs no list of symbols; each value in it that never occurs costs every
// other one 2^-precision of its probability. Fit weighs that against the raw bits of an escape, outermost value first.
#include "prob/static_table.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>

namespace sluice {
namespace {

/// Distinct value and how often it occurs.
struct Run {
  int32_t value;
  uint64_t count;
};

std::vector<Run> SortedRuns(std::span<const int32_t> values) {
  std::vector<int32_t> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  std::vector<Run> runs;
  for (const int32_t value : sorted) {
    if (runs.empty() || runs.back().value != value) runs.push_back({value, 0});
    ++runs.back().count;
  }
  return runs;
}

bool FitsInt32(int32_t first, size_t count) {
  return count <= static_cast<uint64_t>(int64_t{std::numeric_limits<int32_t>::max()} - first + 1);
}

std::string SupportMessage(int32_t first, size_t count) {
  return "table: support: expected values of 32 bits, got " + std::to_string(count) + " from " + std::to_string(first);
}

/// Whether an outermost run, `gap` beyond its neighbour, costs less as an escape: it takes about log2(e) gap / 2^n bits
/// from each of `total` values, against a sign, an Exp-Golomb code of the gap and the rarer symbol.
bool EscapeIsCheaper(uint64_t run_count, uint64_t gap, uint64_t total, int precision) {
  const double kept = 1.4427 * static_cast<double>(gap) * static_cast<double>(total) / std::exp2(precision);
  const double escaped = static_cast<double>(run_count) * (2.0 * std::bit_width(gap) + 2);
  return kept > escaped;
}

}  // namespace

Result<StaticTable> StaticTable::FromWeights(int32_t first, std::span<const uint64_t> weights, uint64_t escape_weight,
                                             int precision) {
  if (!FitsInt32(first, weights.size())) return InvalidArgument(SupportMessage(first, weights.size()));
  std::vector<uint64_t> all(weights.begin(), weights.end());
  all.push_back(escape_weight);
  SLUICE_ASSIGN_OR_RETURN(FrequencyTable table, FrequencyTable::FromWeights(all, precision));
  return StaticTable(first, std::move(table), false);
}

Result<StaticTable> StaticTable::ClosedFromWeights(int32_t first, std::span<const uint64_t> weights, int precision) {
  if (!FitsInt32(first, weights.size())) return InvalidArgument(SupportMessage(first, weights.size()));
  SLUICE_ASSIGN_OR_RETURN(FrequencyTable table, FrequencyTable::FromWeights(weights, precision));
  return StaticTable(first, std::move(table), true);
}

Result<StaticTable> StaticTable::FromFrequencies(int32_t first, std::span<const uint32_t> frequencies, bool closed,
                                                 int precision) {
  SLUICE_ASSIGN_OR_RETURN(FrequencyTable table, FrequencyTable::FromFrequencies(frequencies, precision));
  StaticTable made(first, std::move(table), closed);
  if (!FitsInt32(first, made.count())) return Corrupt(SupportMessage(first, made.count()));
  return made;
}

Result<StaticTable> StaticTable::Fit(std::span<const int32_t> values, int precision) {
  SLUICE_RETURN_IF_ERROR(CheckTablePrecision(precision));
  const std::vector<uint64_t> lone = {1};
  if (values.empty()) return FromWeights(0, lone, 0, precision);
  const std::vector<Run> runs = SortedRuns(values);
  const uint64_t limit = uint64_t{1} << (precision - 1);
  size_t low = 0;
  size_t high = runs.size() - 1;
  uint64_t escaped = 0;
  while (low < high) {
    const auto width = static_cast<uint64_t>(int64_t{runs[high].value} - runs[low].value);
    const auto gap_low = static_cast<uint64_t>(int64_t{runs[low + 1].value} - runs[low].value);
    const auto gap_high = static_cast<uint64_t>(int64_t{runs[high].value} - runs[high - 1].value);
    // The side whose run gives more room for each value lost goes first.
    const bool take_low = gap_low * runs[high].count > gap_high * runs[low].count;
    const Run& run = runs[take_low ? low : high];
    if (width < limit && !EscapeIsCheaper(run.count, take_low ? gap_low : gap_high, values.size(), precision)) break;
    escaped += run.count;
    take_low ? ++low : --high;
  }
  std::vector<uint64_t> weights(static_cast<size_t>(int64_t{runs[high].value} - runs[low].value) + 1);
  for (size_t i = low; i <= high; ++i)
    weights[static_cast<size_t>(int64_t{runs[i].value} - runs[low].value)] = runs[i].count;
  return FromWeights(runs[low].value, weights, escaped, precision);
}

float StaticTable::CostBits(int64_t value) const {
  const size_t symbol = SymbolOf(value);
  if (symbol < count()) return table_.CostBits(symbol);
  if (closed_) return std::numeric_limits<float>::infinity();
  return table_.CostBits(symbol) + static_cast<float>(EscapeCostBits(EscapeOf(value).excess));
}

}  // namespace sluice
