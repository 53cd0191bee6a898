// The arithmetic around the kernels, in loops that a compiler turns into vectors by itself. Values are saturated around
// their centers so that a byte names them; what lies beyond the bytes escapes in every table, since none is wider.
#include "codec/gaussian_block.h"

#include <algorithm>
#include <bit>
#include <string>

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

}  // namespace

Result<GaussianArrayTables> GaussianArrayTables::Create(int precision, int offsets) {
  if (precision > kMaxKernelPrecision) {
    return InvalidArgument("gaussian arrays: precision: expected 10 to 14, got " + std::to_string(precision));
  }
  SLUICE_ASSIGN_OR_RETURN(GaussianTables tables, GaussianTables::Create(precision, offsets));
  GaussianArrayTables made(std::move(tables));
  const auto rows = static_cast<size_t>(kGaussianScales * offsets);
  made.kernel_tables_.precision = precision;
  made.kernel_tables_.entries.resize(rows * kKernelRowStride);
  made.kernel_tables_.starts.resize(rows * kKernelRowStride + kKernelSlack);
  made.kernel_tables_.owners.resize(rows << precision);
  for (size_t row = 0; row < rows; ++row) made.PackRow(row);
  return made;
}

void GaussianArrayTables::PackRow(size_t row) {
  const StaticTable& table = TableOfRow(row);
  const FrequencyTable& frequencies = table.frequency_table();
  uint64_t* const entries = kernel_tables_.entries.data() + row * kKernelRowStride;
  uint16_t* const starts = kernel_tables_.starts.data() + row * kKernelRowStride;
  uint8_t* const owners = kernel_tables_.owners.data() + (row << precision());
  for (size_t byte = 0; byte < kKernelSymbols; ++byte) {
    const size_t symbol = byte == 0 ? table.count() : table.SymbolOf(static_cast<int32_t>(byte) - kKernelCenter);
    const Interval interval = frequencies.At(symbol);
    const bool escapes = symbol == table.count();
    entries[byte] = PackEncoderEntry(interval, escapes);
    if (escapes && byte != 0) continue;
    starts[byte] = static_cast<uint16_t>(interval.start);
    starts[byte + 1] = static_cast<uint16_t>(interval.start + interval.freq);
    std::fill_n(owners + interval.start, interval.freq, static_cast<uint8_t>(byte));
  }
}

Status GaussianParameters::Check(size_t count) const {
  if (scales.size() == count && (mean_q4.empty() || mean_q4.size() == count)) return OkStatus();
  return InvalidArgument("gaussian arrays: parameters: expected " + std::to_string(count) + ", got " +
                         std::to_string(scales.size()) + " scales and " + std::to_string(mean_q4.size()) + " means");
}

void GaussianParameters::Prefetch(size_t begin, size_t end) const {
  constexpr size_t kLine = 64;
  for (size_t i = begin; i < end; i += kLine) __builtin_prefetch(scales.data() + i);
  if (mean_q4.empty()) return;
  for (size_t i = begin; i < end; i += kLine / sizeof(int32_t)) __builtin_prefetch(mean_q4.data() + i);
}

void GaussianBlock::TakeParameters(const GaussianTables& tables, const GaussianParameters& parameters, size_t begin,
                                   size_t size) {
  count = size;
  centered = parameters.mean_q4.empty();
  const uint8_t* const scales = parameters.scales.data() + begin;
  const int32_t* const means = centered ? nullptr : parameters.mean_q4.data() + begin;
  uint8_t all = 0;
  for (size_t i = 0; i < size; ++i) all = static_cast<uint8_t>(all | scales[i]);
  whole = all < kGaussianScales;
  const int offset_bits = std::countr_zero(static_cast<unsigned>(tables.offsets()));
  if (!whole) {
    centered = false;
    for (size_t i = 0; i < size; ++i) {
      const GaussianTables::Choice choice = tables.Choose(means == nullptr ? 0 : means[i], scales[i]);
      rows[i] = static_cast<uint16_t>(tables.IndexOf(*choice.table));
      centers[i] = choice.center;
      low_bits[i] = static_cast<uint8_t>(choice.low_bits);
    }
  } else if (centered && offset_bits == 0) {
    for (size_t i = 0; i < size; ++i) rows[i] = scales[i];
  } else if (centered) {
    const unsigned middle = static_cast<unsigned>(tables.offsets()) / 2;
    for (size_t i = 0; i < size; ++i) rows[i] = static_cast<uint16_t>((scales[i] << offset_bits) + middle);
  } else {
    // As GaussianTables::Choose, with the half added before it can overflow.
    const int drop = 4 - offset_bits;
    const int32_t mask = tables.offsets() - 1;
    const int32_t half = ((1 << drop) >> 1) + ((tables.offsets() / 2) << drop);
    int32_t* __restrict const to_centers = centers.data();
    uint16_t* __restrict const to_rows = rows.data();
    for (size_t i = 0; i < size; ++i) {
      const int32_t rounded = ((means[i] & 15) + half) >> drop;
      to_centers[i] = (means[i] >> 4) + (rounded >> offset_bits);
      to_rows[i] = static_cast<uint16_t>((scales[i] << offset_bits) + (rounded & mask));
    }
  }
}

template <typename T>
void GaussianBlock::TakeValues(std::span<const T> values) {
  const T* __restrict const from = values.data();
  const int32_t* __restrict const center = centers.data();
  uint8_t* __restrict const to = symbols.data();
  const size_t size = count;
  if (centered) {
    constexpr T kLow = kLowest, kHigh = kHighest;
    for (size_t i = 0; i < size; ++i) {
      const T value = std::min(std::max(from[i], kLow), kHigh);
      to[i] = static_cast<uint8_t>(value + GaussianArrayTables::kKernelCenter);
    }
  } else if (whole) {
    for (size_t i = 0; i < size; ++i) to[i] = Saturate(from[i], center[i]);
  } else {
    for (size_t i = 0; i < size; ++i) to[i] = Saturate(int32_t{from[i]} >> low_bits[i], center[i]);
  }
}

template <typename T>
bool GaussianBlock::GiveValues(size_t size, T* __restrict values) const {
  const int32_t* __restrict const center = centers.data();
  const uint8_t* __restrict const from = symbols.data();
  if (centered) {
    for (size_t i = 0; i < size; ++i) values[i] = static_cast<T>(from[i] + kLowest);
    return true;
  }
  int32_t lost = 0;
  for (size_t i = 0; i < size; ++i) {
    const int32_t value = center[i] + from[i] + kLowest;
    values[i] = static_cast<T>(value);
    lost |= value ^ values[i];
  }
  return lost == 0;
}

template void GaussianBlock::TakeValues(std::span<const int16_t>);
template void GaussianBlock::TakeValues(std::span<const int32_t>);
template bool GaussianBlock::GiveValues(size_t, int16_t*) const;
template bool GaussianBlock::GiveValues(size_t, int32_t*) const;

}  // namespace sluice
