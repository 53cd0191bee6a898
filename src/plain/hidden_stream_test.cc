#include "plain/hidden_stream.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <random>
#include <sstream>

#include "base/file.h"
#include "format/temporary_folder.h"
#include "plain/plain_codec.h"

namespace sluice {
namespace {

HiddenStates Random(uint64_t batch, uint64_t tokens, size_t width) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  HiddenStates hidden = HiddenStates::Zeros(batch, tokens, width);
  for (float& value : hidden.values.View().all()) value = normal(random);
  return hidden;
}

std::vector<float> Values(const HiddenStates& hidden) {
  return {hidden.values.data(), hidden.values.data() + hidden.values.View().size()};
}

std::vector<uint8_t> StreamOf(const HiddenStates& hidden, std::string_view spec, uint32_t chunk) {
  const auto codec = MakePlainCodec(spec);
  StreamWriter writer = *StreamWriter::ToMemory(PlainStreamHeader(**codec, hidden));
  EXPECT_TRUE(EncodeHidden(**codec, hidden, chunk, writer).ok());
  EXPECT_TRUE(writer.Finish().ok());
  return writer.Take();
}

TEST(HiddenStreamTest, RoundTripsFilesOfEveryShapeAndType) {
  const TemporaryFolder folder;
  for (const auto& [batch, tokens] : {std::pair<uint64_t, uint64_t>{1, 1}, {1, 257}, {8, 40}}) {
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kBf16}) {
      ASSERT_TRUE(SaveHidden(folder / "in.safetensors", Random(batch, tokens, 12), dtype).ok());
      const HiddenStates in = *LoadHidden(folder / "in.safetensors");
      const auto written = EncodeHiddenFile(folder / "in.safetensors", "", "fp32", folder / "x.slc", 16);
      ASSERT_TRUE(written.ok()) << written.status().ToString();
      EXPECT_EQ(written->bytes, std::filesystem::file_size(folder / "x.slc"));
      EXPECT_EQ(written->tokens, batch * tokens);
      const auto read = DecodeHiddenFile(folder / "x.slc", folder / "out.safetensors");
      ASSERT_TRUE(read.ok()) << read.status().ToString();
      EXPECT_EQ(read->bytes, written->bytes);
      const HiddenStates out = *LoadHidden(folder / "out.safetensors");
      EXPECT_EQ(Values(out), Values(in));
      EXPECT_EQ(out.source, dtype);
      EXPECT_EQ(out.batch, batch);
      EXPECT_EQ(out.tokens, tokens);
    }
  }
}

TEST(HiddenStreamTest, MatchesWhateverTheChunkLength) {
  const HiddenStates hidden = Random(3, 50, 16);
  const std::vector<float> whole = Values(*DecodeHidden(StreamOf(hidden, "q80", 1000)));
  for (const uint32_t chunk : {1u, 7u, 50u}) EXPECT_EQ(Values(*DecodeHidden(StreamOf(hidden, "q80", chunk))), whole);
}

// The bytes of the first block fenced as ```hex in docs/format.md.
std::vector<uint8_t> ExampleBytes() {
  const std::string text = *ReadFile(std::filesystem::path(SLUICE_SOURCE_DIR) / "docs/format.md");
  const size_t begin = text.find("```hex\n") + 7, end = text.find("```", begin);
  std::istringstream words(text.substr(begin, end - begin));
  std::vector<uint8_t> bytes;
  for (std::string word; words >> word;) bytes.push_back(static_cast<uint8_t>(std::stoul(word, nullptr, 16)));
  return bytes;
}

TEST(HiddenStreamTest, GoldenExampleOfTheFormatDocumentDecodes) {
  const std::vector<uint8_t> bytes = ExampleBytes();
  const auto decoded = DecodeHidden(bytes);
  ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
  EXPECT_EQ(Values(*decoded), (std::vector<float>{1, -2, 0.5, 0, 0.25, 65504}));
  EXPECT_EQ(decoded->source, DType::kF16);
  EXPECT_EQ(decoded->tokens, 2u);
  EXPECT_EQ(StreamOf(*decoded, "fp16", 256), bytes);
}

TEST(HiddenStreamTest, RejectsEveryRandomFlip) {
  const HiddenStates hidden = Random(1, 600, 16);
  for (const char* spec : {"fp16", "zstd", "int8"}) {
    const std::vector<uint8_t> good = StreamOf(hidden, spec, 256);
    std::mt19937 random(13);
    for (int i = 0; i < 1000; ++i) {
      std::vector<uint8_t> bad = good;
      bad[random() % bad.size()] ^= static_cast<uint8_t>(1u << (random() % 8));
      ASSERT_FALSE(DecodeHidden(bad).ok()) << spec;
    }
  }
}

TEST(HiddenStreamTest, RejectsWhatItShouldNotDecode) {
  const HiddenStates hidden = Random(2, 100, 16);
  const std::vector<uint8_t> good = StreamOf(hidden, "fp16", 32);
  EXPECT_TRUE(DecodeHidden(good, 2 * 100 * 16).ok());
  EXPECT_EQ(DecodeHidden(good, 2 * 100 * 16 - 1).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(DecodeHidden(std::span(good).first(good.size() - 1)).status().code(), StatusCode::kTruncated);

  StreamHeader header{.kind = CodecKind::kInteger, .width = 16};
  StreamWriter learned = *StreamWriter::ToMemory(header);
  ASSERT_TRUE(learned.Finish().ok());
  EXPECT_EQ(DecodeHidden(learned.Take()).status().code(), StatusCode::kMismatch);

  header.kind = CodecKind::kPlain;
  StreamWriter unknown = *StreamWriter::ToMemory(header);
  ASSERT_TRUE(unknown.Finish().ok());
  EXPECT_EQ(DecodeHidden(unknown.Take()).status().code(), StatusCode::kUnsupported);

  header.codec_id = PlainCodecId(**MakePlainCodec("fp16"));
  StreamWriter empty = *StreamWriter::ToMemory(header);
  ASSERT_TRUE(empty.Finish().ok());
  EXPECT_EQ(DecodeHidden(empty.Take()).status().code(), StatusCode::kCorrupt);

  StreamWriter ragged = *StreamWriter::ToMemory(header);
  ASSERT_TRUE(ragged.AddStored(1, 1, std::vector<uint8_t>(32)).ok());
  ASSERT_TRUE(ragged.AddStored(2, 1, std::vector<uint8_t>(64)).ok());
  ASSERT_TRUE(ragged.Finish().ok());
  EXPECT_EQ(DecodeHidden(ragged.Take()).status().code(), StatusCode::kCorrupt);
}

// Frames of a few bytes that claim 2^26 elements each: no memory is asked for on their word.
TEST(HiddenStreamTest, RejectsClaimsThatThePayloadCannotHold) {
  const auto peak_kb = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
  };
  constexpr uint32_t kWideWidth = 64, kTokens = 1 << 20;
  const std::pair<const char*, StatusCode> kinds[] = {
      {"fp32", StatusCode::kTruncated},  {"fp16", StatusCode::kTruncated}, {"bf16", StatusCode::kTruncated},
      {"int8", StatusCode::kTruncated},  {"q80", StatusCode::kTruncated},  {"fp8", StatusCode::kTruncated},
      {"int4", StatusCode::kTruncated},  {"blk8", StatusCode::kTruncated}, {"lowrank", StatusCode::kTruncated},
      {"deflate", StatusCode::kCorrupt}, {"zstd", StatusCode::kCorrupt},   {"lz4", StatusCode::kCorrupt}};
  for (const auto& [spec, code] : kinds) {
    const StreamHeader header{
        .kind = CodecKind::kPlain, .codec_id = PlainCodecId(**MakePlainCodec(spec)), .width = kWideWidth};
    StreamWriter writer = *StreamWriter::ToMemory(header);
    const std::vector<uint8_t> payload = {11, 0, 0, 0, 0, 0, 0, 0};
    for (int frame = 0; frame < 8; ++frame) ASSERT_TRUE(writer.AddStored(1, kTokens, payload).ok());
    ASSERT_TRUE(writer.Finish().ok());
    const std::vector<uint8_t> stream = writer.Take();
    const long before = peak_kb();
    EXPECT_EQ(DecodeHidden(stream).status().code(), code) << spec;
    EXPECT_LT(peak_kb() - before, 64 << 10) << spec;  // KB; the claim is 2 GB
  }
}

TEST(HiddenStreamTest, RejectsBadRequestsAndLeavesNoFile) {
  const TemporaryFolder folder;
  HiddenStates hidden = Random(1, 300, 8);
  hidden.values.row(290)[3] = std::numeric_limits<float>::infinity();
  ASSERT_TRUE(SaveHidden(folder / "in.npy", hidden, DType::kF32).ok());
  const auto encode = [&](std::string_view spec, const char* out, uint32_t chunk) {
    return EncodeHiddenFile(folder / "in.npy", "", spec, folder / out, chunk).status();
  };
  const Status infinite = encode("zstd", "x.slc", 256);
  EXPECT_EQ(infinite.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(infinite.message().find("chunk at token 256: token 34, channel 3"), std::string::npos)
      << infinite.message();
  EXPECT_EQ(encode("none", "x.slc", 256).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(encode("fp16", "x.slc", 0).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(encode("fp16", "none/x.slc", 16).code(), StatusCode::kIo);
  EXPECT_EQ(EncodeHiddenFile(folder / "no.npy", "", "fp16", folder / "x.slc").status().code(), StatusCode::kIo);
  EXPECT_EQ(DecodeHiddenFile(folder / "in.npy", folder / "o.npy").status().code(), StatusCode::kCorrupt);
  size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path())) ++files;
  EXPECT_EQ(files, 1u);
}

}  // namespace
}  // namespace sluice
