#include "wire/codec_choice.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "wire/tiny_network_test.h"

namespace sluice {
namespace {

const std::vector<CodecTrial> kCodecs = {
    {"fp16", 2048, 1e-7, 1e-7}, {"int8", 1056, 2e-6, 1e-6}, {"learned", 200, 1e-4, 5e-5}};

RatePlan PlanAt(double bits_per_second) {
  return {
      .link = {bits_per_second, 0.01}, .tokens = 512, .chunk_tokens = 64, .head_seconds = 1e-5, .tail_seconds = 2e-5};
}

TEST(CodecChoiceTest, MatchesThePipelineCountedByHand) {
  // 8 chunks; the link is the slowest stage: 64 * 2048 bits at 1 Mbit/s.
  const double wire = 64 * 2048 / 1e6;
  const double others = 64 * (1e-5 + 1e-7 + 1e-7 + 2e-5);
  EXPECT_NEAR(FirstTokenSeconds(kCodecs[0], PlanAt(1e6)), 8 * wire + others + 0.01, 1e-12);
  RatePlan one = PlanAt(1e6);
  one.tokens = 5;
  EXPECT_NEAR(FirstTokenSeconds(kCodecs[0], one), 5 * (2048 / 1e6 + 1e-5 + 2e-7 + 2e-5) + 0.01, 1e-12);
}

TEST(CodecChoiceTest, MatchesTheFastestOfEachLink) {
  EXPECT_EQ(ChooseCodec(kCodecs, PlanAt(1e6), {}).index, 2U);
  EXPECT_EQ(ChooseCodec(kCodecs, PlanAt(3e7), {}).index, 1U);
  const CodecChoice fast = ChooseCodec(kCodecs, PlanAt(1e10), {});
  EXPECT_EQ(fast.index, 0U);
  EXPECT_EQ(fast.bypass, "link_faster_than_codec");
  EXPECT_TRUE(ChooseCodec(kCodecs, PlanAt(1e6), {}).bypass.empty());
}

TEST(CodecChoiceTest, MatchesTheBreakEvenOfThePrediction) {
  const double speed = BreakEvenBitsPerSecond(kCodecs[2], kCodecs[0]);
  EXPECT_NEAR(speed, 2048 / 1e-4, 1e-3);
  RatePlan plan = PlanAt(speed / 1.5);
  plan.tokens = 1 << 20;
  EXPECT_LT(FirstTokenSeconds(kCodecs[2], plan), FirstTokenSeconds(kCodecs[0], plan));
  plan.link.bits_per_second = speed * 1.5;
  EXPECT_GT(FirstTokenSeconds(kCodecs[2], plan), FirstTokenSeconds(kCodecs[0], plan));
  EXPECT_EQ(BreakEvenBitsPerSecond({"free", 100, 0, 0}, kCodecs[0]), HUGE_VAL);
  EXPECT_EQ(BreakEvenBitsPerSecond({"large", 4096, 1, 1}, kCodecs[0]), 0);
}

TEST(CodecChoiceTest, MatchesTheBestQualityWithinATarget) {
  const RatePlan plan = PlanAt(1e6);  // 1.06 s, 0.56 s and 0.12 s
  const auto ttft = [&](double seconds) { return ChooseCodec(kCodecs, plan, {RateGoal::kFirstToken, seconds}); };
  EXPECT_EQ(ttft(2).index, 0U);
  EXPECT_EQ(ttft(2).bypass, "target_met_without");
  EXPECT_EQ(ttft(0.7).index, 1U);
  EXPECT_EQ(ttft(0.2).index, 2U);
  EXPECT_TRUE(ttft(0.2).met);
  EXPECT_FALSE(ttft(0.01).met);
  EXPECT_EQ(ttft(0.01).index, 2U);
  const auto bits = [&](double most) { return ChooseCodec(kCodecs, plan, {RateGoal::kBitsPerToken, most}); };
  EXPECT_EQ(bits(3000).index, 0U);
  EXPECT_EQ(bits(1056).index, 1U);
  EXPECT_EQ(bits(1000).index, 2U);
  EXPECT_FALSE(bits(100).met);
}

TEST(CodecChoiceTest, MatchesTheBytesOfARealCodec) {
  const Matrix<float> hidden(32, TinyNetwork::kWidth);
  const auto fp32 = TryCodec(*TinyNetwork::Codec("fp32", 3), hidden.View());
  const auto fp16 = TryCodec(*TinyNetwork::Codec("fp16", 3), hidden.View());
  ASSERT_TRUE(fp32.ok() && fp16.ok());
  EXPECT_NEAR(fp32->bits - fp16->bits, 16 * TinyNetwork::kWidth, 1e-9);
  EXPECT_GT(fp16->encode_seconds, 0);
  EXPECT_LT(fp16->decode_seconds, 1);
  EXPECT_FALSE(TryCodec(*TinyNetwork::Codec("fp32", 3), Matrix<float>(0, TinyNetwork::kWidth).View()).ok());
}

}  // namespace
}  // namespace sluice
