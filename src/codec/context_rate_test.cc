// The operating points of codec "context": rates that are asked for, and requirements that rule some of them out.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "codec/certified_sample.h"
#include "codec/pack_stream.h"

namespace sluice {
namespace {

constexpr size_t kWidth = 24;

HiddenStates Hidden(size_t tokens, float spread) {
  SampleNumbers random(9);
  HiddenStates hidden;
  hidden.values = Matrix<float>(tokens, kWidth);
  for (size_t t = 0; t < tokens; ++t) {
    for (float& x : hidden.values.row(t)) x = static_cast<float>(random.Bell(16 * 64)) / 64 * spread;
  }
  hidden.tokens = tokens;
  hidden.batch = 1;
  hidden.rank = 2;
  return hidden;
}

TEST(ContextRateTest, MatchesTheTargetWithinFivePercent) {
  const auto bytes = CertifiedSample(kWidth, 10);
  const auto codec = *PackCodec::Make(*Pack::FromBytes(bytes));
  const HiddenStates hidden = Hidden(1024, 4);
  const auto rate_of = [&](const PackRate& rate) {
    StreamWriter writer = *StreamWriter::ToMemory(codec->Header(DType::kF32));
    EXPECT_TRUE(EncodeHidden(*codec, hidden, 256, writer, rate).ok() && writer.Finish().ok());
    const auto stream = writer.Take();
    EXPECT_TRUE(DecodeHidden(*codec, stream).ok());
    return 8.0 * static_cast<double>(stream.size()) / 1024;
  };
  const double finest = rate_of({.point = 0}), coarsest = rate_of({.point = 9});
  ASSERT_GT(finest, 2 * coarsest);
  for (const double share : {0.15, 0.4, 0.55, 0.9}) {
    const double target = coarsest + share * (finest - coarsest);
    EXPECT_NEAR(rate_of({.bits_per_token = target}), target, 0.05 * target);
  }
}

TEST(ContextRequirementTest, RejectsOnlyFramesOfPointsThatAreBelow) {
  const auto bytes = CertifiedSample(kWidth, 6);
  const auto codec = *PackCodec::Make(*Pack::FromBytes(bytes));
  const PointVerdicts verdicts = *Requirement::Parse("ppl<=1.035")->Judge(codec->pack());
  const HiddenStates hidden = Hidden(100, 1);
  for (int point = 0; point < 6; ++point) {
    const StatusCode want = point < 3 ? StatusCode::kOk : StatusCode::kMismatch;
    StreamWriter refused = *StreamWriter::ToMemory(codec->Header(DType::kF32));
    EXPECT_EQ(EncodeHidden(*codec, hidden, 40, refused, {.point = point, .verdicts = verdicts}).code(), want) << point;
    EXPECT_EQ(refused.tokens_written() == 0, want != StatusCode::kOk);
    StreamWriter writer = *StreamWriter::ToMemory(codec->Header(DType::kF32));
    ASSERT_TRUE(EncodeHidden(*codec, hidden, 40, writer, {.point = point}).ok() && writer.Finish().ok());
    const auto stream = writer.Take();
    EXPECT_TRUE(DecodeHidden(*codec, stream).ok());
    EXPECT_EQ(DecodeHidden(*codec, stream, kDefaultMaxElements, verdicts).status().code(), want) << point;
  }
  // A stream that leaves the allowed points in the middle, in a chunk or in a token frame.
  for (const size_t length : {1, 20}) {
    StreamWriter writer = *StreamWriter::ToMemory(codec->Header(DType::kF32));
    const auto encoder = codec->NewEncoder();
    ASSERT_TRUE(encoder->Push(hidden.values.View().Rows(0, 20), 1, writer).ok());
    ASSERT_TRUE(encoder->SetPoint(4).ok());
    ASSERT_TRUE(encoder->Push(hidden.values.View().Rows(20, 20 + length), 1, writer).ok() && writer.Finish().ok());
    const auto stream = writer.Take();
    const Status status = DecodeHidden(*codec, stream, kDefaultMaxElements, verdicts).status();
    EXPECT_EQ(status.code(), StatusCode::kMismatch);
    EXPECT_NE(status.message().find("\"p4\": ppl<=1.035 is required"), std::string::npos) << status.message();
  }
}

TEST(ContextRequirementTest, MatchesATargetWithAllowedPointsOnly) {
  const auto bytes = CertifiedSample(kWidth, 10);
  const auto codec = *PackCodec::Make(*Pack::FromBytes(bytes));
  const HiddenStates hidden = Hidden(1024, 4);
  const auto encode = [&](const PackRate& rate) {
    StreamWriter writer = *StreamWriter::ToMemory(codec->Header(DType::kF32));
    const Status encoded = EncodeHidden(*codec, hidden, 256, writer, rate);
    EXPECT_TRUE(encoded.ok() && writer.Finish().ok()) << encoded.ToString();
    return writer.Take();
  };
  const auto bits_of = [](const auto& stream) { return 8.0 * static_cast<double>(stream.size()) / 1024; };
  PointVerdicts verdicts = *Requirement::Parse("ppl<=1.045")->Judge(codec->pack());  // 0 to 3
  const double third = bits_of(encode({.point = 3})), second = bits_of(encode({.point = 2}));
  // Out of reach: as near as the allowed points come.
  const auto coarse = encode({.bits_per_token = third / 4, .verdicts = verdicts});
  EXPECT_NEAR(bits_of(coarse), third, 0.1 * third);
  EXPECT_TRUE(DecodeHidden(*codec, coarse, kDefaultMaxElements, verdicts).ok());
  // Within reach, between two of them, the second of which is no neighbour of the first.
  verdicts[1] = verdicts[2] = verdicts[9];
  const double target = (second + third) / 2;
  const auto between = encode({.bits_per_token = target, .verdicts = verdicts});
  EXPECT_NEAR(bits_of(between), target, 0.05 * target);
  EXPECT_TRUE(DecodeHidden(*codec, between, kDefaultMaxElements, verdicts).ok());
  const PointVerdicts none = *Requirement::Parse("ppl<=1")->Judge(codec->pack());
  StreamWriter writer = *StreamWriter::ToMemory(codec->Header(DType::kF32));
  EXPECT_EQ(EncodeHidden(*codec, hidden, 256, writer, {.bits_per_token = 90, .verdicts = none}).code(),
            StatusCode::kMismatch);
  const auto encoder = codec->NewEncoder();
  for (const std::vector<int>& wrong : {std::vector<int>{-1}, {10}, {2, 2}, {3, 1}}) {
    EXPECT_EQ(encoder->SetTarget(90, wrong).code(), StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace sluice
