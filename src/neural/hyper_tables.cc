#include "neural/hyper_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace sluice {
namespace {

constexpr int32_t kReach = 512;          // symbols looked at on either side of zero
constexpr double kWeightScale = 0x1p40;  // probability 1 as an integer weight

// The support ends where a symbol would get less than half a slot; what lies beyond costs an escape.
Result<StaticTable> TableOfChannel(const double* probability, int precision) {
  const double least = std::ldexp(0.5, -precision);
  int32_t first = kReach, last = -kReach;
  for (int32_t z = -kReach; z <= kReach; ++z) {
    if (probability[z + kReach] < least) continue;
    first = std::min(first, z);
    last = std::max(last, z);
  }
  if (first > last) first = last = 0;  // flat and wide: everything is an escape
  std::vector<uint64_t> weights;
  double covered = 0;
  for (int32_t z = first; z <= last; ++z) {
    covered += probability[z + kReach];
    weights.push_back(static_cast<uint64_t>(probability[z + kReach] * kWeightScale));
  }
  const double rest = std::clamp(1.0 - covered, 0.0, 1.0);
  return StaticTable::FromWeights(first, weights, static_cast<uint64_t>(rest * kWeightScale), precision);
}

}  // namespace

Result<std::vector<StaticTable>> MakeHyperTables(HyperDensityImpl& density, int precision) {
  torch::NoGradGuard no_grad;
  const int64_t channels = density.channels();
  const auto symbols = torch::arange(-kReach, kReach + 1, torch::kFloat32).unsqueeze(1).expand({-1, channels});
  // [channels, symbols], each channel contiguous.
  const auto probability = torch::exp2(-density.Bits(symbols)).t().to(torch::kDouble).contiguous();
  std::vector<StaticTable> tables;
  for (int64_t c = 0; c < channels; ++c) {
    const double* row = probability.data_ptr<double>() + c * (2 * kReach + 1);
    if (!std::all_of(row, row + 2 * kReach + 1, [](double p) { return std::isfinite(p); })) {
      return Internal(fmt::format("hyper channel {}: the density is not finite", c));
    }
    SLUICE_ASSIGN_OR_RETURN(StaticTable table, TableOfChannel(row, precision));
    tables.push_back(std::move(table));
  }
  return tables;
}

Result<std::vector<StaticTable>> MakeSideTables(LearnedCodecImpl& codec) {
  const int precision = codec.config().precision_bits;
  SLUICE_ASSIGN_OR_RETURN(auto tables, MakeHyperTables(codec.density(), precision));
  if (codec.classes() == nullptr) return tables;
  const auto probability = codec.classes()->Probabilities().contiguous();
  std::vector<uint64_t> weights;
  for (int64_t c = 0; c < probability.numel(); ++c) {
    const double p = probability.data_ptr<double>()[c];
    if (!std::isfinite(p)) return Internal("the probabilities of classes are not finite");
    weights.push_back(static_cast<uint64_t>(p * kWeightScale));
  }
  SLUICE_ASSIGN_OR_RETURN(StaticTable table, StaticTable::FromWeights(0, weights, 0, precision));
  tables.push_back(std::move(table));
  return tables;
}

torch::Tensor TableToTensor(const StaticTable& table) {
  std::vector<int32_t> values = {static_cast<int32_t>(table.first())};
  for (uint32_t frequency : table.Frequencies()) values.push_back(static_cast<int32_t>(frequency));
  return torch::tensor(values, torch::kInt32);
}

Result<StaticTable> TableFromTensor(const torch::Tensor& tensor, int precision) {
  if (tensor.dim() != 1 || tensor.size(0) < 2 || tensor.scalar_type() != torch::kInt32) {
    return Corrupt("a probability table is not a list of at least two int32");
  }
  const int32_t* values = tensor.data_ptr<int32_t>();
  std::vector<uint32_t> frequencies;
  for (int64_t i = 1; i < tensor.size(0); ++i) frequencies.push_back(static_cast<uint32_t>(values[i]));
  return StaticTable::FromFrequencies(values[0], frequencies, /*closed=*/false, precision);
}

}  // namespace sluice
