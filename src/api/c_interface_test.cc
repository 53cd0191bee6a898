#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "base/file.h"
#include "format/temporary_folder.h"
#include "nets/context_sample.h"
#include "sluice/codec.h"

namespace sluice::api {
namespace {

const std::string kGolden = std::string(SLUICE_SOURCE_DIR) + "/tests/golden/";

Hidden Waves(uint64_t batch, uint64_t tokens, uint32_t width) {
  Hidden hidden;
  hidden.batch = batch;
  hidden.tokens = tokens;
  hidden.width = width;
  for (size_t i = 0; i < batch * tokens * width; ++i) hidden.values.push_back(std::sin(0.3f * static_cast<float>(i)));
  return hidden;
}

double WorstError(const Hidden& a, const Hidden& b) {
  double worst = a.values.size() == b.values.size() ? 0 : 1e9;
  for (size_t i = 0; i < a.values.size() && worst < 1e9; ++i) {
    worst = std::max(worst, std::fabs(double{a.values[i]} - b.values[i]));
  }
  return worst;
}

TEST(CInterfaceTest, RoundTripsFramesOfPlainCodecsAndPacks) {
  for (const std::string& spec : {std::string("fp32"), std::string("zstd:3"), kGolden + "decode/static.pack"}) {
    auto codec = Codec::Open(spec);
    ASSERT_TRUE(codec) << codec.message;
    const Hidden hidden = Waves(3, 5, codec->width() == 0 ? 9 : codec->width());
    auto frame = codec->Encode(hidden);
    ASSERT_TRUE(frame) << frame.message;
    auto decoded = codec->Decode(*frame);
    ASSERT_TRUE(decoded) << decoded.message;
    EXPECT_EQ(decoded->batch, 3u);
    EXPECT_LE(WorstError(hidden, *decoded), 0.26) << spec;
    EXPECT_EQ(codec->Decode(*frame, 10).status, SLUICE_INVALID_ARGUMENT);
    frame->pop_back();
    EXPECT_EQ(codec->Decode(*frame).status, SLUICE_TRUNCATED);
  }
}

TEST(CInterfaceTest, RoundTripsIdsThatTheStreamCarries) {
  ContextSample sample;
  sample.shape = {.width = 16, .hidden = 9, .groups = 2, .points = 1, .names = TokenNames::kTokens, .ids = 10};
  const std::string path = testing::TempDir() + "c_interface_ids.pack";
  ASSERT_TRUE(WriteFileAtomic(path, sample.Make()).ok());
  auto codec = Codec::Open(path);
  ASSERT_TRUE(codec) << codec.message;
  auto encoder = codec->NewEncoder(16);
  auto decoder = codec->NewDecoder();
  ASSERT_EQ(encoder->SendTokens(), SLUICE_OK);
  for (const std::vector<int32_t>& ids : {std::vector<int32_t>{3, 1, 4, 1}, {5}, {9, 2}}) {
    ASSERT_EQ(encoder->SetTokens(ids), SLUICE_OK);
    auto bytes = encoder->Push(Waves(1, ids.size(), 16));
    ASSERT_TRUE(bytes) << bytes.message;
    ASSERT_EQ(decoder->Feed(*bytes), SLUICE_OK);
    auto frame = decoder->Pull();
    ASSERT_TRUE(frame) << frame.message;
    EXPECT_EQ(frame->tokens, ids.size());
    EXPECT_EQ(decoder->Tokens(), ids);
  }
  EXPECT_EQ(encoder->SendTokens(), SLUICE_INVALID_ARGUMENT) << "the stream has frames";
  EXPECT_FALSE(encoder->Push(Waves(1, 2, 16))) << "no ids were given";
  auto plain = Codec::Open("fp16");
  EXPECT_EQ(plain->NewEncoder(16)->SendTokens(), SLUICE_INVALID_ARGUMENT);
  EXPECT_EQ(sluice_decoder_tokens(nullptr, nullptr, nullptr), SLUICE_INVALID_ARGUMENT);
}

TEST(CInterfaceTest, RoundTripsAStreamCutIntoSingleBytes) {
  for (const std::string& spec : {std::string("fp16"), kGolden + "decode/static.pack"}) {
    auto codec = Codec::Open(spec);
    ASSERT_TRUE(codec) << codec.message;
    auto encoder = codec->NewEncoder(16);
    auto decoder = codec->NewDecoder();
    ASSERT_TRUE(encoder && decoder);
    Bytes stream;
    std::vector<Hidden> sent;
    for (const uint64_t tokens : {4, 1, 1, 7, 1}) {
      sent.push_back(Waves(1, tokens, 16));
      auto bytes = encoder->Push(sent.back());
      ASSERT_TRUE(bytes) << bytes.message;
      stream.insert(stream.end(), bytes->begin(), bytes->end());
    }
    auto end = encoder->Finish();
    stream.insert(stream.end(), end->begin(), end->end());
    size_t got = 0;
    bool ended = false;
    for (const uint8_t byte : stream) {
      ASSERT_EQ(decoder->Feed({byte}), SLUICE_OK);
      for (auto frame = decoder->Pull(); frame && !ended; frame = decoder->Pull()) {
        ended = frame->tokens == 0;
        if (ended) break;
        ASSERT_LT(got, sent.size());
        EXPECT_LE(WorstError(*frame, sent[got]), 0.26);
        ++got;
      }
    }
    EXPECT_TRUE(ended);
    EXPECT_EQ(got, sent.size());
  }
}

TEST(CInterfaceTest, RejectsFramesOfMoreThanTheLimit) {
  for (const std::string& spec : {std::string("zstd:3"), kGolden + "decode/static.pack"}) {
    SCOPED_TRACE(spec);
    auto codec = Codec::Open(spec);
    ASSERT_TRUE(codec) << codec.message;
    auto encoder = codec->NewEncoder(16);
    auto small = encoder->Push(Waves(1, 4, 16)), large = encoder->Push(Waves(1, 64, 16));
    ASSERT_TRUE(small && large) << small.message << large.message;
    auto decoder = codec->NewDecoder();
    ASSERT_EQ(decoder->SetLimit(4 * 16), SLUICE_OK);
    ASSERT_EQ(decoder->Feed(*small), SLUICE_OK);
    auto frame = decoder->Pull();
    ASSERT_TRUE(frame) << frame.message;
    EXPECT_EQ(frame->tokens, 4u);
    // The first bytes of a frame say how many elements it has; nothing else of it is waited for.
    constexpr size_t kSaysItsSize = 8;
    ASSERT_EQ(decoder->Feed({large->begin(), large->begin() + kSaysItsSize}), SLUICE_OK);
    const auto refused = decoder->Pull();
    EXPECT_EQ(refused.status, SLUICE_INVALID_ARGUMENT);
    EXPECT_NE(refused.message.find("64 tokens of width 16, more than 64 elements"), std::string::npos)
        << refused.message;
    ASSERT_EQ(decoder->SetLimit(0), SLUICE_OK);
    EXPECT_EQ(decoder->Pull().status, SLUICE_INVALID_ARGUMENT) << "it stays";
    // Without a limit, and with one that is lifted before it matters, the format's own holds.
    auto other = codec->NewDecoder();
    ASSERT_EQ(other->SetLimit(1), SLUICE_OK);
    ASSERT_EQ(other->SetLimit(0), SLUICE_OK);
    ASSERT_EQ(other->Feed(*small), SLUICE_OK);
    EXPECT_TRUE(other->Pull());
  }
  EXPECT_EQ(sluice_decoder_set_limit(nullptr, 1), SLUICE_INVALID_ARGUMENT);
}

// A pack of codec "context" with six operating points.
Outcome<Codec> ContextPack(const TemporaryFolder& folder) {
  ContextSample sample;
  sample.shape = {.width = 16, .hidden = 11, .groups = 3, .points = 6, .names = TokenNames::kClasses, .ids = 10};
  const std::string path = folder / "context.pack";
  EXPECT_TRUE(WriteFileAtomic(path, sample.Make()).ok());
  return Codec::Open(path);
}

TEST(CInterfaceTest, MatchesAContextStreamThatTookTokensBackAndWentBack) {
  const TemporaryFolder folder;
  auto codec = ContextPack(folder);
  ASSERT_TRUE(codec) << codec.message;
  auto encoder = codec->NewEncoder(16);
  auto decoder = codec->NewDecoder();
  ASSERT_TRUE(encoder && decoder);
  const auto send = [&](uint64_t tokens) {
    auto bytes = encoder->Push(Waves(1, tokens, 16));
    EXPECT_TRUE(bytes) << bytes.message;
    EXPECT_EQ(decoder->Feed(*bytes), SLUICE_OK);
    auto frame = decoder->Pull();
    EXPECT_TRUE(frame) << frame.message;
    return *frame;
  };
  send(20);
  auto sent = encoder->Keep();
  auto received = decoder->Keep();
  ASSERT_TRUE(sent && received);
  const Hidden first = send(1);
  EXPECT_LE(WorstError(first, Waves(1, 1, 16)), 0.5);
  send(1);
  ASSERT_EQ(encoder->Trim(2), SLUICE_OK);
  ASSERT_EQ(decoder->Trim(2), SLUICE_OK);
  EXPECT_EQ(send(1).values, first.values) << "as if the two had not been";
  send(100);
  ASSERT_EQ(encoder->Restore(*sent), SLUICE_OK);
  ASSERT_EQ(decoder->Restore(*received), SLUICE_OK);
  EXPECT_EQ(send(1).values, first.values) << "more than can be taken back";
  EXPECT_EQ(encoder->Trim(64), SLUICE_INVALID_ARGUMENT);
  EXPECT_EQ(encoder->Restore(*received), SLUICE_INVALID_ARGUMENT);
  EXPECT_EQ(encoder->SetPoint(6), SLUICE_INVALID_ARGUMENT);
  ASSERT_EQ(encoder->SetPoint(5), SLUICE_OK);
  const auto coarse = encoder->Push(Waves(1, 64, 16));
  ASSERT_EQ(encoder->SetPoint(0), SLUICE_OK);
  const auto fine = encoder->Push(Waves(1, 64, 16));
  ASSERT_TRUE(coarse && fine);
  EXPECT_LT(coarse.value->size(), fine.value->size());
  EXPECT_EQ(encoder->SetTarget(-1), SLUICE_INVALID_ARGUMENT);
  EXPECT_EQ(encoder->SetTarget(40), SLUICE_OK);
}

TEST(CInterfaceTest, RejectsDamagedContextFramesForGood) {
  const TemporaryFolder folder;
  auto codec = ContextPack(folder);
  auto encoder = codec->NewEncoder(16);
  auto decoder = codec->NewDecoder();
  auto bytes = encoder->Push(Waves(1, 30, 16));
  ASSERT_TRUE(bytes) << bytes.message;
  (*bytes)[bytes->size() - 20] ^= 4;
  EXPECT_EQ(decoder->Feed(*bytes), SLUICE_OK);
  EXPECT_EQ(decoder->Pull().status, SLUICE_CORRUPT);
  EXPECT_EQ(decoder->Pull().status, SLUICE_CORRUPT);
  EXPECT_EQ(decoder->Trim(1), SLUICE_CORRUPT) << "the state after an error is of no use";
  Hidden bad = Waves(1, 3, 16);
  bad.values[2 * 16 + 5] = INFINITY;
  const auto refused = encoder->Push(bad);
  EXPECT_EQ(refused.status, SLUICE_INVALID_ARGUMENT);
  EXPECT_NE(refused.message.find("token 2, channel 5"), std::string::npos) << refused.message;
}

// Lanes that run out of bytes are damage as well: a whole frame is never told to wait for more.
TEST(CInterfaceTest, RejectsDamagedFramesOfManyLanes) {
  for (const std::string& spec : {std::string("zstd:3"), kGolden + "decode/static.pack"}) {
    SCOPED_TRACE(spec);
    auto codec = Codec::Open(spec);
    ASSERT_TRUE(codec) << codec.message;
    auto encoder = codec->NewEncoder(16);
    auto bytes = encoder->Push(Waves(1, 1024, 16));
    ASSERT_TRUE(bytes) << bytes.message;
    for (size_t at = bytes->size() / 2; at < bytes->size() - 16; at += bytes->size() / 40) {
      Bytes damaged = *bytes;
      damaged[at] ^= 0xff;
      auto decoder = codec->NewDecoder();
      ASSERT_EQ(decoder->Feed(damaged), SLUICE_OK);
      EXPECT_EQ(decoder->Pull().status, SLUICE_CORRUPT) << at;
    }
  }
}

TEST(CInterfaceTest, RoundTripsAnArchive) {
  const TemporaryFolder folder;
  const std::string in = kGolden + "encode_inputs/one.npy", archive = folder / "a.sla", out = folder / "b.npy";
  ASSERT_EQ(sluice_archive_pack(in.c_str(), nullptr, archive.c_str(), SLUICE_LOSSLESS, 0), SLUICE_OK)
      << sluice_last_error();
  ASSERT_EQ(sluice_archive_unpack(archive.c_str(), out.c_str(), 0, 0), SLUICE_OK) << sluice_last_error();
  EXPECT_EQ(std::filesystem::file_size(in), std::filesystem::file_size(out));
  EXPECT_NE(sluice_archive_unpack(archive.c_str(), out.c_str(), 5, 100), SLUICE_OK);
  EXPECT_EQ(sluice_archive_pack("none.npy", nullptr, archive.c_str(), SLUICE_LOSSLESS, 0), SLUICE_IO);
}

TEST(CInterfaceTest, RejectsWhatCannotBeAndSaysWhy) {
  EXPECT_EQ(Codec::Open("fp17").status, SLUICE_INVALID_ARGUMENT);
  EXPECT_NE(std::string(sluice_last_error()).find("fp17"), std::string::npos);
  EXPECT_EQ(sluice_codec_open(nullptr, nullptr), SLUICE_INVALID_ARGUMENT);
  auto codec = Codec::Open("fp32");
  EXPECT_EQ(codec->NewEncoder(0).status, SLUICE_INVALID_ARGUMENT);
  auto encoder = codec->NewEncoder(4);
  EXPECT_EQ(encoder->Push(Waves(1, 1, 5)).status, SLUICE_INVALID_ARGUMENT);
  Hidden empty = Waves(1, 1, 4);
  empty.tokens = 0;
  EXPECT_EQ(encoder->Push(empty).status, SLUICE_INVALID_ARGUMENT);
  auto other = Codec::Open("fp16");
  EXPECT_EQ(other->Decode(*codec->Encode(Waves(1, 2, 4))).status, SLUICE_MISMATCH);
  auto decoder = codec->NewDecoder();
  decoder->Feed({'n', 'o', 'n', 'e'});
  EXPECT_EQ(decoder->Pull().status, SLUICE_CORRUPT);
  EXPECT_EQ(decoder->Pull().status, SLUICE_CORRUPT) << "it stays";
  EXPECT_STREQ(sluice_status_name(SLUICE_MISMATCH), "Mismatch");
  sluice_codec_close(nullptr);
  sluice_free(nullptr);
}

}  // namespace
}  // namespace sluice::api
