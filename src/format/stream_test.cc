#include "format/stream.h"

#include <gtest/gtest.h>

#include <random>

#include "base/hash.h"
#include "format/temporary_folder.h"

namespace sluice {
namespace {

const StreamHeader kHeader = {.kind = CodecKind::kFloat,
                              .flags = kFreshFrames,
                              .model_id = 0x1122334455667788,
                              .codec_id = 42,
                              .width = 3,
                              .cut = 6,
                              .precision_bits = 12,
                              .threads = 2,
                              .profile = 0xCAFE,
                              .source = DType::kBf16};

// The stand-in for a codec: every payload byte is one integer, one for each element, z and y in one section each.
std::vector<int32_t> FakeDecode(std::span<const uint8_t> payload) { return {payload.begin(), payload.end()}; }

struct Content {
  uint64_t tokens = 0;
  std::vector<int32_t> integers;
  friend bool operator==(const Content&, const Content&) = default;
};

Result<Content> ReadAll(std::span<const uint8_t> bytes) {
  SLUICE_ASSIGN_OR_RETURN(StreamReader reader, StreamReader::FromBytes(bytes));
  Content content;
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const std::optional<Frame> frame, reader.Next());
    if (!frame) break;
    if (frame->sections.size() != 2) return Corrupt("two sections expected");
    const std::vector<int32_t> z = FakeDecode(frame->sections[0]);
    const std::vector<int32_t> y = FakeDecode(frame->sections[1]);
    if (y.size() != size_t{frame->batch} * frame->tokens * reader.header().width) return Corrupt("integers missing");
    SLUICE_RETURN_IF_ERROR(frame->Verify({z, y}));
    content.integers.insert(content.integers.end(), z.begin(), z.end());
    content.integers.insert(content.integers.end(), y.begin(), y.end());
  }
  content.tokens = reader.tokens();
  return content;
}

Status AddRandomChunk(StreamWriter& writer, uint32_t batch, uint32_t tokens, std::mt19937& random) {
  std::vector<uint8_t> z(batch * tokens), y(size_t{batch} * tokens * kHeader.width);
  for (uint8_t& byte : z) byte = static_cast<uint8_t>(random());
  for (uint8_t& byte : y) byte = static_cast<uint8_t>(random());
  const std::array<std::span<const uint8_t>, 2> sections = {z, y};
  return writer.AddChunk(batch, tokens, sections, {FakeDecode(z), FakeDecode(y)});
}

std::vector<uint8_t> MakeStream() {
  std::mt19937 random(3);
  StreamWriter writer = *StreamWriter::ToMemory(kHeader);
  for (const auto& [batch, tokens] : {std::pair<uint32_t, uint32_t>{1, 256}, {8, 16}, {1, 1}, {2, 255}}) {
    EXPECT_TRUE(AddRandomChunk(writer, batch, tokens, random).ok());
  }
  EXPECT_TRUE(writer.Finish().ok());
  std::vector<uint8_t> bytes = writer.Take();
  EXPECT_EQ(bytes.size(), writer.bytes_written());
  return bytes;
}

TEST(StreamTest, RoundTripsHeaderAndFrames) {
  const std::vector<uint8_t> bytes = MakeStream();
  EXPECT_LE(kStreamHeaderSize, 48u);
  EXPECT_EQ(StreamReader::FromBytes(bytes)->header(), kHeader);
  const auto content = ReadAll(bytes);
  ASSERT_TRUE(content.ok()) << content.status().ToString();
  EXPECT_EQ(content->tokens, 256u + 128 + 1 + 510);
  EXPECT_EQ(content->integers.size(), content->tokens * 4);
}

TEST(StreamTest, RoundTripsThroughAFileThatAppearsWhenFinished) {
  const TemporaryFolder folder;
  StreamHeader header = kHeader;
  header.kind = CodecKind::kPlain;
  header.threads = 0;
  header.profile = 0;
  StreamWriter writer = *StreamWriter::ToFile(header, folder / "x.slc");
  const std::vector<uint8_t> payload = {1, 2, 3};
  ASSERT_TRUE(writer.AddStored(1, 2, payload).ok());
  EXPECT_FALSE(std::filesystem::exists(folder / "x.slc"));
  ASSERT_TRUE(writer.Finish().ok());
  EXPECT_EQ(std::filesystem::file_size(folder / "x.slc"), writer.bytes_written());
  StreamReader reader = *StreamReader::Open(folder / "x.slc");
  const Frame frame = **reader.Next();
  EXPECT_EQ(std::vector<uint8_t>(frame.sections[0].begin(), frame.sections[0].end()), payload);
  EXPECT_FALSE(reader.Next()->has_value());
  EXPECT_FALSE(reader.Next()->has_value());
  EXPECT_EQ(StreamReader::Open(folder / "none.slc").status().code(), StatusCode::kIo);
}

TEST(StreamTest, CostsAFewBytesForEachFrame) {
  StreamWriter writer = *StreamWriter::ToMemory(kHeader);
  const std::vector<uint8_t> payload(100);
  const std::array<std::span<const uint8_t>, 1> sections = {payload};
  const uint64_t before = writer.bytes_written();
  EXPECT_EQ(before, kStreamHeaderSize);
  ASSERT_TRUE(writer.AddChunk(1, 100, sections, {}).ok());
  EXPECT_EQ(writer.bytes_written() - before, 5 + payload.size() + 4);
}

TEST(StreamTest, RejectsEveryRandomFlip) {
  const std::vector<uint8_t> good = MakeStream();
  const Content expected = *ReadAll(good);
  std::mt19937 random(11);
  for (int i = 0; i < 4000; ++i) {
    std::vector<uint8_t> bad = good;
    const size_t at =
        i < static_cast<int>(kStreamHeaderSize * 8) ? static_cast<size_t>(i) : random() % (8 * bad.size());
    bad[at / 8] ^= static_cast<uint8_t>(1u << (at % 8));
    const auto content = ReadAll(bad);
    ASSERT_FALSE(content.ok()) << "flip of bit " << at << " was taken for right";
  }
}

TEST(StreamTest, RejectsEveryTruncation) {
  const std::vector<uint8_t> good = MakeStream();
  for (size_t size = 0; size < good.size(); size += size < 64 ? 1 : 13) {
    EXPECT_EQ(ReadAll(std::span(good).first(size)).status().code(), StatusCode::kTruncated) << size;
  }
  std::vector<uint8_t> longer = good;
  longer.push_back(0);
  EXPECT_EQ(ReadAll(longer).status().code(), StatusCode::kCorrupt);
}

TEST(StreamTest, RejectsDroppedSwappedAndForeignFrames) {
  std::mt19937 random(5);
  const auto frame_bytes = [&](StreamWriter& writer, uint32_t tokens) {
    EXPECT_TRUE(AddRandomChunk(writer, 1, tokens, random).ok());
    return writer.Take();
  };
  StreamWriter writer = *StreamWriter::ToMemory(kHeader);
  const std::vector<uint8_t> header = writer.Take();
  const std::vector<uint8_t> first = frame_bytes(writer, 4), second = frame_bytes(writer, 4);
  ASSERT_TRUE(writer.Finish().ok());
  const std::vector<uint8_t> end = writer.Take();
  StreamHeader other_header = kHeader;
  other_header.cut = 7;
  StreamWriter other = *StreamWriter::ToMemory(other_header);
  other.Take();
  const std::vector<uint8_t> foreign = frame_bytes(other, 4);
  const auto code = [&](std::initializer_list<const std::vector<uint8_t>*> parts) {
    std::vector<uint8_t> bytes;
    for (const auto* part : parts) bytes.insert(bytes.end(), part->begin(), part->end());
    return ReadAll(bytes).status().code();
  };
  EXPECT_EQ(code({&header, &first, &second, &end}), StatusCode::kOk);
  EXPECT_EQ(code({&header, &first, &end}), StatusCode::kCorrupt);
  EXPECT_EQ(code({&header, &second, &first, &end}), StatusCode::kCorrupt);
  EXPECT_EQ(code({&header, &first, &first, &end}), StatusCode::kCorrupt);
  EXPECT_EQ(code({&header, &foreign, &second, &end}), StatusCode::kCorrupt);
}

// A header with one byte changed and its checksum made right again.
StatusCode CodeOfHeaderByte(size_t at, uint8_t value) {
  std::vector<uint8_t> bytes = MakeStream();
  bytes[at] = value;
  StoreLe<uint32_t>(Checksum32(std::span(bytes).first(40)), bytes.data() + 40);
  return StreamReader::FromBytes(bytes).status().code();
}

TEST(StreamTest, RejectsHeadersOutsideTheFormat) {
  EXPECT_EQ(CodeOfHeaderByte(5, 2), StatusCode::kOk);
  EXPECT_EQ(CodeOfHeaderByte(0, 'X'), StatusCode::kCorrupt);
  EXPECT_EQ(CodeOfHeaderByte(4, 2), StatusCode::kUnsupported);
  EXPECT_EQ(CodeOfHeaderByte(5, 9), StatusCode::kUnsupported);
  EXPECT_EQ(CodeOfHeaderByte(7, 0x80), StatusCode::kUnsupported);
  EXPECT_EQ(CodeOfHeaderByte(24, 0), StatusCode::kCorrupt);   // width 0
  EXPECT_EQ(CodeOfHeaderByte(27, 1), StatusCode::kCorrupt);   // width 2^24
  EXPECT_EQ(CodeOfHeaderByte(30, 17), StatusCode::kCorrupt);  // precision
  EXPECT_EQ(CodeOfHeaderByte(36, 0), StatusCode::kUnsupported);
  EXPECT_EQ(CodeOfHeaderByte(39, 1), StatusCode::kUnsupported);
}

StatusCode CodeOfFrame(uint8_t type, std::initializer_list<uint64_t> varints) {
  StreamWriter writer = *StreamWriter::ToMemory(kHeader);
  ByteWriter bytes;
  bytes.PutBytes(writer.Take());
  bytes.Put<uint8_t>(type);
  for (uint64_t value : varints) bytes.PutVarint(value);
  for (int i = 0; i < 16; ++i) bytes.Put<uint8_t>(0);
  return StreamReader::FromBytes(bytes.bytes())->Next().status().code();
}

TEST(StreamTest, RejectsFramesOutsideTheLimitsBeforeReadingThem) {
  EXPECT_EQ(CodeOfFrame(1, {1, 4, 0, 3}), StatusCode::kOk);
  EXPECT_EQ(CodeOfFrame(0, {1, 4, 0, 3}), StatusCode::kUnsupported);
  EXPECT_EQ(CodeOfFrame(2, {1, 4, 0, 3}), StatusCode::kUnsupported);  // stored, but the codec is learned
  EXPECT_EQ(CodeOfFrame(4, {1, 4, 0, 3}), StatusCode::kUnsupported);
  EXPECT_EQ(CodeOfFrame(1, {0, 4, 0, 3}), StatusCode::kCorrupt);
  EXPECT_EQ(CodeOfFrame(1, {1, 0, 0, 3}), StatusCode::kCorrupt);
  EXPECT_EQ(CodeOfFrame(1, {kMaxFrameBatch + 1, 4, 0, 3}), StatusCode::kCorrupt);
  EXPECT_EQ(CodeOfFrame(1, {1, kMaxFrameTokens + 1, 0, 3}), StatusCode::kCorrupt);
  EXPECT_EQ(CodeOfFrame(1, {2, kMaxFrameTokens / 2 + 1, 0, 3}), StatusCode::kCorrupt);
  EXPECT_EQ(CodeOfFrame(1, {1, ~uint64_t{0}, 0, 3}), StatusCode::kCorrupt);
  EXPECT_EQ(CodeOfFrame(1, {1, 4, 1, 3}), StatusCode::kCorrupt);
  EXPECT_EQ(CodeOfFrame(1, {1, 4, 0, kMaxSectionBytes + 1}), StatusCode::kCorrupt);
  EXPECT_EQ(CodeOfFrame(1, {1, 4, 0, 100}), StatusCode::kTruncated);
  EXPECT_EQ(CodeOfFrame(0x81, {1, 4, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1}), StatusCode::kCorrupt);
}

TEST(StreamTest, RejectsArgumentsOutsideTheFormat) {
  StreamHeader header = kHeader;
  header.width = 0;
  EXPECT_EQ(StreamWriter::ToMemory(header).status().code(), StatusCode::kInvalidArgument);
  header = kHeader;
  header.source = DType::kI8;
  EXPECT_EQ(StreamWriter::ToMemory(header).status().code(), StatusCode::kInvalidArgument);
  header = kHeader;
  header.kind = CodecKind::kInteger;  // with threads and profile
  EXPECT_EQ(StreamWriter::ToMemory(header).status().code(), StatusCode::kInvalidArgument);
  StreamWriter writer = *StreamWriter::ToMemory(kHeader);
  EXPECT_EQ(writer.AddStored(0, 1, {}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(writer.AddStored(1, kMaxFrameTokens + 1, {}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(writer.AddChunk(1, 1, {}, {}).code(), StatusCode::kInvalidArgument);
  ASSERT_TRUE(writer.Finish().ok());
  EXPECT_EQ(writer.AddStored(1, 1, {}).code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace sluice
