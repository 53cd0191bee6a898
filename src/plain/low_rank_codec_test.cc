#include "plain/low_rank_codec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/bytes.h"
#include "plain/plain_test_util.h"

namespace sluice {
namespace {

// Sum of squared errors over the sum of squares.
double RelativeError(const Matrix<float>& hidden, std::span<const float> back) {
  double error = 0, energy = 0;
  for (size_t i = 0; i < back.size(); ++i) {
    error += std::pow(hidden.data()[i] - back[i], 2);
    energy += std::pow(hidden.data()[i], 2);
  }
  return error / energy;
}

// A chunk of exactly `rank`, with components of falling size, and one large token.
Matrix<float> OfRank(size_t rank, size_t tokens, size_t width) {
  const Matrix<float> u = Random(tokens, rank, 2), v = Random(rank, width, 3);
  Matrix<float> hidden(tokens, width);
  for (size_t t = 0; t < tokens; ++t) {
    for (size_t j = 0; j < rank; ++j) {
      const float factor = u.row(t)[j] * std::exp2(-static_cast<float>(j)) * (t == 3 ? 100.0f : 1.0f);
      for (size_t c = 0; c < width; ++c) hidden.row(t)[c] += factor * v.row(j)[c];
    }
  }
  return hidden;
}

TEST(LowRankCodecTest, RoundTripsChunksOfItsRank) {
  for (const auto& [tokens, width] : {std::pair<size_t, size_t>{40, 90}, {90, 40}, {700, 5}, {5, 700}}) {
    const size_t rank = std::min<size_t>(5, std::min(tokens, width));
    const Matrix<float> hidden = OfRank(rank, tokens, width);
    const auto codec = *MakeLowRankCodec(5);
    const std::vector<uint8_t> payload = *codec->Encode(hidden.View());
    EXPECT_EQ(payload.size(), 2 + 5 * (4 + width) + tokens * (2 + 5));
    EXPECT_LT(RelativeError(hidden, Decoded(*codec, payload, tokens, width)), 2e-4) << tokens << " x " << width;
  }
}

TEST(LowRankCodecTest, MatchesTheBestApproximationOfItsRank) {
  // Independent columns with variances 1, 1/4, 1/9, ...: what rank r leaves is the tail of that sum.
  Matrix<float> hidden = Random(2000, 40, 7);
  double tail = 0, all = 0;
  for (size_t c = 0; c < 40; ++c) {
    const double deviation = 1.0 / static_cast<double>(c + 1);
    for (size_t t = 0; t < 2000; ++t) hidden.row(t)[c] *= static_cast<float>(deviation);
    all += deviation * deviation;
    if (c >= 8) tail += deviation * deviation;
  }
  const auto codec = *MakeLowRankCodec(8);
  const double error = RelativeError(hidden, Decoded(*codec, *codec->Encode(hidden.View()), 2000, 40));
  EXPECT_NEAR(error, tail / all, 0.05 * tail / all);  // int8 takes its part
}

TEST(LowRankCodecTest, RoundTripsDegenerateChunks) {
  const auto codec = *MakeLowRankCodec(16);
  const Matrix<float> zeros(3, 4);
  const std::vector<uint8_t> payload = *codec->Encode(zeros.View());
  EXPECT_EQ(payload, (std::vector<uint8_t>(2 + 3 * 2)));
  EXPECT_EQ(Decoded(*codec, payload, 3, 4), (std::vector<float>(12)));
  const Matrix<float> one = Row({127.0f, -2.0f});
  EXPECT_LT(RelativeError(one, Decoded(*codec, *codec->Encode(one.View()), 1, 2)), 1e-5);
  for (const float extreme : {0x1p72f, 1e-30f}) {
    const std::vector<float> back = Decoded(*codec, *codec->Encode(Row({extreme, 0.0f}).View()), 1, 2);
    EXPECT_NEAR(back[0] / extreme, 1.0f, 1e-2f);
  }
  EXPECT_EQ(codec->Encode(Matrix<float>(2049, 2049).View()).status().code(), StatusCode::kInvalidArgument);
}

TEST(LowRankCodecTest, RejectsWhatNoEncoderWrites) {
  const auto codec = *MakeLowRankCodec(3);
  const std::vector<uint8_t> good = *codec->Encode(Random(6, 8, 1).View());
  std::vector<uint8_t> rank = good;
  rank[0] = 7;
  EXPECT_EQ(CodeOf(*codec, rank, 6, 8), StatusCode::kCorrupt);
  rank[0] = 4;
  EXPECT_EQ(CodeOf(*codec, rank, 6, 8), StatusCode::kTruncated);
  rank[0] = 2;
  EXPECT_EQ(CodeOf(*codec, rank, 6, 8), StatusCode::kCorrupt);
  for (const float gain : {-1.0f, 0x1p81f, std::numeric_limits<float>::quiet_NaN()}) {
    std::vector<uint8_t> bad = good;
    StoreLe(gain, bad.data() + 2);
    EXPECT_EQ(CodeOf(*codec, bad, 6, 8), StatusCode::kCorrupt) << gain;
  }
  std::vector<uint8_t> scale = good;
  StoreLe(uint16_t{0x7C00}, scale.data() + 2 + 3 * 12);
  EXPECT_EQ(CodeOf(*codec, scale, 6, 8), StatusCode::kCorrupt);
  EXPECT_EQ(CodeOf(*codec, std::span(good).first(1), 6, 8), StatusCode::kTruncated);
  EXPECT_EQ(CodeOf(*codec, {}, 6, 8), StatusCode::kTruncated);
  // The largest fields that are legal still give finite values.
  std::vector<uint8_t> largest(2 + 3 * 12 + 6 * 5, 0x81);
  StoreLe(uint16_t{3}, largest.data());
  for (size_t j = 0; j < 3; ++j) StoreLe(0x1p80f, largest.data() + 2 + 12 * j);
  for (size_t t = 0; t < 6; ++t) StoreLe(uint16_t{0x7BFF}, largest.data() + 38 + 5 * t);
  for (const float value : Decoded(*codec, largest, 6, 8)) EXPECT_TRUE(std::isfinite(value));
}

}  // namespace
}  // namespace sluice
