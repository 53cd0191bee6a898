#include "codec/static_codec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "codec/pack_stream.h"
#include "codec/static_fit.h"
#include "codec/static_transform.h"
#include "format/temporary_folder.h"

namespace sluice {
namespace {

constexpr size_t kWidth = 24;

// Correlated channels of different spread around different centers, with an outlier now and then.
HiddenStates Sample(uint64_t batch, uint64_t tokens, uint32_t seed, bool outliers = true) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  HiddenStates hidden = HiddenStates::Zeros(batch, tokens, kWidth);
  for (size_t t = 0; t < batch * tokens; ++t) {
    const float common = normal(random);
    for (size_t j = 0; j < kWidth; ++j) {
      const float scale = 0.2f + 0.1f * static_cast<float>(j);
      hidden.values.row(t)[j] = static_cast<float>(j) - 5 + scale * normal(random) + 2 * common;
    }
    if (outliers && random() % 40 == 0) hidden.values.row(t)[random() % kWidth] += 3000;
  }
  return hidden;
}

StaticFitOptions WithStep(double step, StaticBasis basis = StaticBasis::kPrincipal) {
  StaticFitOptions options;
  options.step = step;
  options.basis = basis;
  return options;
}

std::unique_ptr<PackCodec> MakeCodec(const std::vector<uint8_t>& bytes) {
  return std::move(*PackCodec::Make(*Pack::FromBytes(bytes)));
}

std::vector<uint8_t> FitBytes(const StaticFitOptions& options, uint32_t seed = 1) {
  return *FitStaticPack(Sample(1, 2000, seed, false).values.View(), options)->pack.Serialize();
}

std::vector<uint8_t> Encode(const PackCodec& codec, const HiddenStates& hidden, uint32_t chunk, uint16_t flags = 0) {
  StreamWriter writer = *StreamWriter::ToMemory(codec.Header(hidden.source, flags));
  const Status status = EncodeHidden(codec, hidden, chunk, writer);
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_TRUE(writer.Finish().ok());
  return writer.Take();
}

void ExpectClose(const HiddenStates& got, const HiddenStates& expected, double bound) {
  ASSERT_EQ(got.values.rows(), expected.values.rows());
  ASSERT_EQ(got.batch, expected.batch);
  double worst = 0;
  for (size_t i = 0; i < got.values.rows() * kWidth; ++i) {
    worst = std::max(worst, std::fabs(double{got.values.data()[i]} - expected.values.data()[i]));
  }
  EXPECT_LE(worst, bound);
}

TEST(StaticCodecTest, RoundTripsChunksTokensBatchesAndOutliers) {
  constexpr double kStep = 0.25;
  for (const StaticBasis basis : {StaticBasis::kDiagonal, StaticBasis::kPrincipal}) {
    const std::vector<uint8_t> bytes = FitBytes(WithStep(kStep, basis));
    const auto codec = MakeCodec(bytes);
    const double bound = basis == StaticBasis::kDiagonal ? kStep / 2 + 1e-3 : kStep / 2 * std::sqrt(kWidth) + 1e-3;
    for (const uint64_t batch : {1, 3}) {
      const HiddenStates hidden = Sample(batch, 100, 7);
      for (const uint32_t chunk : {1u, 7u, 100u}) {
        const Result<HiddenStates> decoded = DecodeHidden(*codec, Encode(*codec, hidden, chunk));
        ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
        ExpectClose(*decoded, hidden, bound);
      }
    }
  }
}

TEST(StaticCodecTest, RoundTripsASelfContainedFrame) {
  const std::vector<uint8_t> bytes = FitBytes(WithStep(0.25));
  const auto codec = MakeCodec(bytes);
  const HiddenStates hidden = Sample(2, 40, 8);
  ExpectClose(*DecodeHidden(*codec, Encode(*codec, hidden, 40, kSingle)), hidden, 0.125 * std::sqrt(kWidth) + 1e-3);
  StreamWriter writer = *StreamWriter::ToMemory(codec->Header(DType::kF32, kSingle));
  EXPECT_EQ(EncodeHidden(*codec, hidden, 20, writer).code(), StatusCode::kInvalidArgument);
}

TEST(StaticCodecTest, MatchesTokenFramesAndChunksInWhatTheyDecodeTo) {
  const std::vector<uint8_t> bytes = FitBytes(WithStep(0.5));
  const auto codec = MakeCodec(bytes);
  const HiddenStates hidden = Sample(1, 60, 9);
  const std::vector<uint8_t> chunks = Encode(*codec, hidden, 60), tokens = Encode(*codec, hidden, 1);
  const HiddenStates a = *DecodeHidden(*codec, chunks), b = *DecodeHidden(*codec, tokens);
  EXPECT_TRUE(std::equal(a.values.data(), a.values.data() + 60 * kWidth, b.values.data()));
  EXPECT_LT(tokens.size(), chunks.size() + 60 * 3) << "at most about two bytes for each frame";
}

TEST(StaticCodecTest, CostsWhatTheFitPromised) {
  const HiddenStates sample = Sample(1, 4000, 1, false);
  StaticFitOptions options;
  options.bits_per_token = 50;
  const Result<StaticFit> fit = FitStaticPack(sample.values.View(), options);
  ASSERT_TRUE(fit.ok()) << fit.status().ToString();
  EXPECT_NEAR(fit->bits_per_token, 50, 0.5);
  const std::vector<uint8_t> bytes = *fit->pack.Serialize();
  const auto codec = MakeCodec(bytes);
  EXPECT_NEAR(8.0 * static_cast<double>(Encode(*codec, sample, 1000).size()) / 4000, fit->bits_per_token, 0.5);
  EXPECT_EQ(codec->pack().operating_points().at(0).bits_per_token, fit->bits_per_token);
  options.basis = StaticBasis::kDiagonal;
  const StaticFit diagonal = *FitStaticPack(sample.values.View(), options);
  EXPECT_GT(diagonal.mean_squared_error, 1.2 * fit->mean_squared_error) << "the channels are correlated";
}

TEST(StaticCodecTest, RejectsAnotherPackCutWidthAndKind) {
  const std::vector<uint8_t> bytes = FitBytes(WithStep(0.25)), other = FitBytes(WithStep(0.25), 2);
  StaticFitOptions cut_options = WithStep(0.25);
  cut_options.cut = 3;
  const std::vector<uint8_t> cut = FitBytes(cut_options);
  const auto codec = MakeCodec(bytes);
  const std::vector<uint8_t> stream = Encode(*codec, Sample(1, 10, 3), 10);
  EXPECT_EQ(DecodeHidden(*MakeCodec(other), stream).status().code(), StatusCode::kMismatch);
  EXPECT_EQ(DecodeHidden(*MakeCodec(cut), stream).status().code(), StatusCode::kMismatch);
  StreamHeader header = codec->Header(DType::kF32);
  const auto code = [&](const StreamHeader& changed) { return codec->CheckHeader(changed).code(); };
  EXPECT_EQ(code(header), StatusCode::kOk);
  header.cut = 9;
  EXPECT_EQ(code(header), StatusCode::kMismatch);
  header = codec->Header(DType::kF32);
  header.width = 9;
  EXPECT_EQ(code(header), StatusCode::kMismatch);
  header = codec->Header(DType::kF32);
  header.flags = kResidual;
  EXPECT_EQ(code(header), StatusCode::kMismatch);
  header = codec->Header(DType::kF32);
  header.kind = CodecKind::kPlain;
  EXPECT_EQ(code(header), StatusCode::kMismatch);
}

// A stream that claims this pack but was made with another one's tables.
TEST(StaticCodecTest, RejectsFramesThatOtherTablesMade) {
  const std::vector<uint8_t> bytes = FitBytes(WithStep(0.25)), other_bytes = FitBytes(WithStep(0.25), 2);
  const auto codec = MakeCodec(bytes), other = MakeCodec(other_bytes);
  for (const uint32_t chunk : {10u, 1u}) {
    const HiddenStates hidden = Sample(1, 10, 3);
    StreamWriter writer = *StreamWriter::ToMemory(codec->Header(DType::kF32));
    ASSERT_TRUE(EncodeHidden(*other, hidden, chunk, writer).ok());
    ASSERT_TRUE(writer.Finish().ok());
    EXPECT_EQ(DecodeHidden(*codec, writer.Take()).status().code(), StatusCode::kCorrupt);
  }
}

TEST(StaticCodecTest, RejectsEveryFlipAndTruncation) {
  const std::vector<uint8_t> bytes = FitBytes(WithStep(0.5));
  const auto codec = MakeCodec(bytes);
  for (const uint32_t chunk : {30u, 1u}) {
    const std::vector<uint8_t> good = Encode(*codec, Sample(1, 30, 4), chunk);
    for (size_t bit = 0; bit < 8 * good.size(); bit += chunk == 1 ? 1 : 3) {
      std::vector<uint8_t> bad = good;
      bad[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
      ASSERT_FALSE(DecodeHidden(*codec, bad).ok()) << "flip of bit " << bit;
    }
    for (size_t size = 0; size < good.size(); ++size) {
      ASSERT_EQ(DecodeHidden(*codec, std::span(good).first(size)).status().code(), StatusCode::kTruncated) << size;
    }
  }
}

TEST(StaticCodecTest, RejectsWhatItCannotCodeAndNamesIt) {
  const std::vector<uint8_t> bytes = FitBytes(WithStep(0.5, StaticBasis::kDiagonal));
  const auto codec = MakeCodec(bytes);
  HiddenStates hidden = Sample(1, 5, 4);
  for (const float value : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 1e30f}) {
    hidden.values.row(3)[2] = value;
    StreamWriter writer = *StreamWriter::ToMemory(codec->Header(DType::kF32));
    const Status status = EncodeHidden(*codec, hidden, 5, writer);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find("token 3"), std::string::npos) << status.message();
  }
  StreamWriter writer = *StreamWriter::ToMemory(codec->Header(DType::kF32));
  hidden.values = Matrix<float>(5, kWidth + 1);
  EXPECT_EQ(EncodeHidden(*codec, hidden, 5, writer).code(), StatusCode::kInvalidArgument);
  const HiddenStates sound = Sample(1, 50, 4);
  EXPECT_EQ(DecodeHidden(*codec, Encode(*codec, sound, 5), 49 * kWidth).status().code(), StatusCode::kInvalidArgument);
}

StatusCode CodeOfPack(const PackWriter& writer) {
  const std::vector<uint8_t> bytes = *writer.Serialize();
  return PackCodec::Make(*Pack::FromBytes(bytes)).status().code();
}

TEST(StaticCodecTest, RejectsPacksThatAreNotWhole) {
  PackInfo info = {.codec = "static", .width = 2, .precision_bits = 12};
  const std::vector<float> step = {1, 1}, zero = {1, 0};
  const auto bytes = [](const std::vector<float>& values) {
    return std::span(reinterpret_cast<const uint8_t*>(values.data()), 4 * values.size());
  };
  const auto writer = [&](const std::vector<float>& steps, const std::vector<PackTable>& tables) {
    PackWriter made(info);
    made.AddTensor({"offset", DType::kF32, {2}, bytes(step)});
    made.AddTensor({"step", DType::kF32, {2}, bytes(steps)});
    made.AddTables("latent", tables);
    return made;
  };
  const PackTable sound = {0, false, {4000, 96}};
  EXPECT_EQ(CodeOfPack(writer(step, {sound, sound})), StatusCode::kOk);
  EXPECT_EQ(CodeOfPack(writer(zero, {sound, sound})), StatusCode::kCorrupt);
  EXPECT_EQ(CodeOfPack(writer(step, {sound})), StatusCode::kCorrupt);
  EXPECT_EQ(CodeOfPack(writer(step, {sound, {0, false, {4000, 95}}})), StatusCode::kCorrupt);
  EXPECT_EQ(CodeOfPack(writer(step, {sound, {0, true, {4000, 96}}})), StatusCode::kCorrupt);
  PackWriter inverse = writer(step, {sound, sound});
  inverse.AddTensor({"inverse", DType::kF32, {2, 2}, bytes({1, 0, 0, 1})});
  EXPECT_EQ(CodeOfPack(inverse), StatusCode::kCorrupt);
  info.codec = "other";
  EXPECT_EQ(CodeOfPack(writer(step, {sound, sound})), StatusCode::kUnsupported);
}

TEST(StaticCodecTest, RejectsFitsThatCannotBe) {
  const HiddenStates sample = Sample(1, 50, 1);
  const auto code = [&](double step, double bits) {
    StaticFitOptions options = WithStep(step);
    options.bits_per_token = bits;
    return FitStaticPack(sample.values.View(), options).status().code();
  };
  EXPECT_EQ(code(0, 0), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(1, 1), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(-1, 0), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(0, 1e9), StatusCode::kInvalidArgument);
  EXPECT_EQ(FitStaticPack({}, WithStep(1)).status().code(), StatusCode::kInvalidArgument);
  StaticFitOptions stopped = WithStep(1);
  stopped.progress = [](std::string_view, double) { return false; };
  EXPECT_EQ(FitStaticPack(sample.values.View(), stopped).status().code(), StatusCode::kInterrupted);
}

}  // namespace
}  // namespace sluice
