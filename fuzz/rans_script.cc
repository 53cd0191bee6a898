#include "rans_script.h"

#include <vector>

#include "rans/rans_layout.h"

namespace sluice {

const GaussianTables& FuzzGaussians(int precision) {
  static std::vector<std::optional<GaussianTables>> tables(kMaxTablePrecision + 1);
  auto& made = tables[static_cast<size_t>(precision)];
  if (!made) made.emplace(*GaussianTables::Create(precision, 8));
  return *made;
}

RansScript::RansScript(FuzzInput& input)
    : lanes(static_cast<int>(input.InRange(0, kMaxRansLanes + 1))),
      precision(static_cast<int>(input.InRange(kMinRansPrecision, kMaxRansPrecision))) {
  std::vector<uint64_t> weights(input.InRange(1, 40));
  for (uint64_t& weight : weights) {
    const uint64_t factor = input.Byte();
    weight = factor * input.Byte();
  }
  Result<StaticTable> table = StaticTable::FromWeights(-5, weights, input.Byte(), precision);
  FUZZ_REQUIRE(table.ok());
  table_.emplace(std::move(*table));
  seal = input.Byte() % 2 == 0 ? kRansDefaultSeal : input.Word() % kRansSealLimit;
  count = 8 * uint32_t{input.Byte()};
  kinds_ = input.Byte();
}

}  // namespace sluice
