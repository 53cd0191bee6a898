#include "prob/static_table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace sluice {
namespace {

constexpr int32_t kMin = std::numeric_limits<int32_t>::min();
constexpr int32_t kMax = std::numeric_limits<int32_t>::max();

/// One value's intervals and bits, replayed in order.
struct Tape {
  Interval interval{};
  std::vector<std::pair<uint32_t, int>> bits;
  size_t next = 0;

  void Push(Interval pushed) { interval = pushed; }
  void PushBits(uint32_t value, int count) { bits.emplace_back(value, count); }
  uint32_t Peek() const { return interval.start; }
  void Advance(Interval taken) { EXPECT_EQ(taken, interval); }
  uint32_t PopBits(int count) {
    EXPECT_EQ(bits[next].second, count);
    return bits[next++].first;
  }
};

TEST(StaticTableTest, RoundTripsValuesInsideAndOutside) {
  const std::vector<uint64_t> weights = {5, 100, 1000, 90, 0, 1};
  for (int32_t first : {-2, 0, 7, kMin, kMax - 5}) {
    const StaticTable table = *StaticTable::FromWeights(first, weights, 3, 12);
    for (int64_t value : {int64_t{first}, first + int64_t{1}, first + int64_t{5}, first + int64_t{6}, int64_t{-3},
                          int64_t{0}, int64_t{1000}, int64_t{kMin}, int64_t{kMax}}) {
      Tape tape;
      EncodeStatic(table, value, tape);
      EXPECT_EQ(DecodeStatic(table, tape), value);
      EXPECT_EQ(tape.next, tape.bits.size());
      double cost = 12 - std::log2(tape.interval.freq);
      for (const auto& [bits, count] : tape.bits) cost += count;
      EXPECT_NEAR(table.CostBits(value), cost, 1e-4);
    }
  }
}

TEST(StaticTableTest, RoundTripsTheLongestEscape) {
  for (uint32_t excess : {0u, 1u, 2u, 0x7FFFFFFEu, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFFFEu}) {
    for (bool above : {false, true}) {
      Tape tape;
      EncodeEscape(above, excess, tape);
      const Escape escape = DecodeEscape(tape);
      EXPECT_EQ(escape.excess, excess);
      EXPECT_EQ(escape.above, above);
      EXPECT_EQ(tape.next, tape.bits.size());
    }
  }
}

TEST(StaticTableTest, RoundTripsThroughFrequencies) {
  const StaticTable table = *StaticTable::FromWeights(-3, std::vector<uint64_t>{1, 7, 50, 8, 2}, 1, 14);
  EXPECT_EQ(*StaticTable::FromFrequencies(-3, table.Frequencies(), false, 14), table);
  const StaticTable closed = *StaticTable::ClosedFromWeights(0, std::vector<uint64_t>(256, 1), 12);
  EXPECT_EQ(closed.count(), 256u);
  EXPECT_EQ(*StaticTable::FromFrequencies(0, closed.Frequencies(), true, 12), closed);
  EXPECT_EQ(closed.CostBits(255), 8);
  EXPECT_TRUE(std::isinf(closed.CostBits(256)));
}

double MeanCost(const StaticTable& table, const std::vector<int32_t>& values) {
  double bits = 0;
  for (const int32_t value : values) bits += table.CostBits(value);
  return bits / static_cast<double>(values.size());
}

TEST(StaticTableTest, CostsNearTheEntropyWhenFitted) {
  std::mt19937 random(3);
  std::normal_distribution<double> normal(40, 5);
  std::vector<int32_t> values(20000);
  for (int32_t& value : values) value = static_cast<int32_t>(std::lround(normal(random)));
  const double entropy = std::log2(5 * std::sqrt(2 * std::acos(-1.0) * std::exp(1.0)));
  EXPECT_LT(MeanCost(*StaticTable::Fit(values, 12), values), entropy * 1.005);
  values[7] = 3000;
  values[9] = kMin;
  values[11] = kMax;
  const StaticTable with_outliers = *StaticTable::Fit(values, 12);
  EXPECT_LT(with_outliers.count(), 60u);
  EXPECT_LT(MeanCost(with_outliers, values), entropy * 1.01);
}

TEST(StaticTableTest, CostsLittleForDegenerateSamples) {
  EXPECT_LT(MeanCost(*StaticTable::Fit(std::vector<int32_t>(1000, -77), 12), {-77}), 0.001);
  EXPECT_EQ(StaticTable::Fit({}, 12)->count(), 1u);
  std::vector<int32_t> wide(5000);
  for (size_t i = 0; i < wide.size(); ++i) wide[i] = static_cast<int32_t>(i * 400000) - kMax / 2;
  EXPECT_LT(MeanCost(*StaticTable::Fit(wide, 12), wide), 70) << "uniform over 2^31 has no good table, only escapes";
}

TEST(StaticTableTest, RejectsBadSupportsAndFrequencies) {
  const std::vector<uint64_t> two = {1, 1};
  EXPECT_EQ(StaticTable::FromWeights(kMax, two, 1, 12).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(StaticTable::FromWeights(0, {}, 1, 12).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(StaticTable::ClosedFromWeights(0, std::vector<uint64_t>{1}, 12).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(StaticTable::Fit({}, 9).status().code(), StatusCode::kInvalidArgument);
  const std::vector<uint32_t> three = {1, 1, 4094};
  EXPECT_EQ(StaticTable::FromFrequencies(kMax, three, false, 12).status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(StaticTable::FromFrequencies(0, three, false, 10).status().code(), StatusCode::kCorrupt);
  EXPECT_TRUE(StaticTable::FromFrequencies(kMax - 1, three, false, 12).ok());
}

}  // namespace
}  // namespace sluice
