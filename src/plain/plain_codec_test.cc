#include "plain/plain_codec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "base/half.h"
#include "plain/compressor.h"
#include "plain/plain_test_util.h"

namespace sluice {
namespace {

// The largest error allowed for a value in a block whose largest magnitude is `largest`.
double Tolerance(const std::string& spec, double value, double largest) {
  if (spec == "fp32") return 0;
  if (spec == "bf16") return std::fabs(value) / 256;
  if (spec == "int8") return largest / 127 * 0.5001;
  if (spec == "q80") return largest / 127 * 0.51 + largest / 2048;  // the scale is rounded as well
  if (spec == "fp8") return std::fabs(value) / 16 * 1.0001 + largest / 448 * 0x1p-10;
  if (spec == "blk8:2048") return 0.055 * (std::fabs(value) + largest);  // of the chunk; see CodebookCodecTest
  if (spec == "int4") return largest / 8 * 1.01;                         // 7 steps on the side without the extreme
  if (spec == "lowrank:32") return 20;                                   // see LowRankCodecTest
  return std::fabs(value) / 2048 + 0x1p-25;                              // fp16 and everything on it
}

TEST(PlainCodecTest, RoundTripsEveryCodecWithinItsPrecision) {
  for (const PlainCodecInfo& info : ListPlainCodecs()) {
    const std::string spec(info.spec);
    const auto codec = MakePlainCodec(spec);
    ASSERT_TRUE(codec.ok()) << codec.status().ToString();
    EXPECT_EQ((*codec)->name(), spec);
    for (const auto& [tokens, width] : {std::pair<size_t, size_t>{1, 1}, {1, 64}, {7, 33}, {256, 65}}) {
      const Matrix<float> hidden = Random(tokens, width, 1);
      const auto payload = (*codec)->Encode(hidden.View());
      ASSERT_TRUE(payload.ok()) << payload.status().ToString();
      const auto decoded = (*codec)->Decode(*payload, tokens, width);
      ASSERT_TRUE(decoded.ok()) << spec << ": " << decoded.status().ToString();
      for (size_t t = 0; t < tokens; ++t) {
        double largest = 0;
        for (float value : hidden.row(t)) largest = std::max(largest, static_cast<double>(std::fabs(value)));
        for (size_t c = 0; c < width; ++c) {
          const double value = hidden.row(t)[c];
          ASSERT_LE(std::fabs(decoded->row(t)[c] - value), Tolerance(spec, value, largest)) << spec;
        }
      }
    }
  }
}

TEST(PlainCodecTest, RoundTripsIdsToDecoders) {
  for (const PlainCodecInfo& info : ListPlainCodecs()) {
    const auto codec = MakePlainCodec(info.spec);
    const auto decoder = PlainCodecOfId(PlainCodecId(**codec));
    ASSERT_TRUE(decoder.ok()) << info.spec;
    const Matrix<float> hidden = Random(4, 40, 2);
    const std::vector<uint8_t> payload = *(*codec)->Encode(hidden.View());
    const Matrix<float> a = *(*codec)->Decode(payload, 4, 40), b = *(*decoder)->Decode(payload, 4, 40);
    EXPECT_TRUE(std::equal(a.data(), a.data() + 160, b.data())) << info.spec;
  }
  EXPECT_EQ(PlainCodecId(**MakePlainCodec("libdeflate:12")), PlainCodecId(**MakePlainCodec("deflate")));
  EXPECT_EQ(PlainCodecOfId(0).status().code(), StatusCode::kUnsupported);
  EXPECT_EQ(PlainCodecOfId(~uint64_t{0}).status().code(), StatusCode::kUnsupported);
}

TEST(PlainCodecTest, MatchesHandComputedBytes) {
  Matrix<float> hidden(1, 3);
  hidden.row(0)[0] = 127.0f;
  hidden.row(0)[1] = -2.5f;
  hidden.row(0)[2] = 3.5f;
  const auto encode = [&](std::string_view spec) { return *(*MakePlainCodec(spec))->Encode(hidden.View()); };
  EXPECT_EQ(encode("int8"), (std::vector<uint8_t>{0, 0, 0x80, 0x3F, 127, 0xFE, 4}));  // scale 1, ties to even
  EXPECT_EQ(encode("q80"), (std::vector<uint8_t>{0, 0x3C, 127, 0xFE, 4}));
  EXPECT_EQ(encode("bf16"), (std::vector<uint8_t>{0xFE, 0x42, 0x20, 0xC0, 0x60, 0x40}));
  EXPECT_EQ(encode("fp16"), (std::vector<uint8_t>{0xF0, 0x57, 0x00, 0xC1, 0x00, 0x43}));
}

TEST(PlainCodecTest, RoundTripsExtremeMagnitudes) {
  const float tiny = std::numeric_limits<float>::denorm_min(), huge = std::numeric_limits<float>::max();
  for (const char* spec : {"int8", "fp32", "bf16", "fp8", "blk8"}) {
    Matrix<float> hidden(3, 2);
    hidden.row(1)[0] = tiny;
    hidden.row(2)[1] = std::string_view(spec) == "bf16" ? 3e38f : huge;
    const auto codec = MakePlainCodec(spec);
    const auto payload = (*codec)->Encode(hidden.View());
    if (!payload.ok()) {
      EXPECT_EQ(payload.status().code(), StatusCode::kInvalidArgument);
      continue;
    }
    const auto decoded = (*codec)->Decode(*payload, 3, 2);
    ASSERT_TRUE(decoded.ok()) << spec << decoded.status().ToString();
    for (float value : decoded->View().all()) EXPECT_TRUE(std::isfinite(value));
  }
}

TEST(PlainCodecTest, RejectsValuesThatACodecCannotCarry) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  for (const PlainCodecInfo& info : ListPlainCodecs()) {
    const auto codec = MakePlainCodec(info.spec);
    const bool raw = info.spec == "fp32" || info.spec == "fp16" || info.spec == "bf16";
    for (const float value : {nan, inf, -inf}) {
      Matrix<float> hidden = Random(5, 9, 3);
      hidden.row(3)[7] = value;
      const auto payload = (*codec)->Encode(hidden.View());
      ASSERT_EQ(payload.ok(), raw) << info.spec;
      if (raw) {
        const float back = (*(*codec)->Decode(*payload, 5, 9)).row(3)[7];
        EXPECT_TRUE(std::isnan(value) ? std::isnan(back) : back == value) << info.spec;
      } else {
        EXPECT_EQ(payload.status().code(), StatusCode::kInvalidArgument);
        EXPECT_NE(payload.status().message().find("token 3, channel 7"), std::string::npos);
      }
    }
  }
  Matrix<float> wide(1, 2);
  wide.row(0)[1] = 65520.0f;  // rounds to infinity
  for (const char* spec : {"fp16", "zstd", "lz4"}) {
    EXPECT_EQ((*MakePlainCodec(spec))->Encode(wide.View()).status().code(), StatusCode::kInvalidArgument) << spec;
  }
  wide.row(0)[1] = 1e7f;
  EXPECT_EQ((*MakePlainCodec("q80"))->Encode(wide.View()).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ((*MakePlainCodec("int4"))->Encode(wide.View()).status().code(), StatusCode::kInvalidArgument);
  wide.row(0)[1] = 1e30f;
  EXPECT_EQ((*MakePlainCodec("lowrank"))->Encode(wide.View()).status().code(), StatusCode::kInvalidArgument);
}

TEST(PlainCodecTest, RejectsSpecsThatAreNone) {
  for (const char* spec :
       {"",        "gzip",      "zstd:",    "zstd:x",     "zstd:0",    "zstd:23",      "zstd:3x",
        "zstd:-1", "fp16:1",    "lz4:13",   "deflate:10", "ZSTD",      "fp8:1",        "int4:32",
        "blk8:32", "blk8:8192", "blk8:100", "blk8:",      "lowrank:0", "lowrank:1025", "lowrank:x"}) {
    EXPECT_EQ(MakePlainCodec(spec).status().code(), StatusCode::kInvalidArgument) << spec;
  }
  EXPECT_EQ((*MakePlainCodec("zstd"))->name(), "zstd:3");
  EXPECT_EQ((*MakePlainCodec("deflate"))->name(), "deflate:6");
  EXPECT_EQ((*MakePlainCodec("zstd:19"))->name(), "zstd:19");
  EXPECT_EQ((*MakePlainCodec("blk8"))->name(), "blk8:2048");
  EXPECT_EQ((*MakePlainCodec("lowrank"))->name(), "lowrank:32");
}

TEST(PlainCodecTest, RejectsDamagedPayloads) {
  const Matrix<float> hidden = Random(16, 48, 4);
  std::mt19937 random(9);
  for (const PlainCodecInfo& info : ListPlainCodecs()) {
    const auto codec = MakePlainCodec(info.spec);
    const std::vector<uint8_t> good = *(*codec)->Encode(hidden.View());
    for (size_t size = 0; size < good.size(); size += 17) {
      EXPECT_FALSE((*codec)->Decode(std::span(good).first(size), 16, 48).ok()) << info.spec;
    }
    std::vector<uint8_t> longer = good;
    longer.push_back(0);
    EXPECT_EQ((*codec)->Decode(longer, 16, 48).status().code(), StatusCode::kCorrupt) << info.spec;
    EXPECT_FALSE((*codec)->Decode(good, 17, 48).ok()) << info.spec;
    EXPECT_FALSE((*codec)->Decode(good, 15, 48).ok()) << info.spec;
    for (int i = 0; i < 300; ++i) {
      std::vector<uint8_t> bad = good;
      bad[random() % bad.size()] ^= static_cast<uint8_t>(1u << (random() % 8));
      const auto decoded = (*codec)->Decode(bad, 16, 48);
      if (decoded.ok()) {
        EXPECT_EQ(decoded->View().size(), 16u * 48);
      }
    }
  }
}

TEST(CompressorTest, RejectsBombsWithoutExpandingThem) {
  for (const CompressorInfo& info : Compressors()) {
    ByteCompressor compressor = *ByteCompressor::Make(info.compressor, info.usual);
    const std::vector<uint8_t> bomb = *compressor.Compress(std::vector<uint8_t>(10 << 20));
    EXPECT_EQ(compressor.Decompress(bomb, 100).status().code(), StatusCode::kCorrupt) << info.name;
    EXPECT_EQ(compressor.Decompress(bomb, 0).status().code(), StatusCode::kCorrupt) << info.name;
    EXPECT_EQ(compressor.Decompress(bomb, size_t{1} << 40).status().code(), StatusCode::kCorrupt) << info.name;
    EXPECT_EQ(compressor.Decompress({}, 5).status().code(), StatusCode::kCorrupt) << info.name;
  }
}

}  // namespace
}  // namespace sluice
