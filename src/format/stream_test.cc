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
  StoreLe<uint32_t>(Checksum32(std::span(bytes).first(36)), bytes.data() + 36);
  return StreamReader::FromBytes(bytes).status().code();
}

TEST(StreamTest, RejectsHeadersOutsideTheFormat) {
  EXPECT_EQ(CodeOfHeaderByte(5, 0x12), StatusCode::kOk);
  EXPECT_EQ(CodeOfHeaderByte(0, 'X'), StatusCode::kCorrupt);
  EXPECT_EQ(CodeOfHeaderByte(4, 2), StatusCode::kUnsupported);
  EXPECT_EQ(CodeOfHeaderByte(5, 0x19), StatusCode::kUnsupported);
  EXPECT_EQ(CodeOfHeaderByte(7, 0x80), StatusCode::kUnsupported);
  EXPECT_EQ(CodeOfHeaderByte(24, 0), StatusCode::kCorrupt);        // width 0
  EXPECT_EQ(CodeOfHeaderByte(27, 1), StatusCode::kCorrupt);        // width 2^24
  EXPECT_EQ(CodeOfHeaderByte(30, 17), StatusCode::kCorrupt);       // precision
  EXPECT_EQ(CodeOfHeaderByte(5, 0x02), StatusCode::kUnsupported);  // source 0
  EXPECT_EQ(CodeOfHeaderByte(5, 0x42), StatusCode::kUnsupported);
}

constexpr StreamHeader kIntegerHeader = {
    .kind = CodecKind::kInteger, .codec_id = 7, .width = 3, .precision_bits = 12, .source = DType::kF32};

// Three bytes a token, each one integer: ends by itself.
Status AddFakeToken(StreamWriter& writer, uint8_t bits, std::array<uint8_t, 3> y) {
  return writer.AddToken(bits, y, {FakeDecode(y)});
}

// What a stream of token frames holds; Corrupt when a frame's bits are not the rolling checksum's.
Result<std::vector<int32_t>> ReadTokens(std::span<const uint8_t> bytes) {
  SLUICE_ASSIGN_OR_RETURN(StreamReader reader, StreamReader::FromBytes(bytes));
  std::vector<int32_t> values;
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const std::optional<Frame> frame, reader.Next());
    if (!frame) return values;
    if (frame->type == FrameType::kToken && frame->sections[0].size() < 3) return Truncated("token");
    const size_t count = size_t{frame->batch} * frame->tokens * 3;
    if (frame->sections[0].size() < count) return Corrupt("integers missing");
    const std::vector<int32_t> y = FakeDecode(frame->sections[0].first(count));
    if (frame->type == FrameType::kToken) {
      if ((RollingChecksum(frame->rolling, {y}) & kTokenBits) != frame->token_bits) return Corrupt("bits");
      SLUICE_RETURN_IF_ERROR(reader.Consume(3, {y}));
    } else {
      SLUICE_RETURN_IF_ERROR(frame->Verify({y}));
    }
    values.insert(values.end(), y.begin(), y.end());
  }
}

std::vector<uint8_t> MakeTokenStream() {
  StreamWriter writer = *StreamWriter::ToMemory(kIntegerHeader);
  const std::array<uint8_t, 6> chunk = {1, 2, 3, 4, 5, 6};
  const std::array<std::span<const uint8_t>, 1> sections = {chunk};
  EXPECT_TRUE(writer.AddChunk(1, 2, sections, {FakeDecode(chunk)}).ok());
  for (uint8_t i = 0; i < 20; ++i) {
    const std::array<uint8_t, 3> y = {i, static_cast<uint8_t>(i * 7), 9};
    const uint32_t after = RollingChecksum(writer.rolling(), {FakeDecode(y)});
    EXPECT_TRUE(AddFakeToken(writer, after & kTokenBits, y).ok());
    EXPECT_EQ(writer.rolling(), after);
  }
  EXPECT_TRUE(writer.Finish().ok());
  return writer.Take();
}

TEST(StreamTest, RoundTripsTokenFramesAfterAChunk) {
  const auto values = ReadTokens(MakeTokenStream());
  ASSERT_TRUE(values.ok()) << values.status().ToString();
  EXPECT_EQ(values->size(), 66u);
  EXPECT_EQ((*values)[64], 19 * 7);
}

TEST(StreamTest, RejectsEveryFlipAndTruncationAmongTokenFrames) {
  const std::vector<uint8_t> good = MakeTokenStream();
  for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::vector<uint8_t> bad = good;
    bad[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    ASSERT_FALSE(ReadTokens(bad).ok()) << "flip of bit " << bit;
  }
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_EQ(ReadTokens(std::span(good).first(size)).status().code(), StatusCode::kTruncated) << size;
  }
}

TEST(StreamTest, RejectsTokenFramesWhereTheyCannotStand) {
  StreamHeader header = kIntegerHeader;
  header.flags = kFreshFrames;
  StreamWriter fresh = *StreamWriter::ToMemory(header);
  EXPECT_EQ(AddFakeToken(fresh, 0, {}).code(), StatusCode::kInvalidArgument);
  StreamWriter of_floats = *StreamWriter::ToMemory(kHeader);
  EXPECT_EQ(AddFakeToken(of_floats, 0, {}).code(), StatusCode::kInvalidArgument);
  StreamWriter rows = *StreamWriter::ToMemory(kIntegerHeader);
  const std::array<std::span<const uint8_t>, 1> sections = {};
  ASSERT_TRUE(rows.AddChunk(2, 1, sections, {}).ok());
  EXPECT_EQ(AddFakeToken(rows, 0, {}).code(), StatusCode::kInvalidArgument);
  std::vector<uint8_t> bytes = rows.Take();
  bytes.push_back(0x80);
  StreamReader reader = *StreamReader::FromBytes(bytes);
  EXPECT_EQ(reader.Consume(0, {}).code(), StatusCode::kInvalidArgument);
  ASSERT_TRUE(reader.Next().ok());
  EXPECT_EQ(reader.Next().status().code(), StatusCode::kCorrupt);
  StreamWriter one = *StreamWriter::ToMemory(kIntegerHeader);
  EXPECT_EQ(AddFakeToken(one, 128, {}).code(), StatusCode::kInvalidArgument);
  ASSERT_TRUE(AddFakeToken(one, 127, {}).ok());
  bytes = one.Take();
  reader = *StreamReader::FromBytes(bytes);
  ASSERT_TRUE(reader.Next().ok());
  EXPECT_EQ(reader.Next().status().code(), StatusCode::kInvalidArgument) << "it was not consumed";
  EXPECT_EQ(reader.Consume(4, {}).code(), StatusCode::kInvalidArgument);
}

std::vector<uint8_t> MakeSingle() {
  StreamHeader header = kIntegerHeader;
  header.flags = kSingle;
  StreamWriter writer = *StreamWriter::ToMemory(header);
  EXPECT_EQ(writer.Finish().code(), StatusCode::kInvalidArgument);
  const std::vector<uint8_t> payload(128 * 127 * 3, 5);
  const std::array<std::span<const uint8_t>, 1> sections = {payload};
  EXPECT_TRUE(writer.AddChunk(128, 127, sections, {FakeDecode(payload)}).ok());
  EXPECT_EQ(writer.AddChunk(1, 1, sections, {}).code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(writer.Finish().ok());
  std::vector<uint8_t> bytes = writer.Take();
  EXPECT_LE(bytes.size() - payload.size() - 4, 48u) << "header of a self-contained frame";
  return bytes;
}

TEST(StreamTest, RoundTripsASelfContainedFrame) {
  const std::vector<uint8_t> bytes = MakeSingle();
  EXPECT_EQ(ReadTokens(bytes)->size(), 128u * 127 * 3);
  for (size_t size : {size_t{0}, size_t{39}, size_t{40}, size_t{41}, bytes.size() - 1}) {
    EXPECT_EQ(ReadTokens(std::span(bytes).first(size)).status().code(), StatusCode::kTruncated) << size;
  }
  std::vector<uint8_t> longer = bytes;
  longer.push_back(3);
  EXPECT_EQ(ReadTokens(longer).status().code(), StatusCode::kCorrupt);
  StreamHeader header = kIntegerHeader;
  header.flags = kSingle;
  StreamWriter writer = *StreamWriter::ToMemory(header);
  const std::array<std::span<const uint8_t>, 1> sections = {};
  EXPECT_EQ(writer.AddChunk(1, kMaxSingleTokens + 1, sections, {}).code(), StatusCode::kInvalidArgument);
}

TEST(StreamTest, RoundTripsAStreamThatArrivesInPieces) {
  const std::vector<uint8_t> whole = MakeStream();
  std::vector<uint8_t> buffer(whole.begin(), whole.begin() + kStreamHeaderSize);
  StreamReader reader = *StreamReader::FromBytes(buffer);
  size_t arrived = kStreamHeaderSize, frames = 0;
  for (bool ended = false; !ended;) {
    const Result<std::optional<Frame>> frame = reader.Next();
    if (frame.ok()) {
      ended = !frame->has_value();
      frames += !ended;
      if (ended) continue;
      EXPECT_EQ((*frame)->first_token, reader.tokens() - (*frame)->batch * (*frame)->tokens);
      continue;
    }
    ASSERT_EQ(frame.status().code(), StatusCode::kTruncated);
    buffer.erase(buffer.begin(), buffer.end() - static_cast<ptrdiff_t>(reader.unread()));
    const size_t more = std::min<size_t>(100, whole.size() - arrived);
    buffer.insert(buffer.end(), whole.begin() + arrived, whole.begin() + arrived + more);
    arrived += more;
    reader.Continue(buffer);
  }
  EXPECT_EQ(frames, 4u);
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
  EXPECT_EQ(CodeOfFrame(0x81, {1, 4, 0, 1}), StatusCode::kUnsupported);  // a token frame of a float codec
}

TEST(StreamTest, RejectsFramesBeyondTheCallersLimitBeforeTheirPayloadIsThere) {
  std::vector<uint8_t> bytes = StreamWriter::ToMemory(kHeader)->Take();
  ByteWriter frame;
  frame.Put<uint8_t>(1);
  for (const uint64_t value : {2, 5, 0, 100}) frame.PutVarint(value);  // 2 rows of 5 tokens of width 3, 100 bytes
  bytes.insert(bytes.end(), frame.bytes().begin(), frame.bytes().end());
  StreamReader reader = *StreamReader::FromBytes(bytes);
  const auto code_with = [&](uint64_t most) {
    reader.LimitElements(most);
    return reader.Next().status().code();
  };
  EXPECT_EQ(reader.Next().status().code(), StatusCode::kTruncated);
  EXPECT_EQ(code_with(29), StatusCode::kInvalidArgument);
  EXPECT_EQ(code_with(30), StatusCode::kTruncated);
  EXPECT_EQ(code_with(UINT64_MAX), StatusCode::kTruncated);
  const std::vector<uint8_t> tokens = MakeTokenStream();
  StreamReader each = *StreamReader::FromBytes(tokens);
  ASSERT_TRUE(each.Next().ok());
  each.LimitElements(kIntegerHeader.width - 1);
  EXPECT_EQ(each.Next().status().code(), StatusCode::kInvalidArgument) << "a token frame";
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
