#include "plain/integer_baseline.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <random>

#include "plain/static_integers.h"

namespace sluice {
namespace {

// Channels with their own means and spreads, some of them dead, as latents have.
Matrix<int32_t> Latents(size_t tokens, size_t width, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Matrix<int32_t> y(tokens, width);
  for (size_t t = 0; t < tokens; ++t) {
    for (size_t c = 0; c < width; ++c) {
      const float spread = c % 5 == 0 ? 0.0f : std::exp2(static_cast<float>(c % 7) - 2);
      y.row(t)[c] = static_cast<int32_t>(std::lround(spread * normal(random))) + static_cast<int32_t>(c % 11) - 5;
    }
  }
  return y;
}

std::vector<std::unique_ptr<IntegerCodec>> AllCodecs(MatrixView<const int32_t> sample) {
  std::vector<std::unique_ptr<IntegerCodec>> codecs;
  for (const CompressorInfo& info : Compressors()) {
    codecs.push_back(*MakePaperPackingCodec(info.compressor, info.usual));
    codecs.push_back(*MakeBestPackingCodec(info.compressor, info.usual));
  }
  codecs.push_back(MakeStaticIntegers());
  codecs.push_back(*MakeFixedStaticIntegers(sample));
  return codecs;
}

TEST(IntegerCodecTest, RoundTripsAnyIntegers) {
  std::mt19937 random(4);
  Matrix<int32_t> wild(9, 6), wide(9, 6);
  for (int32_t& value : wild.View().all()) value = static_cast<int32_t>(random());
  wild.row(0)[0] = std::numeric_limits<int32_t>::min();
  wild.row(8)[5] = std::numeric_limits<int32_t>::max();
  for (int32_t& value : wide.View().all()) value = static_cast<int32_t>(random() % 60000) - 30000;
  for (const Matrix<int32_t>& y : {Latents(100, 6, 1), Latents(1, 6, 2), wild, wide, Matrix<int32_t>(3, 6)}) {
    for (const auto& codec : AllCodecs(Latents(50, 6, 3).View())) {
      const auto messages = codec->Encode(y.View());
      ASSERT_TRUE(messages.ok()) << codec->name() << ": " << messages.status().ToString();
      const auto back = codec->Decode(*messages, y.rows(), y.cols());
      ASSERT_TRUE(back.ok()) << codec->name() << ": " << back.status().ToString();
      EXPECT_TRUE(std::equal(y.View().all().begin(), y.View().all().end(), back->data())) << codec->name();
    }
  }
}

TEST(IntegerCodecTest, RejectsDamagedMessages) {
  const Matrix<int32_t> y = Latents(40, 12, 1);
  std::mt19937 random(9);
  for (const auto& codec : AllCodecs(Latents(200, 12, 3).View())) {
    const IntegerMessages good = *codec->Encode(y.View());
    for (size_t size = 0; size < good.parts[0].size(); size += 3) {
      IntegerMessages cut = good;
      cut.parts[0].resize(size);
      const StatusCode code = codec->Decode(cut, 40, 12).status().code();
      EXPECT_TRUE(code == StatusCode::kTruncated || code == StatusCode::kCorrupt)
          << codec->name() << " at " << size << ": " << codec->Decode(cut, 40, 12).status().ToString();
    }
    IntegerMessages more = good;
    more.parts.emplace_back();
    EXPECT_EQ(codec->Decode(more, 40, 12).status().code(), StatusCode::kCorrupt) << codec->name();
    EXPECT_FALSE(codec->Decode(good, 39, 12).ok()) << codec->name();
    EXPECT_FALSE(codec->Decode(good, 40, 13).ok()) << codec->name();
    for (int i = 0; i < 500; ++i) {
      IntegerMessages bad = good;
      std::vector<uint8_t>& part = bad.parts[random() % bad.parts.size()];
      part[random() % part.size()] ^= static_cast<uint8_t>(1u << (random() % 8));
      const auto decoded = codec->Decode(bad, 40, 12);
      const StatusCode code = decoded.status().code();
      EXPECT_TRUE(decoded.ok() || code == StatusCode::kTruncated || code == StatusCode::kCorrupt) << codec->name();
    }
    EXPECT_EQ(codec->Encode({}).status().code(), StatusCode::kInvalidArgument) << codec->name();
  }
}

TEST(IntegerCodecTest, MatchesThePackingsByHand) {
  Matrix<int32_t> y(100, 8);
  for (size_t t = 0; t < 100; ++t) {
    for (size_t c = 0; c < 8; ++c) y.row(t)[c] = static_cast<int32_t>(c);
  }
  const MatrixView<const int32_t> view = y.View();
  for (const CompressorInfo& info : Compressors()) {
    ByteCompressor compressor = *ByteCompressor::Make(info.compressor, info.usual);
    const std::span<const int32_t> row = view.row(0);
    const uint64_t one = compressor.Compress({reinterpret_cast<const uint8_t*>(row.data()), 32})->size();
    EXPECT_EQ(*PaperPackingBytes(info.compressor, info.usual, view), 100 * one) << info.name;
    const BestPacking best = *BestPackingBytes(info.compressor, info.usual, view);
    EXPECT_LT(best.bytes, 60u) << info.name;
    EXPECT_TRUE(best.packing.starts_with("int8, ")) << best.packing;
  }
  y.row(3)[1] = -40000;
  EXPECT_TRUE(BestPackingBytes(Compressor::kZstd, 3, view)->packing.starts_with("int32, "));
  y.row(3)[1] = -30000;
  EXPECT_TRUE(BestPackingBytes(Compressor::kZstd, 3, view)->packing.starts_with("int16, "));
  EXPECT_EQ(BestPackingBytes(Compressor::kZstd, 3, {}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(*PaperPackingBytes(Compressor::kZstd, 3, {}), 0u);
  EXPECT_EQ(PaperPackingBytes(Compressor::kZstd, 99, view).status().code(), StatusCode::kInvalidArgument);
}

TEST(StaticIntegersTest, CostsTheEntropyOfTheChannels) {
  const size_t tokens = 4096, width = 32;
  const Matrix<int32_t> y = Latents(tokens, width, 1);
  double entropy = 0;
  for (size_t c = 0; c < width; ++c) {
    std::map<int32_t, double> counts;
    for (size_t t = 0; t < tokens; ++t) ++counts[y.row(t)[c]];
    for (const auto& [value, count] : counts) entropy -= count * std::log2(count / static_cast<double>(tokens));
  }
  const double sent = 8.0 * static_cast<double>(MakeStaticIntegers()->Encode(y.View())->bytes());
  EXPECT_GT(sent, entropy);
  EXPECT_LT(sent, 1.03 * entropy);
  const auto fixed = *MakeFixedStaticIntegers(Latents(20000, width, 2).View());
  EXPECT_LT(8.0 * static_cast<double>(fixed->Encode(y.View())->bytes()), 1.01 * entropy);
}

TEST(StaticIntegersTest, RejectsOtherWidths) {
  const auto fixed = *MakeFixedStaticIntegers(Latents(10, 4, 2).View());
  EXPECT_EQ(fixed->Encode(Latents(10, 5, 2).View()).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(fixed->Decode(*fixed->Encode(Latents(3, 4, 2).View()), 3, 5).status().code(), StatusCode::kMismatch);
  EXPECT_EQ(MakeFixedStaticIntegers({}).status().code(), StatusCode::kInvalidArgument);
}

TEST(IntegerBaselinesTest, MatchesItsCodecsOverChunks) {
  IntegerBaselines baselines = *IntegerBaselines::Create(Latents(500, 24, 3).View(), 2);
  const Matrix<int32_t> a = Latents(64, 24, 1), b = Latents(30, 24, 2);
  ASSERT_TRUE(baselines.Add(a.View()).ok());
  ASSERT_TRUE(baselines.Add(b.View()).ok());
  EXPECT_EQ(baselines.tokens(), 94u);
  EXPECT_EQ(baselines.elements(), 94u * 24);
  ASSERT_EQ(baselines.measures().size(), 14u);
  for (const IntegerMeasure& measure : baselines.measures()) {
    EXPECT_GT(measure.bytes, 0u) << measure.method;
    EXPECT_GT(measure.encode_seconds, 0) << measure.method;
    EXPECT_GT(measure.decode_seconds, 0) << measure.method;
  }
  const IntegerMeasure& paper = baselines.measures()[0];
  EXPECT_EQ(paper.method, "deflate:6");
  EXPECT_TRUE(paper.paper_packing);
  EXPECT_EQ(paper.bytes, *PaperPackingBytes(Compressor::kDeflate, 6, a.View()) +
                             *PaperPackingBytes(Compressor::kDeflate, 6, b.View()));
  EXPECT_EQ(baselines.measures()[12].method, "static");
  EXPECT_EQ(baselines.measures()[13].method, "static-fixed");
  EXPECT_EQ(IntegerBaselines::Create({})->measures().size(), 13u);
}

TEST(IntegerBaselinesTest, RejectsWhatCannotBeMeasured) {
  EXPECT_EQ(IntegerBaselines::Create({}, 0).status().code(), StatusCode::kInvalidArgument);
  IntegerBaselines baselines = *IntegerBaselines::Create({});
  EXPECT_EQ(baselines.Add({}).code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace sluice
