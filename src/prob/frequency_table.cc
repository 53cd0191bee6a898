// The code length sum of -w log2 f is convex and separable in the frequencies, so giving the units of 2^n away one at a
// time, each to the symbol that gains most, ends at the optimum. Nearly all units can be given at once: a symbol's
// share of 2^n - size, less one, is never more than it gets in the end. Gains are compared exactly as integers: log(1 +
// 1/f) comes from its series in 2 atanh(1 / (2f + 1)), whose terms are divisions of integers.
#include "prob/frequency_table.h"

#include <algorithm>
#include <cmath>
#include <queue>
#include <string>

namespace sluice {
namespace {

using uint128 = unsigned __int128;

constexpr uint64_t kWeightLimit = uint64_t{1} << 63;

/// log(1 + 1/f) in units of 2^-40, within 4 units.
uint64_t LogStep(uint32_t f) {
  const uint64_t divisor = 2 * uint64_t{f} + 1;
  uint64_t power = (uint64_t{2} << 40) / divisor;
  uint64_t sum = power;
  for (uint64_t k = 3; power != 0; k += 2) {
    power /= divisor * divisor;
    sum += power / k;
  }
  return sum;
}

struct Gain {
  uint128 gain;
  size_t symbol;
  bool operator<(const Gain& other) const { return gain != other.gain ? gain < other.gain : symbol > other.symbol; }
};

std::string SizeMessage(size_t size, int precision) {
  return "table: symbols: expected 2 to 2^" + std::to_string(precision) + ", got " + std::to_string(size);
}

}  // namespace

Status CheckTablePrecision(int precision) {
  if (precision >= kMinTablePrecision && precision <= kMaxTablePrecision) return OkStatus();
  return InvalidArgument("table: precision: expected 10 to 16, got " + std::to_string(precision));
}

Result<std::vector<uint32_t>> QuantizeFrequencies(std::span<const uint64_t> weights, int precision) {
  SLUICE_RETURN_IF_ERROR(CheckTablePrecision(precision));
  const uint32_t total = uint32_t{1} << precision;
  const size_t size = weights.size();
  if (size < 2 || size > total) return InvalidArgument(SizeMessage(size, precision));
  uint128 sum = 0;
  for (size_t i = 0; i < size; ++i) {
    if (weights[i] >= kWeightLimit) {
      return InvalidArgument("table: weight " + std::to_string(i) + ": expected less than 2^63, got " +
                             std::to_string(weights[i]));
    }
    sum += weights[i];
  }
  std::vector<uint64_t> equal;
  if (sum == 0) {
    equal.assign(size, 1);
    weights = equal;
    sum = size;
  }

  std::vector<uint32_t> frequencies(size);
  std::vector<Gain> gains(size);
  uint32_t given = 0;
  for (size_t i = 0; i < size; ++i) {
    const auto share = static_cast<uint32_t>(uint128{weights[i]} * (total - size) / sum);
    frequencies[i] = share < 2 ? 1 : share - 1;
    given += frequencies[i];
    gains[i] = {uint128{weights[i]} * LogStep(frequencies[i]), i};
  }
  std::priority_queue<Gain> queue({}, std::move(gains));
  for (; given < total; ++given) {
    const size_t i = queue.top().symbol;
    queue.pop();
    ++frequencies[i];
    queue.push({uint128{weights[i]} * LogStep(frequencies[i]), i});
  }
  return frequencies;
}

FrequencyTable::FrequencyTable(std::span<const uint32_t> frequencies, int precision) : precision_(precision) {
  starts_.reserve(frequencies.size() + 1);
  starts_.push_back(0);
  for (const uint32_t frequency : frequencies) starts_.push_back(starts_.back() + frequency);
  buckets_.resize(size_t{1} << kBucketBits);
  size_t symbol = 0;
  for (size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
    const auto slot = static_cast<uint32_t>(bucket << (precision - kBucketBits));
    while (starts_[symbol + 1] <= slot) ++symbol;
    buckets_[bucket] = static_cast<uint16_t>(symbol);
  }
}

Result<FrequencyTable> FrequencyTable::FromWeights(std::span<const uint64_t> weights, int precision) {
  SLUICE_ASSIGN_OR_RETURN(const std::vector<uint32_t> frequencies, QuantizeFrequencies(weights, precision));
  return FrequencyTable(frequencies, precision);
}

Result<FrequencyTable> FrequencyTable::FromFrequencies(std::span<const uint32_t> frequencies, int precision) {
  SLUICE_RETURN_IF_ERROR(CheckTablePrecision(precision));
  const uint32_t total = uint32_t{1} << precision;
  if (frequencies.size() < 2 || frequencies.size() > total) return Corrupt(SizeMessage(frequencies.size(), precision));
  uint64_t sum = 0;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    if (frequencies[i] == 0) return Corrupt("table: frequency " + std::to_string(i) + ": expected at least 1, got 0");
    sum += frequencies[i];
  }
  if (sum != total) {
    return Corrupt("table: sum of frequencies: expected " + std::to_string(total) + ", got " + std::to_string(sum));
  }
  return FrequencyTable(frequencies, precision);
}

std::vector<uint32_t> FrequencyTable::Frequencies() const {
  std::vector<uint32_t> frequencies(size());
  for (size_t i = 0; i < size(); ++i) frequencies[i] = At(i).freq;
  return frequencies;
}

size_t FrequencyTable::Find(uint32_t slot) const {
  slot &= (uint32_t{1} << precision_) - 1;
  const size_t bucket = slot >> (precision_ - kBucketBits);
  const size_t first = buckets_[bucket];
  const size_t last = bucket + 1 < buckets_.size() ? buckets_[bucket + 1] : size() - 1;
  // The owner is in [first, last]: the first start beyond the slot belongs to its successor.
  const auto from = starts_.begin() + static_cast<ptrdiff_t>(first) + 1;
  const auto to = starts_.begin() + static_cast<ptrdiff_t>(last) + 1;
  return static_cast<size_t>(std::upper_bound(from, to, slot) - starts_.begin()) - 1;
}

float FrequencyTable::CostBits(size_t symbol) const {
  return static_cast<float>(precision_) - std::log2(static_cast<float>(At(symbol).freq));
}

}  // namespace sluice
