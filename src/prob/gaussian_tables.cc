// A table covers the values with a probability of at least 2^-(precision + 1): a rarer one would get more than its due
// at everybody's expense, and costs less as an escape. Beyond sigma 16 a table of this kind would grow without giving
// anything: the high part of the value has the same shape, and the low bits are uniform (at sigma 8 in units of the
// high part, within 0.001 bits). A cell of 2^k values starting at h 2^k has its middle (2^k - 1)/2 above its start, so
// the mean of the high part is (mean - (2^k - 1)/2) / 2^k.
#include "prob/gaussian_tables.h"

#include <bit>
#include <string>

#include "prob/normal_integral.h"

namespace sluice {
namespace {

/// Area of the unit cell around `value`, for a mean of delta / 32.
class CellArea {
 public:
  CellArea(const NormalIntegral& integral, uint64_t sigma_q32, int delta)
      : integral_(integral), sigma_q32_(static_cast<int64_t>(sigma_q32)), delta_(delta) {}

  /// G at the boundary between value - 1 and value.
  int64_t Below(int value) const {
    const int64_t edge = 32 * value - 16 - delta_;
    return integral_.At(static_cast<int64_t>((static_cast<__int128>(edge) << 59) / sigma_q32_));
  }
  int64_t Of(int value) const { return Below(value + 1) - Below(value); }

 private:
  const NormalIntegral& integral_;
  int64_t sigma_q32_;
  int delta_;
};

Result<StaticTable> MakeTable(const NormalIntegral& integral, uint64_t sigma_q32, int delta, int precision) {
  const CellArea area(integral, sigma_q32, delta);
  const int64_t whole = 2 * integral.Half();
  const int64_t least = whole >> (precision + 1);
  int first = 0;
  int last = 0;
  while (area.Of(first - 1) >= least) --first;
  while (area.Of(last + 1) >= least) ++last;
  std::vector<uint64_t> weights;
  for (int value = first; value <= last; ++value) weights.push_back(static_cast<uint64_t>(area.Of(value)));
  const int64_t outside = whole - (area.Below(last + 1) - area.Below(first));
  return StaticTable::FromWeights(first, weights, static_cast<uint64_t>(outside), precision);
}

}  // namespace

Result<GaussianTables> GaussianTables::Create(int precision, int offsets) {
  if (offsets != 1 && offsets != 8 && offsets != 16) {
    return InvalidArgument("gaussian tables: offsets: expected 1, 8 or 16, got " + std::to_string(offsets));
  }
  SLUICE_RETURN_IF_ERROR(CheckTablePrecision(precision));
  const NormalIntegral integral;
  GaussianTables tables(std::countr_zero(static_cast<unsigned>(offsets)));
  tables.tables_.reserve(static_cast<size_t>(kGaussianScales * offsets));
  for (int scale = 0; scale < kGaussianScales; ++scale) {
    for (int offset = 0; offset < offsets; ++offset) {
      const int delta = (offset - offsets / 2) * (32 / offsets);
      SLUICE_ASSIGN_OR_RETURN(StaticTable table, MakeTable(integral, ScaleQ32(scale), delta, precision));
      tables.tables_.push_back(std::move(table));
    }
  }
  return tables;
}

GaussianTables::Choice GaussianTables::Choose(int32_t mean_q4, int scale_index) const {
  const ScaleRoute route = RouteOfScale(scale_index);
  int64_t mean = mean_q4;
  if (route.low_bits > 0) {
    const int64_t cell = int64_t{1} << route.low_bits;
    mean = (mean - 8 * (cell - 1) + cell / 2) >> route.low_bits;
  }
  const int drop = 4 - offset_bits_;
  const int64_t half = offsets() / 2;
  const int64_t rounded = ((mean + ((int64_t{1} << drop) >> 1)) >> drop) + half;
  return {&At(route.table, static_cast<int>(rounded & (offsets() - 1))), static_cast<int32_t>(rounded >> offset_bits_),
          route.low_bits};
}

float GaussianTables::CostBits(int32_t value, int32_t mean_q4, int scale_index) const {
  const Choice choice = Choose(mean_q4, scale_index);
  return choice.table->CostBits(int64_t{value >> choice.low_bits} - choice.center) +
         static_cast<float>(choice.low_bits);
}

}  // namespace sluice
