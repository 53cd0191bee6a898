#include "plain/narrow_codecs.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "base/bytes.h"
#include "plain/codebook_codec.h"
#include "plain/float8.h"
#include "plain/plain_test_util.h"

namespace sluice {
namespace {

TEST(Float8Test, MatchesTheTableOfTheFormat) {
  EXPECT_EQ(E4m3ToFloat(0x7E), 448.0f);
  EXPECT_EQ(E4m3ToFloat(0x08), 0x1p-6f);
  EXPECT_EQ(E4m3ToFloat(0x07), 0.875f * 0x1p-6f);
  EXPECT_EQ(E4m3ToFloat(0x01), 0x1p-9f);
  EXPECT_EQ(E4m3ToFloat(0x38), 1.0f);
  EXPECT_EQ(E4m3ToFloat(0xB9), -1.125f);
  EXPECT_TRUE(std::isnan(E4m3ToFloat(0x7F)) && std::isnan(E4m3ToFloat(0xFF)));
  EXPECT_TRUE(std::signbit(E4m3ToFloat(0x80)));
  EXPECT_EQ(FloatToE4m3(1e30f), 0x7E);
  EXPECT_EQ(FloatToE4m3(-std::numeric_limits<float>::infinity()), 0xFE);
  EXPECT_EQ(FloatToE4m3(std::numeric_limits<float>::quiet_NaN()), 0x7F);
}

TEST(Float8Test, RoundTripsEveryCode) {
  for (int code = 0; code < 256; ++code) {
    const auto byte = static_cast<uint8_t>(code);
    if ((byte & 0x7F) != kE4m3Nan) {
      EXPECT_EQ(FloatToE4m3(E4m3ToFloat(byte)), byte);
    }
  }
}

TEST(Float8Test, MatchesTheNearestCodeWithTiesToEven) {
  for (uint8_t code = 0; code < 0x7E; ++code) {
    const float low = E4m3ToFloat(code), high = E4m3ToFloat(code + 1), middle = (low + high) / 2;
    EXPECT_EQ(FloatToE4m3(middle), code % 2 == 0 ? code : code + 1) << middle;
    EXPECT_EQ(FloatToE4m3(std::nextafter(middle, 0.0f)), code) << middle;
    EXPECT_EQ(FloatToE4m3(-std::nextafter(middle, 1e9f)), 0x80 | (code + 1)) << middle;
  }
}

TEST(Float8CodecTest, MatchesHandComputedBytes) {
  const auto codec = MakeFloat8Codec();
  const std::vector<uint8_t> payload = *codec->Encode(Row({-896.0f, 2.0f, 0.002f, 0.0f}).View());
  EXPECT_EQ(payload, (std::vector<uint8_t>{0, 0, 0, 0x40, 0xFE, 0x38, 0x01, 0}));  // scale 2
  EXPECT_EQ(Decoded(*codec, payload, 1, 4), (std::vector<float>{-896.0f, 2.0f, 0x1p-8f, 0.0f}));
  EXPECT_EQ(*codec->Encode(Row({0.0f, -0.0f}).View()), (std::vector<uint8_t>(6)));
}

TEST(Float8CodecTest, RejectsWhatNoEncoderWrites) {
  const auto codec = MakeFloat8Codec();
  const std::vector<uint8_t> good = *codec->Encode(Random(2, 5, 1).View());
  for (const uint8_t code : {0x7F, 0xFF}) {
    std::vector<uint8_t> bad = good;
    bad[4 + 3] = code;
    EXPECT_EQ(CodeOf(*codec, bad, 2, 5), StatusCode::kCorrupt);
  }
  for (const float scale : {-1.0f, std::numeric_limits<float>::max(), std::numeric_limits<float>::quiet_NaN()}) {
    std::vector<uint8_t> bad = good;
    StoreLe(scale, bad.data());
    EXPECT_EQ(CodeOf(*codec, bad, 2, 5), StatusCode::kCorrupt) << scale;
  }
  EXPECT_EQ(CodeOf(*codec, std::span(good).first(17), 2, 5), StatusCode::kTruncated);
  EXPECT_EQ(CodeOf(*codec, good, 1, 5), StatusCode::kCorrupt);
}

TEST(Int4CodecTest, MatchesHandComputedBytes) {
  const auto codec = MakeInt4Codec();
  // The extreme is 8, so the scale is -1: 8 -> q -8, -7 -> 7, -8 saturates at 7, 2.5 -> -2 (ties to even), 0 -> 0.
  const std::vector<uint8_t> payload = *codec->Encode(Row({8.0f, -7.0f, -8.0f, 2.5f, 0.0f}).View());
  EXPECT_EQ(payload, (std::vector<uint8_t>{0x00, 0xBC, 0x60, 0x8F, 0x0F}));
  EXPECT_EQ(Decoded(*codec, payload, 1, 5), (std::vector<float>{8.0f, -7.0f, -7.0f, 2.0f, -0.0f}));
  EXPECT_EQ(*codec->Encode(Row({0.0f, -0.0f, 0.0f}).View()), (std::vector<uint8_t>{0, 0, 0x88, 0x08}));
  // A full block is laid out as Q4_0: elements 0 and 16 share the first byte.
  std::vector<float> block(32);
  block[0] = -8.0f;
  block[16] = 7.0f;
  const std::vector<uint8_t> full = *codec->Encode(Row(block).View());
  ASSERT_EQ(full.size(), 18u);
  EXPECT_EQ(full[2], 0xF0);
  EXPECT_EQ(full[3], 0x88);
}

TEST(Int4CodecTest, RejectsWhatNoEncoderWrites) {
  const auto codec = MakeInt4Codec();
  const std::vector<uint8_t> good = *codec->Encode(Random(1, 5, 1).View());
  std::vector<uint8_t> nibble = good;
  nibble.back() |= 0x10;
  EXPECT_EQ(CodeOf(*codec, nibble, 1, 5), StatusCode::kCorrupt);
  std::vector<uint8_t> infinite = good;
  StoreLe(uint16_t{0x7C00}, infinite.data());
  EXPECT_EQ(CodeOf(*codec, infinite, 1, 5), StatusCode::kCorrupt);
  EXPECT_EQ(CodeOf(*codec, std::span(good).first(4), 1, 5), StatusCode::kTruncated);
}

TEST(CodebookCodecTest, MatchesTheBookOfTheLiterature) {
  EXPECT_TRUE(std::is_sorted(kDynamicCodebook.begin(), kDynamicCodebook.end()));
  EXPECT_EQ(std::set<int32_t>(kDynamicCodebook.begin(), kDynamicCodebook.end()).size(), 256u);
  EXPECT_EQ(kDynamicCodebook[127], 0);
  EXPECT_EQ(kDynamicCodebook[255], kCodebookUnit);
  // Decade i holds the middles of 2^i equal parts of [0.1, 1] times 10^(i-6), with both signs.
  size_t code = 128;
  for (int i = 0; i < 7; ++i) {
    const double part = 0.9 / std::exp2(i);
    for (int k = 0; k < 1 << i; ++k, ++code) {
      const double number = std::pow(10.0, i - 6) * (0.1 + part * (k + 0.5));
      EXPECT_NEAR(kDynamicCodebook[code] / double{kCodebookUnit}, number, 1e-15);
      EXPECT_EQ(kDynamicCodebook[254 - code], -kDynamicCodebook[code]);
    }
  }
  EXPECT_EQ(code, 255u);
}

TEST(CodebookCodecTest, RoundTripsToTheNearestNumberInBlocks) {
  for (const int block : {64, 256, 4096}) {
    const auto codec = *MakeCodebookCodec(block);
    const Matrix<float> hidden = Random(13, 37, 5);
    const std::vector<uint8_t> payload = *codec->Encode(hidden.View());
    const size_t length = static_cast<size_t>(block), count = 13 * 37;
    EXPECT_EQ(payload.size(), 1 + count + (count + length - 1) / length * 4);
    const std::vector<float> back = Decoded(*codec, payload, 13, 37);
    for (size_t i = 0; i < count; ++i) {
      float largest = 0;
      for (size_t j = i / length * length; j < std::min(count, (i / length + 1) * length); ++j) {
        largest = std::max(largest, std::fabs(hidden.data()[j]));
      }
      double nearest = 1e9;
      for (const int32_t number : kDynamicCodebook) {
        nearest = std::min(nearest, std::fabs(double{largest} * number / kCodebookUnit - hidden.data()[i]));
      }
      EXPECT_NEAR(std::fabs(back[i] - hidden.data()[i]), nearest, 1e-6 * largest);
    }
  }
}

TEST(CodebookCodecTest, RejectsWhatNoEncoderWrites) {
  const auto codec = *MakeCodebookCodec(64);
  const std::vector<uint8_t> good = *codec->Encode(Random(2, 40, 1).View());
  for (const uint8_t log2 : {0, 5, 13, 255}) {
    std::vector<uint8_t> bad = good;
    bad[0] = log2;
    EXPECT_EQ(CodeOf(*codec, bad, 2, 40), StatusCode::kCorrupt);
  }
  std::vector<uint8_t> bad = good;
  StoreLe(std::numeric_limits<float>::infinity(), bad.data() + 1);
  EXPECT_EQ(CodeOf(*codec, bad, 2, 40), StatusCode::kCorrupt);
  EXPECT_EQ(CodeOf(*codec, {}, 2, 40), StatusCode::kTruncated);
  EXPECT_EQ(CodeOf(*codec, std::span(good).first(20), 2, 40), StatusCode::kTruncated);
  // Another length in the payload than in the decoder's name is what streams have: the payload decides.
  EXPECT_TRUE((*MakeCodebookCodec(4096))->Decode(good, 2, 40).ok());
}

}  // namespace
}  // namespace sluice
