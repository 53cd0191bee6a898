// Codec "context" counted by its allocations: one token at a time takes no memory but what is handed out.
#include <gtest/gtest.h>

#include "base/counting_new.h"
#include "codec/context_frames.h"
#include "nets/context_sample.h"

namespace sluice {
namespace {

class ContextMemoryTest : public testing::Test {
 protected:
  static constexpr size_t kWidth = 48, kWarm = 80, kTokens = 400;

  static std::vector<uint8_t> MakePack() {
    ContextSample sample;
    sample.shape = {.width = kWidth,
                    .hidden = 17,
                    .groups = 3,
                    .points = 4,
                    .names = TokenNames::kClasses,
                    .ids = 10,
                    .pair_bits = 4,
                    .direct = 2,
                    .scale_units = 6};
    sample.old_shape = false;
    sample.class_groups = 4;
    return sample.Make();
  }

  std::vector<uint8_t> bytes_ = MakePack();
};

TEST_F(ContextMemoryTest, CostsNoAllocationForATokenOfIntegers) {
  const ContextParts parts = *ContextParts::FromPack(*Pack::FromBytes(bytes_));
  ContextEnd sender(parts), receiver(parts);
  SampleNumbers random(2);
  ContextIntegers sent, got;
  sent.classes.resize(1);
  got.classes.resize(1);
  sent.latents.resize(kWidth);
  got.latents.resize(kWidth);
  TokenPayload payload;
  Frame frame;
  frame.batch = frame.tokens = 1;
  frame.sections.resize(1);
  size_t before = 0;
  for (size_t t = 0; t < kTokens; ++t) {
    if (t == kWarm) before = allocations;
    sent.classes[0] = static_cast<int32_t>(random.Next() % 10);
    // The largest tokens first: nothing but outliers.
    for (int32_t& y : sent.latents) y = random.Bell(t < 4 || random.Next() % 200 == 0 ? 40000 : 40);
    ASSERT_TRUE(sender.BeginFrame(1, false).ok() && receiver.BeginFrame(1, false).ok());
    sender.EncodeToken(sent, static_cast<int>(t / 7 % 4), static_cast<uint32_t>(t), payload);
    frame.token_bits = payload.bits;
    frame.sections[0] = payload.bytes;
    frame.rolling = static_cast<uint32_t>(t);
    const Result<size_t> used = receiver.DecodeToken(frame, got);
    ASSERT_TRUE(used.ok()) << t << " " << used.status().ToString();
    ASSERT_TRUE(got.latents == sent.latents && got.classes == sent.classes) << t;
    if (t % 50 == 49) {
      ASSERT_TRUE(sender.Trim(20).ok() && receiver.Trim(20).ok());
    }
  }
  EXPECT_EQ(allocations, before);
}

TEST_F(ContextMemoryTest, CostsTheSameFewAllocationsForEveryTokenOfAStream) {
  const auto codec = *PackCodec::Make(*Pack::FromBytes(bytes_));
  StreamWriter writer = *StreamWriter::ToMemory(codec->Header(DType::kF32));
  std::vector<uint8_t> bytes = writer.Take();
  StreamReader reader = *StreamReader::FromBytes(bytes);
  const auto encoder = codec->NewEncoder();
  const auto decoder = codec->NewDecoder();
  SampleNumbers random(3);
  Matrix<float> hidden(1, kWidth);
  size_t encoding = 0, decoding = 0;
  for (size_t t = 0; t < kTokens; ++t) {
    for (float& x : hidden.row(0)) x = static_cast<float>(random.Bell(16 * 64)) / 64;
    const size_t before = allocations;
    ASSERT_TRUE(encoder->Push(hidden.View(), 1, writer).ok());
    const size_t pushed = allocations;
    bytes = writer.Take();
    reader.Continue(bytes);
    const size_t given = allocations;
    const auto frame = reader.Next();
    ASSERT_TRUE(frame.ok() && frame->has_value());
    ASSERT_TRUE(decoder->Pull(**frame, reader).ok());
    if (t < kWarm) continue;
    encoding = std::max(encoding, pushed - before);
    decoding = std::max(decoding, allocations - given);
  }
  // The bytes of the frame and where they are collected; the frame's list of parts and the hidden states.
  EXPECT_LE(encoding, 8u);
  EXPECT_LE(decoding, 4u);
}

}  // namespace
}  // namespace sluice
