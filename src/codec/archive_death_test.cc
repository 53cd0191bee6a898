// What is left of an archive when its writer dies. A child process writes chunk after chunk and is killed at a moment
// of chance after some of them; then the parent reads what is there, and the next child goes on.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <random>
#include <thread>

#include "base/bytes.h"
#include "codec/activation_archive.h"
#include "format/archive.h"
#include "format/temporary_folder.h"

namespace sluice {
namespace {

constexpr uint32_t kWidth = 8;
constexpr uint32_t kChunkTokens = 512;

// The states of the chunk that begins at a token.
std::vector<uint8_t> StatesAt(uint64_t first_token) {
  std::vector<uint8_t> bytes(4 * kWidth * kChunkTokens);
  for (size_t i = 0; i < bytes.size() / 4; ++i) {
    const auto token = static_cast<float>(first_token + i / kWidth);
    StoreLe<float>(token * 0.25f + static_cast<float>(i % kWidth), bytes.data() + 4 * i);
  }
  return bytes;
}

// Writes until it is killed, a byte into a pipe after every chunk: the parent waits for chunks rather than for a time,
// in which a slow machine may have written none.
[[noreturn]] void WriteForEver(const std::filesystem::path& path, const ArchiveHeader& header, int added) {
  auto writer =
      std::filesystem::exists(path) ? ArchiveWriter::Append(path, header) : ArchiveWriter::Create(path, header);
  if (!writer.ok()) _exit(1);
  for (uint64_t token = ArchiveReader::Open(path)->tokens();; token += kChunkTokens) {
    const auto payload = EncodeActivations(StatesAt(token), DType::kF32, kChunkTokens, kWidth, {});
    if (!payload.ok() || !writer->Add(kChunkTokens, *payload).ok()) _exit(2);
    if (write(added, "", 1) != 1) _exit(3);
  }
}

void ExpectGood(const ArchiveReader& reader, uint64_t from) {
  for (uint64_t token = from; token < reader.tokens(); token += kChunkTokens) {
    const auto bytes = ReadTokens(reader, token, token + kChunkTokens);
    ASSERT_TRUE(bytes.ok()) << bytes.status().ToString();
    ASSERT_TRUE(*bytes == StatesAt(token)) << token;
  }
}

TEST(ArchiveDeathTest, RoundTripsWhatWasCompleteWhenItsWriterWasKilled) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "x.sla";
  const ArchiveHeader header{DType::kF32, 0, kWidth, 0, 0};
  ASSERT_TRUE(ArchiveWriter::Create(path, header).ok());
  std::mt19937 random(6);
  uint64_t tokens = 0;
  for (int death = 0; death < 40; ++death) {
    int added[2] = {};
    ASSERT_EQ(pipe(added), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      close(added[0]);  // without a reader it ends
      WriteForEver(path, header, added[1]);
    }
    close(added[1]);
    const uint64_t chunks = random() % 8;
    char byte = 0;
    for (uint64_t i = 0; i < chunks && read(added[0], &byte, 1) == 1; ++i) {
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 2000));
    ASSERT_EQ(kill(child, SIGKILL), 0);
    int how = 0;
    ASSERT_EQ(waitpid(child, &how, 0), child);
    close(added[0]);
    ASSERT_TRUE(WIFSIGNALED(how)) << "the child gave up, code " << WEXITSTATUS(how);
    const auto reader = ArchiveReader::Open(path);
    ASSERT_TRUE(reader.ok()) << reader.status().ToString();
    EXPECT_FALSE(reader->complete());
    ASSERT_GE(reader->tokens(), tokens + chunks * kChunkTokens);
    ExpectGood(*reader, tokens);
    tokens = reader->tokens();
  }
  EXPECT_GT(tokens, 0u);
  ASSERT_TRUE(ArchiveWriter::Append(path, header)->Finish().ok());
  const ArchiveReader reader = *ArchiveReader::Open(path);
  EXPECT_TRUE(reader.complete());
  EXPECT_EQ(reader.tokens(), tokens);
  ExpectGood(reader, 0);
}

// Every length that a file can be left with when a write is cut off.
TEST(ArchiveDeathTest, RoundTripsTheChunksBeforeAnyCut) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "x.sla", cut = folder / "cut.sla";
  const ArchiveHeader header{DType::kF32, 0, kWidth, 0, 0};
  std::vector<uint64_t> ends;
  {
    ArchiveWriter writer = *ArchiveWriter::Create(path, header);
    for (uint64_t token = 0; token < 3 * kChunkTokens; token += kChunkTokens) {
      ends.push_back(writer.bytes_written());
      ASSERT_TRUE(
          writer.Add(kChunkTokens, *EncodeActivations(StatesAt(token), DType::kF32, kChunkTokens, kWidth, {})).ok());
    }
    ends.push_back(writer.bytes_written());
  }
  const std::string whole = *ReadFile(path);
  for (size_t size = ends[0]; size <= whole.size(); size += 1 + (size * 31) % 97) {
    std::ofstream(cut, std::ios::binary) << whole.substr(0, size);
    const auto reader = ArchiveReader::Open(cut);
    ASSERT_TRUE(reader.ok()) << size << ": " << reader.status().ToString();
    const auto complete = static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), size) - ends.begin()) - 1;
    EXPECT_EQ(reader->chunks().size(), complete) << size;
    ExpectGood(*reader, 0);
    ASSERT_TRUE(ArchiveWriter::Append(cut, header)->Finish().ok());
    EXPECT_EQ(ArchiveReader::Open(cut)->chunks().size(), complete);
  }
}

}  // namespace
}  // namespace sluice
