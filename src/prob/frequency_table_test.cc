#include "prob/frequency_table.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

namespace sluice {
namespace {

double CodeLength(const std::vector<uint64_t>& weights, const std::vector<uint32_t>& frequencies) {
  double bits = 0;
  for (size_t i = 0; i < weights.size(); ++i) bits -= static_cast<double>(weights[i]) * std::log2(frequencies[i]);
  return bits;
}

TEST(FrequencyTableTest, MatchesTheFourGuarantees) {
  EXPECT_TRUE(rc::check("all at least one, exact sum, none owns everything", [] {
    const int precision = *rc::gen::inRange(kMinTablePrecision, kMaxTablePrecision + 1);
    const int size = *rc::gen::inRange(2, 1 << kMinTablePrecision);
    const int shift = *rc::gen::inRange(1, 64);
    auto weights = *rc::gen::container<std::vector<uint64_t>>(size, rc::gen::arbitrary<uint64_t>());
    for (uint64_t& weight : weights) weight >>= shift;
    const Result<std::vector<uint32_t>> frequencies = QuantizeFrequencies(weights, precision);
    RC_ASSERT(frequencies.ok());
    RC_ASSERT(frequencies->size() == weights.size());
    RC_ASSERT(*std::min_element(frequencies->begin(), frequencies->end()) >= 1u);
    RC_ASSERT(*std::max_element(frequencies->begin(), frequencies->end()) < 1u << precision);
    RC_ASSERT(std::accumulate(frequencies->begin(), frequencies->end(), uint64_t{0}) == uint64_t{1} << precision);
  }));
}

TEST(FrequencyTableTest, MatchesTheBestTableByExchange) {
  // The code length is convex and separable: a table is the best one if no move of one unit improves it.
  EXPECT_TRUE(rc::check("no exchange of one unit improves the code length", [] {
    auto weights = *rc::gen::container<std::vector<uint64_t>>(*rc::gen::inRange(2, 40), rc::gen::arbitrary<uint64_t>());
    for (uint64_t& weight : weights) weight >>= *rc::gen::inRange(20, 60);
    const std::vector<uint32_t> best = *QuantizeFrequencies(weights, 10);
    const double length = CodeLength(weights, best);
    for (size_t from = 0; from < best.size(); ++from) {
      for (size_t to = 0; to < best.size(); ++to) {
        if (from == to || best[from] == 1) continue;
        std::vector<uint32_t> moved = best;
        --moved[from];
        ++moved[to];
        RC_ASSERT(CodeLength(weights, moved) >= length - 1e-9 * std::abs(length));
      }
    }
  }));
}

TEST(FrequencyTableTest, MatchesExtremeWeights) {
  const uint64_t huge = (uint64_t{1} << 63) - 1;
  EXPECT_EQ(*QuantizeFrequencies(std::vector<uint64_t>{huge, 0}, 12), (std::vector<uint32_t>{4095, 1}));
  EXPECT_EQ(*QuantizeFrequencies(std::vector<uint64_t>{0, 0, 0, 0}, 10), (std::vector<uint32_t>{256, 256, 256, 256}));
  EXPECT_EQ(*QuantizeFrequencies(std::vector<uint64_t>(1024, huge), 10), std::vector<uint32_t>(1024, 1));
  const std::vector<uint32_t> full = *QuantizeFrequencies(std::vector<uint64_t>(65536, 5), 16);
  EXPECT_EQ(full, std::vector<uint32_t>(65536, 1));
}

TEST(FrequencyTableTest, MatchesEverySlotToItsOwner) {
  for (int precision : {10, 12, 16}) {
    const std::vector<uint64_t> weights = {1, 1000, 3, 0, 50000, 7, 7, 7, 123456, 1};
    const FrequencyTable table = *FrequencyTable::FromWeights(weights, precision);
    for (uint32_t slot = 0; slot < 1u << precision; ++slot) {
      const Interval interval = table.At(table.Find(slot));
      ASSERT_LT(slot - interval.start, interval.freq);
    }
    EXPECT_EQ(table.Find(~0u), table.size() - 1);
  }
}

TEST(FrequencyTableTest, RoundTripsFrequencies) {
  const FrequencyTable table = *FrequencyTable::FromWeights(std::vector<uint64_t>{5, 9, 200, 0, 1}, 14);
  EXPECT_EQ(*FrequencyTable::FromFrequencies(table.Frequencies(), 14), table);
}

TEST(FrequencyTableTest, CostsAreCodeLengths) {
  const FrequencyTable table = *FrequencyTable::FromFrequencies(std::vector<uint32_t>{1, 1023, 2048, 1024}, 12);
  EXPECT_FLOAT_EQ(table.CostBits(0), 12);
  EXPECT_FLOAT_EQ(table.CostBits(2), 1);
  EXPECT_FLOAT_EQ(table.CostBits(3), 2);
}

TEST(FrequencyTableTest, RejectsBrokenGuarantees) {
  using Frequencies = std::vector<uint32_t>;
  for (const Frequencies& bad : {Frequencies{}, Frequencies{1024}, Frequencies{0, 1024}, Frequencies{1, 1022},
                                 Frequencies{1, 1024}, Frequencies{0xFFFFFFFF, 1025}, Frequencies(1025, 1)}) {
    EXPECT_EQ(FrequencyTable::FromFrequencies(bad, 10).status().code(), StatusCode::kCorrupt);
  }
  EXPECT_EQ(FrequencyTable::FromFrequencies(Frequencies{1, 511}, 9).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(QuantizeFrequencies(std::vector<uint64_t>{1}, 12).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(QuantizeFrequencies(std::vector<uint64_t>(1025, 1), 10).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(QuantizeFrequencies(std::vector<uint64_t>{1, 1}, 17).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(QuantizeFrequencies(std::vector<uint64_t>{1, ~uint64_t{0}}, 12).status().code(),
            StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace sluice
