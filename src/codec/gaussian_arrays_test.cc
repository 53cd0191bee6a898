#include "codec/gaussian_arrays.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>

#include "base/hash.h"
#include "rans/rans_encoder.h"

namespace sluice {
namespace {

/// Random values around random means, some far outside, with scales of [lowest, highest].
struct Source {
  std::vector<int32_t> values;
  std::vector<uint8_t> scales;
  std::vector<int32_t> mean_q4;

  Source(size_t count, uint32_t seed, int lowest, int highest, bool means, int outliers_in_1000 = 5) {
    std::mt19937 random(seed);
    std::normal_distribution<double> normal;
    for (size_t i = 0; i < count; ++i) {
      scales.push_back(static_cast<uint8_t>(lowest + static_cast<int>(random() % (highest - lowest + 1))));
      if (means) mean_q4.push_back(static_cast<int32_t>(random() % 6000) - 3000);
      const double mean = means ? mean_q4.back() / 16.0 : 0;
      values.push_back(static_cast<int32_t>(std::lround(normal(random) * ScaleValue(scales.back()) + mean)));
      if (static_cast<int>(random() % 1000) < outliers_in_1000) values.back() = static_cast<int32_t>(random());
    }
  }
  GaussianParameters parameters() const { return {scales, mean_q4}; }
};

std::vector<uint8_t> EncodeByElement(const GaussianTables& tables, const Source& source, int lanes, uint32_t seal) {
  RansEncoder encoder = *RansEncoder::Create(lanes, tables.precision());
  for (size_t i = 0; i < source.values.size(); ++i) {
    EncodeGaussian(tables, source.values[i], source.mean_q4.empty() ? 0 : source.mean_q4[i], source.scales[i], encoder);
  }
  return encoder.Finish(seal);
}

std::vector<uint8_t> EncodeWith(GaussianArrayEncoder& encoder, const Source& source, int lanes, uint32_t seal) {
  std::vector<uint8_t> bytes;
  EXPECT_TRUE(encoder.Begin(lanes, seal).ok());
  EXPECT_TRUE(encoder.Prepend(source.values, source.parameters()).ok());
  encoder.Finish(bytes);
  return bytes;
}

void ExpectDecodes(const GaussianArrayTables& tables, const Source& source, std::span<const uint8_t> bytes, int lanes,
                   uint32_t seal, const RansKernels& kernels, const std::string& what) {
  Result<GaussianArrayDecoder> decoder = GaussianArrayDecoder::Create(tables, bytes, lanes, kernels);
  ASSERT_TRUE(decoder.ok()) << decoder.status().ToString() << what;
  std::vector<int32_t> values(source.values.size());
  ASSERT_TRUE(decoder->Decode(source.parameters(), std::span(values)).ok());
  EXPECT_EQ(values, source.values) << what;
  EXPECT_TRUE(decoder->Finish(seal).ok()) << decoder->Finish(seal).ToString() << what;
}

TEST(GaussianArraysTest, RoundTripsEverySizeAsElementByElement) {
  const GaussianArrayTables tables = *GaussianArrayTables::Create();
  GaussianArrayEncoder encoder(tables);
  for (size_t size = 0; size <= 2000; size += size < 140 ? 1 : 61) {
    const Source source(size, static_cast<uint32_t>(size), 0, 63, size % 2 == 0);
    for (int lanes : {1, 2, 8, 32, 64}) {
      const auto bytes = EncodeWith(encoder, source, lanes, 77);
      ASSERT_EQ(bytes, EncodeByElement(tables.tables(), source, lanes, 77)) << size << " " << lanes;
      ExpectDecodes(tables, source, bytes, lanes, 77, BestRansKernels(), std::to_string(size));
    }
  }
}

TEST(GaussianArraysTest, RoundTripsEveryLaneCount) {
  const GaussianArrayTables tables = *GaussianArrayTables::Create();
  GaussianArrayEncoder encoder(tables);
  const Source source(9001, 4, 0, kScaleCodes - 1, true);
  for (int lanes = 1; lanes <= 64; ++lanes) {
    const auto bytes = EncodeWith(encoder, source, lanes, 1);
    ASSERT_EQ(bytes, EncodeByElement(tables.tables(), source, lanes, 1)) << lanes;
    ExpectDecodes(tables, source, bytes, lanes, 1, BestRansKernels(), std::to_string(lanes));
  }
}

TEST(GaussianArraysTest, RoundTripsBetweenAllPairsOfInstructionSets) {
  for (int precision = kMinKernelPrecision; precision <= kMaxKernelPrecision; ++precision) {
    for (int offsets : {1, 8, 16}) {
      const GaussianArrayTables tables = *GaussianArrayTables::Create(precision, offsets);
      for (int kind = 0; kind < 3; ++kind) {  // without means, with means, with low bits too
        const Source source(5000, static_cast<uint32_t>(precision), 0, kind == 2 ? kScaleCodes - 1 : 63, kind > 0);
        const auto expected = EncodeByElement(tables.tables(), source, 32, 5);
        for (const RansKernels& encoding : AllRansKernels()) {
          GaussianArrayEncoder encoder(tables, encoding);
          EXPECT_EQ(EncodeWith(encoder, source, 32, 5), expected) << encoding.name << precision << offsets << kind;
          ExpectDecodes(tables, source, expected, 32, 5, encoding, std::string(encoding.name));
        }
      }
    }
  }
}

TEST(GaussianArraysTest, RoundTripsLargeArraysOf16Bits) {
  const GaussianArrayTables tables = *GaussianArrayTables::Create(12, 8);
  const Source source(300000, 8, 0, 63, true, 0);
  const std::vector<int16_t> values(source.values.begin(), source.values.end());
  GaussianArrayEncoder encoder(tables);
  ASSERT_TRUE(encoder.Begin(32).ok());
  ASSERT_TRUE(encoder.Prepend(values, source.parameters()).ok());
  std::vector<uint8_t> bytes;
  encoder.Finish(bytes);
  EXPECT_EQ(bytes, EncodeWith(encoder, source, 32, kRansDefaultSeal));
  Result<GaussianArrayDecoder> decoder = GaussianArrayDecoder::Create(tables, bytes, 32);
  std::vector<int16_t> decoded(values.size());
  ASSERT_TRUE(decoder->Decode(source.parameters(), std::span(decoded)).ok());
  EXPECT_EQ(decoded, values);
  EXPECT_TRUE(decoder->Finish().ok());
}

TEST(GaussianArraysTest, RoundTripsSeveralArraysAndOtherTablesInOneStream) {
  const GaussianArrayTables tables = *GaussianArrayTables::Create();
  const Source one(700, 1, 10, 40, false), two(5000, 2, 0, 63, true);
  for (int lanes : {1, 4, 32}) {
    GaussianArrayEncoder encoder(tables);
    ASSERT_TRUE(encoder.Begin(lanes).ok());
    ASSERT_TRUE(encoder.Prepend(two.values, two.parameters()).ok());
    encoder.stack().Push({100, 50});
    encoder.stack().Push({0, 4000});
    ASSERT_TRUE(encoder.Prepend(one.values, one.parameters()).ok());
    std::vector<uint8_t> bytes;
    encoder.Finish(bytes);
    Result<GaussianArrayDecoder> decoder = GaussianArrayDecoder::Create(tables, bytes, lanes);
    ASSERT_TRUE(decoder.ok());
    std::vector<int32_t> first(one.values.size()), second(two.values.size());
    ASSERT_TRUE(decoder->Decode(one.parameters(), std::span(first)).ok());
    for (const Interval interval : {Interval{0, 4000}, Interval{100, 50}}) {
      EXPECT_LT(decoder->decoder().Peek() - interval.start, interval.freq);
      decoder->decoder().Advance(interval);
    }
    ASSERT_TRUE(decoder->Decode(two.parameters(), std::span(second)).ok());
    EXPECT_EQ(first, one.values);
    EXPECT_EQ(second, two.values);
    EXPECT_TRUE(decoder->Finish().ok());
  }
}

TEST(GaussianArraysTest, CostsLittleOverTheIdealInChunks) {
  const GaussianArrayTables tables = *GaussianArrayTables::Create();
  for (auto [highest, bound] : {std::pair{63, 1.0008}, {28, 1.0025}}) {
    const Source source(256 * 768, 3, 0, highest, false, 0);
    double ideal = 0;
    for (size_t i = 0; i < source.values.size(); ++i) {
      const double sigma = ScaleValue(source.scales[i]) * std::sqrt(2.0), v = std::abs(source.values[i]);
      ideal -= std::log2((std::erfc((v - 0.5) / sigma) - std::erfc((v + 0.5) / sigma)) / 2);
    }
    GaussianArrayEncoder encoder(tables);
    const auto bytes = EncodeWith(encoder, source, LanesFor(source.values.size()), kRansDefaultSeal);
    EXPECT_LT(8.0 * static_cast<double>(bytes.size()), ideal * bound) << highest;
  }
}

TEST(GaussianArraysTest, RejectsDamagedStreams) {
  const GaussianArrayTables tables = *GaussianArrayTables::Create();
  const Source source(6000, 5, 0, kScaleCodes - 1, true);
  GaussianArrayEncoder encoder(tables);
  const auto bytes = EncodeWith(encoder, source, 32, 0x12345);
  std::mt19937 random(1);
  std::vector<int32_t> values(source.values.size());
  for (int round = 0; round < 300; ++round) {
    std::vector<uint8_t> damaged = bytes;
    if (round % 3 == 0) damaged.resize(random() % bytes.size());
    if (round % 3 == 1) damaged[random() % bytes.size()] ^= static_cast<uint8_t>(1 << random() % 8);
    if (round % 3 == 2) {
      for (uint8_t& byte : damaged) byte = static_cast<uint8_t>(random());
    }
    std::vector<int32_t> expected;
    for (const RansKernels& kernels : AllRansKernels()) {
      Result<GaussianArrayDecoder> decoder = GaussianArrayDecoder::Create(tables, damaged, 32, kernels);
      if (!decoder.ok()) break;
      EXPECT_TRUE(decoder->Decode(source.parameters(), std::span(values)).ok());
      EXPECT_FALSE(decoder->Finish(0x12345).ok() && values == source.values) << round;
      if (expected.empty()) expected = values;
      EXPECT_EQ(values, expected) << kernels.name << " " << round;
    }
  }
}

TEST(GaussianArraysTest, RejectsBadArguments) {
  EXPECT_EQ(GaussianArrayTables::Create(15).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(GaussianArrayTables::Create(9).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(GaussianArrayTables::Create(12, 3).status().code(), StatusCode::kInvalidArgument);
  const GaussianArrayTables tables = *GaussianArrayTables::Create();
  GaussianArrayEncoder encoder(tables);
  EXPECT_EQ(encoder.Begin(0).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(encoder.Begin(65).code(), StatusCode::kInvalidArgument);
  Source source(10, 1, 0, 63, true);
  source.scales.pop_back();
  EXPECT_EQ(encoder.Prepend(source.values, source.parameters()).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(GaussianArrayDecoder::Create(tables, {}, 65).status().code(), StatusCode::kInvalidArgument);
}

TEST(GaussianArraysTest, RejectsValuesThatDoNotFit) {
  const GaussianArrayTables tables = *GaussianArrayTables::Create();
  GaussianArrayEncoder encoder(tables);
  Source source(5000, 1, 0, 63, true);
  source.values[4000] = std::numeric_limits<int32_t>::min();
  const auto bytes = EncodeWith(encoder, source, 32, 1);
  std::vector<int16_t> narrow(source.values.size());
  Result<GaussianArrayDecoder> decoder = GaussianArrayDecoder::Create(tables, bytes, 32);
  EXPECT_EQ(decoder->Decode(source.parameters(), std::span(narrow)).code(), StatusCode::kCorrupt);
}

}  // namespace
}  // namespace sluice
