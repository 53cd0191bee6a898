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
    for (size_t i = 0; i < size; ++i) {
      const int32_t fraction = (means[i] & 15) + ((1 << drop) >> 1) + ((tables.offsets() / 2) << drop);
      const int32_t rounded = fraction >> drop;
      centers[i] = (means[i] >> 4) + (rounded >> offset_bits);
      rows[i] = static_cast<uint16_t>((scales[i] << offset_bits) + (rounded & mask));
    }
  }
}

template <typename T>
void GaussianBlock::TakeValues(std::span<const T> values) {
  const T* const from = values.data();
  if (centered) {
    constexpr T kLow = kLowest, kHigh = kHighest;
    for (size_t i = 0; i < count; ++i) {
      const T value = std::min(std::max(from[i], kLow), kHigh);
      symbols[i] = static_cast<uint8_t>(value + GaussianArrayTables::kKernelCenter);
    }
    return;
  }
  for (size_t i = 0; i < count; ++i) {
    const int32_t value = whole ? int32_t{from[i]} : int32_t{from[i]} >> low_bits[i];
    const int32_t low = centers[i] + kLowest;  // centers are below 2^28
    symbols[i] = static_cast<uint8_t>(std::clamp(value, low, centers[i] + kHighest) - low);
  }
}

template <typename T>
bool GaussianBlock::GiveValues(size_t size, T* values) const {
  if (centered) {
    for (size_t i = 0; i < size; ++i) values[i] = static_cast<T>(symbols[i] + kLowest);
    return true;
  }
  int32_t lost = 0;
  for (size_t i = 0; i < size; ++i) {
    const int32_t value = centers[i] + symbols[i] + kLowest;
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
