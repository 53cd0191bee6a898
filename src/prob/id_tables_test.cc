#include "prob/id_tables.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace sluice {
namespace {

constexpr int kPrecision = 12;
constexpr size_t kIds = 40;

// What a coder would get, and would give again.
struct Tape {
  std::vector<Interval> intervals;
  size_t next = 0;

  void Push(Interval interval) { intervals.push_back(interval); }
  void PushBits(uint32_t, int) { ADD_FAILURE() << "a closed table has no escapes"; }
  uint32_t Peek() const { return intervals[next].start + intervals[next].freq - 1; }
  void Advance(Interval interval) { EXPECT_EQ(interval, intervals[next++]); }
  uint32_t PopBits(int) {
    ADD_FAILURE() << "a closed table has no escapes";
    return 0;
  }
};

// Ids that tend to follow the one before.
std::vector<std::vector<int32_t>> Sequences() {
  std::mt19937 random(5);
  std::vector<std::vector<int32_t>> sequences(30);
  for (auto& sequence : sequences) {
    auto id = static_cast<int32_t>(random() % kIds);
    for (size_t i = 0; i < 200; ++i) {
      sequence.push_back(id);
      id = static_cast<int32_t>(random() % 4 == 0 ? random() % kIds
                                                  : (static_cast<size_t>(id) * 7 + random() % 2) % kIds);
    }
  }
  return sequences;
}

class IdTablesTest : public testing::TestWithParam<std::vector<uint32_t>> {
 protected:
  std::vector<std::vector<int32_t>> sequences_ = Sequences();
  IdTables tables_ = *IdTables::Fit(sequences_, kIds, GetParam(), kPrecision);
};

TEST_P(IdTablesTest, RoundTripsForwardsAndBackwards) {
  ASSERT_EQ(tables_.ids(), kIds);
  const auto& ids = sequences_[3];
  const auto before = [&](size_t i) { return i == 0 ? static_cast<int32_t>(kIds) : ids[i - 1]; };
  Tape forwards, backwards;
  double cost = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    tables_.Encode<false>(before(i), ids[i], forwards);
    cost += tables_.CostBits(before(i), ids[i]);
  }
  for (size_t i = ids.size(); i-- > 0;) tables_.Encode<true>(before(i), ids[i], backwards);
  std::reverse(backwards.intervals.begin(), backwards.intervals.end());
  EXPECT_EQ(backwards.intervals, forwards.intervals);
  double taken = 0;
  for (const Interval& interval : forwards.intervals) taken += kPrecision - std::log2(interval.freq);
  EXPECT_NEAR(cost, taken, 0.01);
  for (size_t i = 0; i < ids.size(); ++i) ASSERT_EQ(tables_.Decode(before(i), forwards), ids[i]) << i;
  EXPECT_EQ(forwards.next, forwards.intervals.size());
}

TEST_P(IdTablesTest, CostsLessThanWithoutWhatCameBefore) {
  double cost = 0;
  size_t count = 0;
  for (const auto& sequence : sequences_) {
    for (size_t i = 1; i < sequence.size(); ++i, ++count) cost += tables_.CostBits(sequence[i - 1], sequence[i]);
  }
  // 3/4 of the steps leave 1 bit open, the others log2(40); groups know less of the id before.
  const double known = GetParam().empty() ? 3.3 : 4.9;
  EXPECT_LT(cost / static_cast<double>(count), known);
}

TEST_P(IdTablesTest, RoundTripsThroughItsParts) {
  const std::vector<StaticTable> first = tables_.first();
  const std::vector<StaticTable> places = tables_.places();
  const auto again = GetParam().empty() ? IdTables::Flat(first) : IdTables::Grouped(GetParam(), first, places);
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(again->CostBits(3, 5), tables_.CostBits(3, 5));
}

INSTANTIATE_TEST_SUITE_P(Shapes, IdTablesTest,
                         testing::Values(std::vector<uint32_t>{}, std::vector<uint32_t>{8, 2, 20, 10}));

TEST(IdTablesTest, RejectsPartsThatDoNotFit) {
  const IdTables good = *IdTables::Fit(Sequences(), kIds, {20, 20}, kPrecision);
  const std::vector<StaticTable> first = good.first();
  const std::vector<StaticTable> places = good.places();
  EXPECT_TRUE(IdTables::Grouped({20, 20}, first, places).ok());
  EXPECT_EQ(IdTables::Grouped({20, 21}, first, places).status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(IdTables::Grouped({18, 22}, first, places).status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(IdTables::Grouped({40}, first, places).status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(IdTables::Grouped({20, 20}, places, first).status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(IdTables::Flat(first).status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(IdTables::Flat({}).status().code(), StatusCode::kCorrupt);
}

}  // namespace
}  // namespace sluice
