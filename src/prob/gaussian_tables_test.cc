#include "prob/gaussian_tables.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <numeric>
#include <random>

#include "base/bytes.h"
#include "base/hash.h"
#include "prob/normal_integral.h"

namespace sluice {
namespace {

/// A coder without arithmetic: keeps what is pushed and hands it out again, as slots inside the intervals.
struct Tape {
  struct Entry {
    Interval interval;
    uint32_t bits;
    int count;
  };
  std::deque<Entry> entries;
  double cost = 0;
  int precision = 12;

  void Push(Interval interval) {
    cost += precision - std::log2(interval.freq);
    entries.push_back({interval, 0, -1});
  }
  void PushBits(uint32_t value, int count) {
    cost += count;
    entries.push_back({{}, value, count});
  }
  uint32_t Peek() const { return entries.front().interval.start + entries.front().interval.freq - 1; }
  void Advance(Interval interval) {
    EXPECT_EQ(interval, entries.front().interval);
    entries.pop_front();
  }
  uint32_t PopBits(int count) {
    if (count == 0 && entries.front().count != 0) return 0;
    EXPECT_EQ(count, entries.front().count);
    const uint32_t bits = entries.front().bits;
    entries.pop_front();
    return bits;
  }
};

/// Reads a pseudo-random stream for ever.
struct Noise {
  std::mt19937 random{7};
  uint32_t Peek() { return random() & 4095; }
  void Advance(Interval interval) { EXPECT_GE(interval.freq, 1u); }
  uint32_t PopBits(int count) { return count == 0 ? 0 : static_cast<uint32_t>(random()) >> (32 - count); }
};

double Phi(double t) { return 0.5 * std::erfc(-t * std::sqrt(0.5)); }

TEST(NormalIntegralTest, MatchesErf) {
  const NormalIntegral integral;
  double worst = 0;
  for (int64_t t = -(int64_t{9} << 32); t <= int64_t{9} << 32; t += 123456789) {
    const double exact = std::sqrt(std::acos(-1.0) / 2) * std::erf(static_cast<double>(t) * 0x1p-32 * std::sqrt(0.5));
    worst = std::max(worst, std::abs(static_cast<double>(integral.At(t)) * 0x1p-60 - exact));
    EXPECT_EQ(integral.At(-t), -integral.At(t));
  }
  EXPECT_LT(worst, 0x1p-42);
  EXPECT_GT(worst, 0);
}

TEST(ScaleGridTest, MatchesItsDefinition) {
  for (int i = 0; i < kScaleCodes; ++i) {
    EXPECT_NEAR(ScaleValue(i) / (0.11 * std::pow(16 / 0.11, i / 63.0)), 1, 1e-6);
    EXPECT_EQ(ScaleIndex(ScaleValue(i)), i);
  }
  EXPECT_FLOAT_EQ(ScaleValue(63), 16);
  EXPECT_GT(ScaleValue(kScaleCodes - 1), 4000);
}

TEST(ScaleGridTest, MatchesTheNearestScaleInTheLogDomain) {
  for (double sigma = 0.02; sigma < 9000; sigma *= 1.0007) {
    const double position = 63 * std::log(sigma / 0.11) / std::log(16 / 0.11);
    const double nearest = std::clamp(std::round(position), 0.0, kScaleCodes - 1.0);
    if (std::abs(position - std::floor(position) - 0.5) < 1e-4) continue;
    EXPECT_EQ(ScaleIndex(static_cast<float>(sigma)), static_cast<int>(nearest)) << sigma;
  }
  EXPECT_EQ(ScaleIndex(std::numeric_limits<float>::quiet_NaN()), 0);
  EXPECT_EQ(ScaleIndex(-1), 0);
  EXPECT_EQ(ScaleIndex(std::numeric_limits<float>::infinity()), kScaleCodes - 1);
}

TEST(ScaleGridTest, MatchesTheBoundariesToTheLastFloat) {
  for (int i = 0; i + 1 < kScaleCodes; ++i) {
    const double product = static_cast<double>(ScaleQ32(i)) * static_cast<double>(ScaleQ32(i + 1));
    const auto boundary = static_cast<float>(std::sqrt(product) * 0x1p-32);
    EXPECT_EQ(ScaleIndex(boundary), i + 1);
    EXPECT_EQ(ScaleIndex(std::nextafter(boundary, 0.0F)), i);
  }
  EXPECT_EQ(ScaleIndex(0), 0);
  EXPECT_EQ(ScaleIndex(std::numeric_limits<float>::denorm_min()), 0);
  EXPECT_EQ(ScaleIndex(std::numeric_limits<float>::max()), kScaleCodes - 1);
  EXPECT_EQ(ScaleIndex(-std::numeric_limits<float>::infinity()), 0);
}

TEST(ScaleGridTest, MatchesRoutesToTheScaleThatRemains) {
  for (int i = 0; i < kScaleCodes; ++i) {
    const ScaleRoute route = RouteOfScale(i);
    EXPECT_EQ(route.low_bits == 0, i < kGaussianScales);
    const double rest = std::ldexp(ScaleValue(i), -route.low_bits);
    EXPECT_EQ(ScaleIndex(static_cast<float>(rest)), route.table);
    EXPECT_TRUE(i < kGaussianScales || rest > 8);
  }
  EXPECT_EQ(RouteOfScale(-5).table, 0);
  EXPECT_EQ(RouteOfScale(1000).low_bits, RouteOfScale(kScaleCodes - 1).low_bits);
}

/// Expected bits over the entropy of the same Gaussian on the integers, per symbol.
struct Excess {
  double bits = 0;
  double entropy = 0;
};

Excess ExpectedExcess(const GaussianTables& tables, double sigma, int scale_index, int32_t mean_q4) {
  Excess result;
  const double mean = mean_q4 / 16.0;
  const int reach = static_cast<int>(9 * sigma) + 3;
  for (int v = static_cast<int>(mean) - reach; v <= static_cast<int>(mean) + reach; ++v) {
    const double low = (v - 0.5 - mean) / sigma;
    const double high = (v + 0.5 - mean) / sigma;
    const double p = low > 0 ? Phi(-low) - Phi(-high) : Phi(high) - Phi(low);
    if (p < 1e-18) continue;
    result.bits += p * tables.CostBits(v, mean_q4, scale_index);
    result.entropy -= p * std::log2(p);
  }
  return result;
}

TEST(GaussianTablesTest, CostsLittleOverTheEntropyAtTheTablesOwnScale) {
  for (auto [precision, all, narrow] : {std::tuple{10, 0.0030, 0.0060}, {12, 0.0008, 0.0015}, {14, 0.0003, 0.0005}}) {
    const GaussianTables tables = *GaussianTables::Create(precision);
    Excess wide, small;
    for (int i = 0; i < kGaussianScales; ++i) {
      const Excess one = ExpectedExcess(tables, ScaleValue(i), i, 0);
      EXPECT_GE(one.bits, one.entropy);
      wide = {wide.bits + one.bits, wide.entropy + one.entropy};
      if (ScaleValue(i) <= 1) small = {small.bits + one.bits, small.entropy + one.entropy};
    }
    EXPECT_LT(wide.bits / wide.entropy - 1, all) << precision;
    EXPECT_LT(small.bits / small.entropy - 1, narrow) << precision;
  }
}

TEST(GaussianTablesTest, CostsLittleOverTheEntropyAtEveryOffset) {
  for (int offsets : {8, 16}) {
    const GaussianTables tables = *GaussianTables::Create(12, offsets);
    for (int i = 20; i < kScaleCodes; i += 7) {
      for (int32_t mean_q4 : {-1000, -8, -7, -1, 0, 1, 5, 8, 15, 333}) {
        const Excess one = ExpectedExcess(tables, ScaleValue(i), i, mean_q4);
        // 134 scales leave 8 % between the two that low bits join, 8 offsets up to 1/16 of the mean.
        EXPECT_LT(one.bits / one.entropy - 1, offsets == 8 && mean_q4 % 2 != 0 ? 0.02 : 0.002)
            << offsets << " " << i << " " << mean_q4;
      }
    }
  }
}

TEST(GaussianTablesTest, MatchesTheFourGuaranteesAtEveryPrecision) {
  for (int precision = kMinTablePrecision; precision <= kMaxTablePrecision; ++precision) {
    const GaussianTables tables = *GaussianTables::Create(precision, 8);
    for (int i = 0; i < kGaussianScales * 8; ++i) {
      const StaticTable& table = tables.At(i / 8, i % 8);
      const std::vector<uint32_t> frequencies = table.Frequencies();
      ASSERT_EQ(frequencies.size(), table.count() + 1) << "the support and one escape, nothing else";
      ASSERT_GE(*std::min_element(frequencies.begin(), frequencies.end()), 1u);
      ASSERT_LT(*std::max_element(frequencies.begin(), frequencies.end()), 1u << precision);
      ASSERT_EQ(std::accumulate(frequencies.begin(), frequencies.end(), uint64_t{0}), uint64_t{1} << precision);
    }
  }
}

TEST(GaussianTablesTest, MatchesTheMirrorImageOfTheOppositeOffset) {
  const GaussianTables tables = *GaussianTables::Create(12, 16);
  for (int scale = 0; scale < kGaussianScales; ++scale) {
    for (int offset = 1; offset < 16; ++offset) {
      const StaticTable& one = tables.At(scale, offset);
      const StaticTable& other = tables.At(scale, 16 - offset);
      ASSERT_EQ(one.count(), other.count());
      ASSERT_EQ(one.first(), -(other.first() + static_cast<int32_t>(other.count()) - 1));
    }
  }
}

TEST(GaussianTablesTest, RoundTripsEveryKindOfValue) {
  constexpr int32_t kMin = std::numeric_limits<int32_t>::min();
  constexpr int32_t kMax = std::numeric_limits<int32_t>::max();
  for (int offsets : {1, 8, 16}) {
    for (int precision : {10, 12, 14, 16}) {
      const GaussianTables tables = *GaussianTables::Create(precision, offsets);
      for (int scale = -1; scale <= kScaleCodes; scale += 9) {
        for (int32_t mean_q4 : {0, 1, -1, 7, 8, -8, -9, 12345, -54321, kMin, kMax}) {
          for (int32_t value : {0, 1, -1, 2, 63, -64, 100, -1000, 65535, -65536, kMin, kMin + 1, kMax, kMax - 1}) {
            Tape tape;
            tape.precision = precision;
            EncodeGaussian(tables, value, mean_q4, scale, tape);
            EXPECT_NEAR(tape.cost, tables.CostBits(value, mean_q4, scale), 1e-4);
            ASSERT_EQ(DecodeGaussian(tables, mean_q4, scale, tape), value) << scale << " " << mean_q4;
            ASSERT_TRUE(tape.entries.empty());
          }
        }
      }
    }
  }
}

TEST(GaussianTablesTest, RoundTripsArbitraryValues) {
  const GaussianTables tables = *GaussianTables::Create(12, 8);
  EXPECT_TRUE(rc::check("any value, mean and scale", [&] {
    const auto value = *rc::gen::arbitrary<int32_t>();
    const auto mean_q4 = *rc::gen::arbitrary<int32_t>();
    const int scale = *rc::gen::inRange(0, kScaleCodes);
    Tape tape;
    EncodeGaussian(tables, value, mean_q4, scale, tape);
    RC_ASSERT(DecodeGaussian(tables, mean_q4, scale, tape) == value);
  }));
}

TEST(GaussianTablesTest, RejectsNothingAndStaysInBoundsOnNoise) {
  const GaussianTables tables = *GaussianTables::Create();
  Noise noise;
  int64_t sum = 0;
  for (int i = 0; i < 100000; ++i) sum += DecodeGaussian(tables, i * 7919, i % 200, noise);
  EXPECT_NE(sum, 0);
}

TEST(GaussianTablesTest, RejectsParametersOutOfRange) {
  for (auto [precision, offsets] : {std::pair{9, 1}, {17, 1}, {12, 0}, {12, 2}, {12, 32}}) {
    EXPECT_EQ(GaussianTables::Create(precision, offsets).status().code(), StatusCode::kInvalidArgument);
  }
}

TEST(GaussianTablesTest, GoldenTables) {
  ByteWriter writer;
  for (int precision : {10, 12, 14, 16}) {
    for (int offsets : {1, 8, 16}) {
      const GaussianTables tables = *GaussianTables::Create(precision, offsets);
      for (int i = 0; i < kGaussianScales * offsets; ++i) {
        const StaticTable& table = tables.At(i / offsets, i % offsets);
        writer.Put<int32_t>(table.first());
        for (const uint32_t frequency : table.Frequencies()) writer.Put(frequency);
      }
    }
  }
  EXPECT_EQ(ToHex(Sha256::Of(writer.bytes())), "3748d93fd368ca246bf9d4d0286b365ae940c9c7d1524e45b1942f7a100424d8");
}

}  // namespace
}  // namespace sluice
