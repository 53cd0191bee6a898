// Token ids as side information of codec "context", carried by the stream: the receiver is told nothing.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/hash.h"
#include "codec/context_frames.h"
#include "codec/pack_stream.h"
#include "nets/context_sample.h"

namespace sluice {
namespace {

constexpr size_t kWidth = 24, kIds = 10;

ContextSample SampleOf(TokenNames names, bool tables) {
  ContextSample sample;
  sample.shape = {.width = kWidth, .hidden = 11, .groups = 3, .points = 4, .names = names, .ids = kIds};
  sample.block = 8;
  sample.id_tables = tables;
  return sample;
}

HiddenStates Hidden(size_t batch, size_t tokens) {
  SampleNumbers random(9);
  HiddenStates hidden;
  hidden.values = Matrix<float>(batch * tokens, kWidth);
  for (size_t t = 0; t < batch * tokens; ++t) {
    for (float& x : hidden.values.row(t)) x = static_cast<float>(random.Bell(16 * 64)) / 64;
  }
  hidden.batch = batch;
  hidden.tokens = tokens;
  hidden.rank = batch == 1 ? 2 : 3;
  return hidden;
}

std::vector<int32_t> Ids(size_t count) {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>(i * i % 7 + i / 40));
  return ids;
}

/// With the tables of a pack, or without any.
class ContextIdsTest : public testing::TestWithParam<bool> {
 protected:
  std::vector<uint8_t> Encode(const HiddenStates& hidden, std::span<const int32_t> ids, uint32_t chunk,
                              uint16_t flags) {
    StreamWriter writer = *StreamWriter::ToMemory(codec_->Header(DType::kF32, flags));
    const Status encoded = EncodeHidden(*codec_, hidden, chunk, writer, {.point = 1}, ids);
    EXPECT_TRUE(encoded.ok() && writer.Finish().ok()) << encoded.ToString();
    return writer.Take();
  }

  std::vector<uint8_t> bytes_ = SampleOf(TokenNames::kTokens, GetParam()).Make();
  std::unique_ptr<PackCodec> codec_ = *PackCodec::Make(*Pack::FromBytes(bytes_));
};

TEST_P(ContextIdsTest, RoundTripsIdsThatTheReceiverWasNotTold) {
  struct Case {
    size_t batch, tokens;
    uint32_t chunk;
    uint16_t flags;
  };
  for (const Case& one :
       {Case{1, 100, 100, 0}, {1, 100, 33, 0}, {1, 40, 1, 0}, {3, 50, 20, 0}, {3, 50, 20, kFreshFrames}}) {
    const HiddenStates hidden = Hidden(one.batch, one.tokens);
    const auto ids = Ids(one.batch * one.tokens);
    const auto carrying = Encode(hidden, ids, one.chunk, one.flags | kIdsInStream);
    const auto told = Encode(hidden, ids, one.chunk, one.flags);
    EXPECT_GT(carrying.size(), told.size());
    // 4 bits an id at most, and a frame's rounding.
    EXPECT_LT(carrying.size(), told.size() + ids.size() / 2 + 2 * (one.tokens / one.chunk) + 8);
    StreamIds got, known{ids, false};
    const auto back = DecodeHidden(*codec_, carrying, kDefaultMaxElements, {}, &got);
    ASSERT_TRUE(back.ok()) << back.status().ToString();
    EXPECT_TRUE(got.carried);
    EXPECT_EQ(got.ids, ids);
    // The ids change nothing else: the hidden states are those of the other mode.
    const auto other = DecodeHidden(*codec_, told, kDefaultMaxElements, {}, &known);
    ASSERT_TRUE(other.ok()) << other.status().ToString();
    ASSERT_TRUE(std::equal(back->values.data(), back->values.data() + ids.size() * kWidth, other->values.data()));
  }
}

TEST_P(ContextIdsTest, RejectsAStreamWithoutItsIds) {
  const HiddenStates hidden = Hidden(1, 20);
  const auto ids = Ids(20);
  const auto told = Encode(hidden, ids, 20, 0);
  EXPECT_EQ(DecodeHidden(*codec_, told).status().code(), StatusCode::kInvalidArgument);
  StreamIds few{Ids(19), false};
  EXPECT_EQ(DecodeHidden(*codec_, told, kDefaultMaxElements, {}, &few).status().code(), StatusCode::kInvalidArgument);
  StreamWriter writer = *StreamWriter::ToMemory(codec_->Header(DType::kF32, kIdsInStream));
  EXPECT_EQ(EncodeHidden(*codec_, hidden, 20, writer).code(), StatusCode::kInvalidArgument) << "none were given";
  EXPECT_EQ(EncodeHidden(*codec_, hidden, 20, writer, {}, Ids(19)).code(), StatusCode::kInvalidArgument);
  auto beyond = ids;
  beyond[7] = kIds;
  const Status status = EncodeHidden(*codec_, hidden, 20, writer, {}, beyond);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("token 7 has id 10"), std::string::npos) << status.message();
}

TEST_P(ContextIdsTest, RejectsEveryFlippedBitAndEveryCut) {
  const HiddenStates hidden = Hidden(1, 8);
  const auto ids = Ids(8);
  for (const uint32_t chunk : {8u, 1u}) {
    const auto stream = Encode(hidden, ids, chunk, kIdsInStream);
    const auto want = *DecodeHidden(*codec_, stream);
    for (size_t bit = 0; bit < stream.size() * 8; ++bit) {
      auto damaged = stream;
      damaged[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
      StreamIds got;
      const auto back = DecodeHidden(*codec_, damaged, kDefaultMaxElements, {}, &got);
      if (!back.ok()) continue;
      // Spellings that mean the same are harmless.
      ASSERT_EQ(got.ids, ids) << bit;
      ASSERT_TRUE(std::equal(want.values.data(), want.values.data() + 8 * kWidth, back->values.data())) << bit;
    }
    for (size_t size = 0; size < stream.size(); ++size) {
      EXPECT_EQ(DecodeHidden(*codec_, std::span(stream).first(size)).status().code(), StatusCode::kTruncated) << size;
    }
  }
}

TEST_P(ContextIdsTest, MatchesAStreamThatNeverHadTheTokensTakenBack) {
  const HiddenStates hidden = Hidden(1, 30);
  const auto ids = Ids(30);
  const auto encoder = codec_->NewEncoder();
  const auto decoder = codec_->NewDecoder();
  StreamWriter writer = *StreamWriter::ToMemory(codec_->Header(DType::kF32, kIdsInStream));
  std::vector<uint8_t> bytes = writer.Take();
  StreamReader reader = *StreamReader::FromBytes(bytes);
  const auto send = [&](size_t from, size_t to) {
    EXPECT_TRUE(encoder->SetTokens(std::span(ids).subspan(from, to - from)).ok());
    EXPECT_TRUE(encoder->Push(hidden.values.View().Rows(from, to), 1, writer).ok());
    bytes = writer.Take();
    reader.Continue(bytes);
    const auto rows = decoder->Pull(**reader.Next(), reader);
    EXPECT_TRUE(rows.ok()) << rows.status().ToString();
    EXPECT_TRUE(std::ranges::equal(decoder->tokens(), std::span(ids).subspan(from, to - from)));
    return bytes.size();
  };
  send(0, 10);
  const auto sent = encoder->Checkpoint(), received = decoder->Checkpoint();
  const size_t straight = send(10, 20);
  ASSERT_TRUE(encoder->Trim(10).ok() && decoder->Trim(10).ok());
  send(25, 26);
  send(20, 30);
  ASSERT_TRUE(encoder->Trim(11).ok() && decoder->Trim(11).ok());
  EXPECT_EQ(send(10, 20), straight);
  ASSERT_TRUE(encoder->Restore(*sent).ok() && decoder->Restore(*received).ok());
  EXPECT_EQ(send(10, 20), straight);
}

INSTANTIATE_TEST_SUITE_P(Tables, ContextIdsTest, testing::Bool());

TEST(ContextIdsHeaderTest, RejectsTheFlagWhereItMeansNothing) {
  const auto tokens_bytes = SampleOf(TokenNames::kTokens, true).Make();
  const auto classes_bytes = SampleOf(TokenNames::kClasses, true).Make();
  const auto tokens = *PackCodec::Make(*Pack::FromBytes(tokens_bytes));
  const auto classes = *PackCodec::Make(*Pack::FromBytes(classes_bytes));
  EXPECT_TRUE(tokens->CheckHeader(tokens->Header(DType::kF32, kIdsInStream)).ok());
  EXPECT_EQ(classes->CheckHeader(classes->Header(DType::kF32, kIdsInStream)).code(), StatusCode::kMismatch);
  const auto with_flags = [](const PackCodec& codec, uint16_t flags) {
    StreamWriter writer = *StreamWriter::ToMemory(codec.Header(DType::kF32));
    std::vector<uint8_t> bytes = writer.Take();
    StoreLe(static_cast<uint16_t>(codec.pack().info().flags | flags), bytes.data() + 6);
    StoreLe(Checksum32(std::span(bytes).first(36)), bytes.data() + 36);
    return StreamReader::FromBytes(bytes).status().code();
  };
  EXPECT_EQ(with_flags(*tokens, kIdsInStream), StatusCode::kOk);
  EXPECT_EQ(with_flags(*tokens, 32), StatusCode::kUnsupported);
  EXPECT_EQ(with_flags(*classes, kIdsInStream), StatusCode::kUnsupported);
}

TEST(ContextIdsTablesTest, MatchesThePackWithAndWithoutTables) {
  const auto with = SampleOf(TokenNames::kTokens, true).Make();
  const auto without = SampleOf(TokenNames::kTokens, false).Make();
  EXPECT_EQ(ContextParts::FromPack(*Pack::FromBytes(with))->classes.ids(), kIds);
  EXPECT_TRUE(ContextParts::FromPack(*Pack::FromBytes(without))->classes.empty());
}

}  // namespace
}  // namespace sluice
