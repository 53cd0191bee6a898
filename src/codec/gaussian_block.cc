// The arithmetic around the kernels, one pass over the inputs each way, in loops that a compiler turns into vectors by
// itself; means are worked out where a value is taken or given, which costs less than keeping their centers. Values are
// saturated around their centers so that a byte names them; what lies beyond the bytes escapes in every table, since
// none is wider.
#include "codec/gaussian_block.h"

#include <algorithm>
#include <bit>
#include <string>

#include "base/vector_clones.h"

namespace sluice {
namespace {

constexpr int32_t kLowest = -GaussianArrayTables::kKernelCenter;
constexpr int32_t kHighest = GaussianArrayTables::kKernelCenter - 1;

/// The symbol of a value around a center below 2^28 in magnitude.
uint8_t Saturate(int32_t value, int32_t center) {
  const int32_t low = center + kLowest, high = center + kHighest;
  const int32_t raised = value < low ? low : value;
  return static_cast<uint8_t>((raised > high ? high : raised) - low);
}
/// A value of 16 bits cannot overflow around it.
uint8_t Saturate(int16_t value, int32_t center) {
  return static_cast<uint8_t>(std::clamp(value - center, kLowest, kHighest) - kLowest);
}

/// Rows of tables at one offset; false when a scale has low bits.
SLUICE_VECTOR_CLONES
bool RowsOfScales(const uint8_t* __restrict scales, size_t count, int offset_bits, int offset,
                  uint16_t* __restrict rows) {
  uint8_t all = 0;
  for (size_t i = 0; i < count; ++i) {
    all = static_cast<uint8_t>(all | scales[i]);
    rows[i] = static_cast<uint16_t>((scales[i] << offset_bits) + offset);
  }
  return all < kGaussianScales;
}

SLUICE_VECTOR_CLONES
bool RowsOfMeans(const uint8_t* __restrict scales, const int32_t* __restrict means, size_t count, MeanRule rule,
                 uint16_t* __restrict rows) {
  uint8_t all = 0;
  for (size_t i = 0; i < count; ++i) {
    all = static_cast<uint8_t>(all | scales[i]);
    rows[i] = static_cast<uint16_t>((scales[i] << rule.offset_bits) + rule.Offset(means[i]));
  }
  return all < kGaussianScales;
}

template <typename T>
[[gnu::always_inline]] inline void SymbolsOfLoop(const T* __restrict values, size_t count,
                                                 uint8_t* __restrict symbols) {
  constexpr T kLow = kLowest, kHigh = kHighest;
  for (size_t i = 0; i < count; ++i) {
    symbols[i] = static_cast<uint8_t>(std::clamp(values[i], kLow, kHigh) - kLow);
  }
}
template <typename T>
[[gnu::always_inline]] inline void SymbolsAroundLoop(const T* __restrict values, const int32_t* __restrict means,
                                                     size_t count, MeanRule rule, uint8_t* __restrict symbols) {
  for (size_t i = 0; i < count; ++i) symbols[i] = Saturate(values[i], rule.Center(means[i]));
}
template <typename T>
[[gnu::always_inline]] inline void ValuesOfLoop(const uint8_t* __restrict symbols, size_t count, T* __restrict values) {
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<T>(symbols[i] + kLowest);
}
template <typename T>
[[gnu::always_inline]] inline bool ValuesAroundLoop(const uint8_t* __restrict symbols, const int32_t* __restrict means,
                                                    size_t count, MeanRule rule, T* __restrict values) {
  int32_t lost = 0;
  for (size_t i = 0; i < count; ++i) {
    const int32_t value = rule.Center(means[i]) + symbols[i] + kLowest;
    values[i] = static_cast<T>(value);
    lost |= value ^ values[i];
  }
  return lost == 0;
}

// One function for each type, since clones cannot be made of templates.
SLUICE_VECTOR_CLONES
void SymbolsOf(const int16_t* values, size_t count, uint8_t* symbols) { SymbolsOfLoop(values, count, symbols); }
SLUICE_VECTOR_CLONES
void SymbolsOf(const int32_t* values, size_t count, uint8_t* symbols) { SymbolsOfLoop(values, count, symbols); }
SLUICE_VECTOR_CLONES
void SymbolsAround(const int16_t* values, const int32_t* means, size_t count, MeanRule rule, uint8_t* symbols) {
  SymbolsAroundLoop(values, means, count, rule, symbols);
}
SLUICE_VECTOR_CLONES
void SymbolsAround(const int32_t* values, const int32_t* means, size_t count, MeanRule rule, uint8_t* symbols) {
  SymbolsAroundLoop(values, means, count, rule, symbols);
}
SLUICE_VECTOR_CLONES
void ValuesOf(const uint8_t* symbols, size_t count, int16_t* values) { ValuesOfLoop(symbols, count, values); }
SLUICE_VECTOR_CLONES
void ValuesOf(const uint8_t* symbols, size_t count, int32_t* values) { ValuesOfLoop(symbols, count, values); }
SLUICE_VECTOR_CLONES
bool ValuesAround(const uint8_t* symbols, const int32_t* means, size_t count, MeanRule rule, int16_t* values) {
  return ValuesAroundLoop(symbols, means, count, rule, values);
}
SLUICE_VECTOR_CLONES
bool ValuesAround(const uint8_t* symbols, const int32_t* means, size_t count, MeanRule rule, int32_t* values) {
  return ValuesAroundLoop(symbols, means, count, rule, values);
}

}  // namespace

Result<GaussianArrayTables> GaussianArrayTables::Create(int precision, int offsets) {
  if (precision > kMaxKernelPrecision) {
    return InvalidArgument("gaussian arrays: precision: expected 10 to 14, got " + std::to_string(precision));
  }
  SLUICE_ASSIGN_OR_RETURN(GaussianTables tables, GaussianTables::Create(precision, offsets));
  GaussianArrayTables made(std::move(tables));
  const auto rows = static_cast<size_t>(kGaussianScales * offsets);
  RansKernelTables& kernel_tables = made.kernel_tables_;
  kernel_tables.precision = precision;
  kernel_tables.escapes = true;
  kernel_tables.Resize(rows);
  for (size_t row = 0; row < rows; ++row) made.PackRow(row);
  return made;
}

// Bytes without a value of their own are those of values that escape.
void GaussianArrayTables::PackRow(size_t row) {
  const StaticTable& table = TableOfRow(row);
  const FrequencyTable& frequencies = table.frequency_table();
  const Interval escape = frequencies.At(table.count());
  uint64_t* const entries = kernel_tables_.entries.data() + row * kKernelRowStride;
  std::fill_n(entries, kKernelSymbols, PackEncoderEntry(escape, true));
  for (size_t byte = 1; byte < kKernelSymbols; ++byte) {
    const size_t symbol = table.SymbolOf(static_cast<int32_t>(byte) - kKernelCenter);
    if (symbol != table.count()) kernel_tables_.Add(row, static_cast<uint8_t>(byte), frequencies.At(symbol), false);
  }
  kernel_tables_.Add(row, 0, escape, true);
  kernel_tables_.FinishRow(row);
}

Status GaussianParameters::Check(size_t count) const {
  if (scales.size() == count && (mean_q4.empty() || mean_q4.size() == count)) return OkStatus();
  return InvalidArgument("gaussian arrays: parameters: expected " + std::to_string(count) + ", got " +
                         std::to_string(scales.size()) + " scales and " + std::to_string(mean_q4.size()) + " means");
}

void GaussianParameters::AddTo(ReadAhead& ahead, size_t begin, size_t end) const {
  ahead.Add(scales.subspan(begin, end - begin));
  if (!mean_q4.empty()) ahead.Add(mean_q4.subspan(begin, end - begin));
}

MeanRule::MeanRule(int offsets) : offset_bits(std::countr_zero(static_cast<unsigned>(offsets))) {
  drop = 4 - offset_bits;
  half = ((1 << drop) >> 1) + ((offsets / 2) << drop);
}

void GaussianBlock::TakeParameters(const GaussianTables& tables, const GaussianParameters& parameters, size_t begin,
                                   size_t size) {
  count = size;
  rule = MeanRule(tables.offsets());
  means = parameters.mean_q4.empty() ? nullptr : parameters.mean_q4.data() + begin;
  const uint8_t* const scales = parameters.scales.data() + begin;
  if (means == nullptr || rule.offset_bits == 0) {
    whole = RowsOfScales(scales, size, rule.offset_bits, means == nullptr ? rule.Offset(0) : 0, rows.data());
  } else {
    whole = RowsOfMeans(scales, means, size, rule, rows.data());
  }
  if (whole) return;
  for (size_t i = 0; i < size; ++i) {
    const GaussianTables::Choice choice = tables.Choose(means == nullptr ? 0 : means[i], scales[i]);
    rows[i] = static_cast<uint16_t>(tables.IndexOf(*choice.table));
    centers[i] = choice.center;
    low_bits[i] = static_cast<uint8_t>(choice.low_bits);
  }
}

template <typename T>
void GaussianBlock::TakeValues(std::span<const T> values) {
  if (!whole) {
    for (size_t i = 0; i < count; ++i) symbols[i] = Saturate(int32_t{values[i]} >> low_bits[i], centers[i]);
  } else if (means == nullptr) {
    SymbolsOf(values.data(), count, symbols.data());
  } else {
    SymbolsAround(values.data(), means, count, rule, symbols.data());
  }
}

template <typename T>
bool GaussianBlock::GiveValues(size_t size, T* values) const {
  if (!whole) return true;
  if (means != nullptr) return ValuesAround(symbols.data(), means, size, rule, values);
  ValuesOf(symbols.data(), size, values);
  return true;
}

template void GaussianBlock::TakeValues(std::span<const int16_t>);
template void GaussianBlock::TakeValues(std::span<const int32_t>);
template bool GaussianBlock::GiveValues(size_t, int16_t*) const;
template bool GaussianBlock::GiveValues(size_t, int32_t*) const;

}  // namespace sluice
