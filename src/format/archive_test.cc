#include "format/archive.h"

#include <gtest/gtest.h>

#include <random>

#include "base/bytes.h"
#include "base/hash.h"
#include "format/temporary_folder.h"

namespace sluice {
namespace {

const ArchiveHeader kArchiveHeader = {.source = DType::kBf16, .fidelity = 1, .width = 4, .row_tokens = 0, .bound = 0.5};

std::vector<uint8_t> Payload(size_t size, uint8_t seed) {
  std::vector<uint8_t> bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(seed + 31 * i);
  return bytes;
}

std::vector<uint8_t> BytesOf(const std::filesystem::path& path) {
  const std::string text = *ReadFile(path);
  return {text.begin(), text.end()};
}

std::vector<uint8_t> ThreeChunks(const TemporaryFolder& folder) {
  ArchiveWriter writer = *ArchiveWriter::Create(folder / "a.sla", kArchiveHeader);
  for (uint8_t i = 1; i <= 3; ++i) EXPECT_TRUE(writer.Add(i * 10u, Payload(50u * i, i)).ok());
  EXPECT_TRUE(writer.Finish().ok());
  EXPECT_EQ(writer.Finish().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(writer.Add(1, {}).code(), StatusCode::kInvalidArgument);
  return BytesOf(folder / "a.sla");
}

TEST(ArchiveTest, RoundTripsChunks) {
  const TemporaryFolder folder;
  ThreeChunks(folder);
  const auto reader = ArchiveReader::Open(folder / "a.sla");
  ASSERT_TRUE(reader.ok()) << reader.status().ToString();
  EXPECT_EQ(reader->header(), kArchiveHeader);
  EXPECT_TRUE(reader->complete());
  EXPECT_EQ(reader->tokens(), 60u);
  ASSERT_EQ(reader->chunks().size(), 3u);
  EXPECT_EQ(reader->chunks()[2].first_token, 30u);
  const auto payload = *reader->Payload(1);
  EXPECT_EQ(std::vector<uint8_t>(payload.begin(), payload.end()), Payload(100, 2));
}

TEST(ArchiveTest, RoundTripsCompleteChunksOfAFileCutAnywhere) {
  const TemporaryFolder folder;
  const std::vector<uint8_t> whole = ThreeChunks(folder);
  const size_t ends[] = {40 + 70, 40 + 70 + 120, 40 + 70 + 120 + 170};
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto reader = ArchiveReader::FromBytes(std::span(whole).first(size));
    if (size < kArchiveHeaderSize) {
      EXPECT_EQ(reader.status().code(), StatusCode::kTruncated) << size;
      continue;
    }
    ASSERT_TRUE(reader.ok()) << size << reader.status().ToString();
    EXPECT_FALSE(reader->complete());
    EXPECT_EQ(reader->chunks().size(), static_cast<size_t>((size >= ends[0]) + (size >= ends[1]) + (size >= ends[2])));
  }
}

TEST(ArchiveTest, RoundTripsAppendingAfterACut) {
  const TemporaryFolder folder;
  std::vector<uint8_t> whole = ThreeChunks(folder);
  whole.resize(whole.size() - 40);
  ASSERT_TRUE(WriteFileAtomic(folder / "a.sla", whole).ok());
  ArchiveWriter writer = *ArchiveWriter::Append(folder / "a.sla", kArchiveHeader);
  ASSERT_TRUE(writer.Add(30, Payload(150, 3)).ok());
  ASSERT_TRUE(writer.Finish().ok());
  EXPECT_EQ(BytesOf(folder / "a.sla"), ThreeChunks(folder));
  ArchiveHeader other = kArchiveHeader;
  other.width = 5;
  EXPECT_EQ(ArchiveWriter::Append(folder / "a.sla", other).status().code(), StatusCode::kMismatch);
  EXPECT_EQ(ArchiveWriter::Append(folder / "none.sla", kArchiveHeader).status().code(), StatusCode::kIo);
}

TEST(ArchiveTest, RoundTripsCompleteChunksBeforeATailOfZeros) {
  const TemporaryFolder folder;
  std::vector<uint8_t> bytes = ThreeChunks(folder);
  std::fill(bytes.begin() + 40 + 70, bytes.end(), uint8_t{0});
  const auto reader = ArchiveReader::FromBytes(bytes);
  ASSERT_TRUE(reader.ok()) << reader.status().ToString();
  EXPECT_EQ(reader->chunks().size(), 1u);
  EXPECT_FALSE(reader->complete());
}

TEST(ArchiveTest, RejectsEveryRandomFlip) {
  const TemporaryFolder folder;
  const std::vector<uint8_t> good = ThreeChunks(folder);
  std::mt19937 random(3);
  for (int i = 0; i < 4000; ++i) {
    std::vector<uint8_t> bad = good;
    bad[random() % bad.size()] ^= static_cast<uint8_t>(1u << (random() % 8));
    const auto reader = ArchiveReader::FromBytes(bad);
    bool sound = reader.ok() && reader->complete() && reader->chunks().size() == 3;
    for (size_t c = 0; sound && c < 3; ++c) sound = reader->Payload(c).ok();
    ASSERT_FALSE(sound);
  }
}

TEST(ArchiveTest, RejectsWhatIsOutsideTheFormat) {
  const TemporaryFolder folder;
  const std::vector<uint8_t> good = ThreeChunks(folder);
  const auto code_of = [&](size_t at, uint8_t value) {
    std::vector<uint8_t> bad = good;
    bad[at] = value;
    StoreLe<uint32_t>(Checksum32(std::span(bad).first(36)), bad.data() + 36);
    return ArchiveReader::FromBytes(bad).status().code();
  };
  EXPECT_EQ(code_of(5, 3), StatusCode::kOk);
  EXPECT_EQ(code_of(0, 'X'), StatusCode::kCorrupt);
  EXPECT_EQ(code_of(4, 2), StatusCode::kUnsupported);
  EXPECT_EQ(code_of(5, 4), StatusCode::kUnsupported);
  EXPECT_EQ(code_of(6, 4), StatusCode::kUnsupported);
  EXPECT_EQ(code_of(11, 1), StatusCode::kCorrupt);
  EXPECT_EQ(code_of(28, 1), StatusCode::kUnsupported);
  ArchiveHeader header = kArchiveHeader;
  header.width = 0;
  EXPECT_EQ(ArchiveWriter::Create(folder / "b.sla", header).status().code(), StatusCode::kInvalidArgument);
  header = kArchiveHeader;
  header.source = DType::kI8;
  EXPECT_EQ(ArchiveWriter::Create(folder / "b.sla", header).status().code(), StatusCode::kInvalidArgument);
  EXPECT_FALSE(std::filesystem::exists(folder / "b.sla"));
  EXPECT_EQ(ArchiveWriter::Create(folder / "none/b.sla", kArchiveHeader).status().code(), StatusCode::kIo);
  ArchiveWriter writer = *ArchiveWriter::Create(folder / "b.sla", kArchiveHeader);
  EXPECT_EQ(writer.Add(0, {}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(writer.Add(kMaxArchiveChunkTokens + 1, {}).code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace sluice
