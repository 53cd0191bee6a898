// Every file of tests/golden/decode through the library and through examples/tiny_decoder, which was written from
// docs/format.md alone: both must give the same floats, and those whose hash decode/hashes.txt records. Every file of
// decode_errors must be refused by both with the status that its name begins with.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <sstream>

#include "codec/activation_archive.h"
#include "codec/pack_stream.h"
#include "format/temporary_folder.h"
#include "plain/hidden_stream.h"
#include "plain/plain_codec.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(SLUICE_SOURCE_DIR) / "tests/golden";

std::vector<fs::path> FilesOf(const fs::path& folder, const std::string& suffix) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == suffix) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

Result<HiddenStates> DecodeFile(const fs::path& path, const fs::path& pack) {
  SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  if (pack.empty()) return DecodeHidden(AsBytes(text));
  SLUICE_ASSIGN_OR_RETURN(const auto codec, PackCodec::Open(pack));
  return DecodeHidden(*codec, AsBytes(text));
}

Result<std::vector<uint8_t>> DecodeArchive(const fs::path& path) {
  SLUICE_ASSIGN_OR_RETURN(const ArchiveReader archive, ArchiveReader::Open(path));
  return ReadTokens(archive, 0, archive.tokens());
}

struct TinyResult {
  int exit_code;
  std::string bytes;
};

TinyResult RunTiny(const fs::path& path, const fs::path& pack) {
  const TemporaryFolder folder;
  const std::string option = pack.empty() ? "" : "--pack '" + pack.string() + "' ";
  // The decoder leaves its memory to the system when it ends, which is no leak.
  const std::string command = std::string("ASAN_OPTIONS=detect_leaks=0 '") + SLUICE_TINY_DECODER + "' " + option + "'" +
                              path.string() + "' '" + (folder / "out").string() + "' >/dev/null 2>&1";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, fs::exists(folder / "out") ? *ReadFile(folder / "out") : ""};
}

// "static-tokens.slc" is of static.pack, "fp16-batch.slc" of no pack.
fs::path PackOf(const fs::path& stream) {
  const std::string name = stream.filename().string();
  const fs::path pack = kGolden / "decode" / (name.substr(0, name.find_first_of("-.")) + ".pack");
  return fs::exists(pack) ? pack : fs::path();
}

std::string FloatBytes(const HiddenStates& hidden) {
  return {reinterpret_cast<const char*>(hidden.values.data()), 4 * hidden.values.rows() * hidden.values.cols()};
}

std::map<std::string, std::string> Hashes() {
  std::map<std::string, std::string> hashes;
  std::istringstream lines(*ReadFile(kGolden / "decode/hashes.txt"));
  for (std::string hash, name; lines >> hash >> name;) hashes[name] = hash;
  return hashes;
}

TEST(FormatGoldenTest, MatchesEveryStreamInTheLibraryAndInTheTinyDecoder) {
  const auto hashes = Hashes();
  size_t seen = 0;
  for (const fs::path& folder : {kGolden / "decode", kGolden / "decode/library"}) {
    for (const fs::path& path : FilesOf(folder, ".slc")) {
      SCOPED_TRACE(path.filename().string());
      const Result<HiddenStates> hidden = DecodeFile(path, PackOf(path));
      ASSERT_TRUE(hidden.ok()) << hidden.status().ToString();
      const std::string bytes = FloatBytes(*hidden);
      ASSERT_TRUE(hashes.contains(path.filename().string()));
      EXPECT_EQ(ToHex(Sha256::Of(AsBytes(bytes))), hashes.at(path.filename().string()));
      ++seen;
      if (folder.filename() == "library") continue;
      const TinyResult tiny = RunTiny(path, PackOf(path));
      EXPECT_EQ(tiny.exit_code, 0);
      EXPECT_TRUE(tiny.bytes == bytes) << "the tiny decoder gives other floats";
    }
  }
  for (const fs::path& path : FilesOf(kGolden / "decode", ".sla")) {
    SCOPED_TRACE(path.filename().string());
    const auto bytes = DecodeArchive(path);
    ASSERT_TRUE(bytes.ok()) << bytes.status().ToString();
    EXPECT_EQ(ToHex(Sha256::Of(*bytes)), hashes.at(path.filename().string()));
    EXPECT_TRUE(RunTiny(path, {}).bytes == std::string(bytes->begin(), bytes->end()));
    ++seen;
  }
  EXPECT_EQ(seen, hashes.size());
}

StatusCode CodeNamed(const fs::path& path) {
  const std::string name = path.filename().string();
  for (const StatusCode code :
       {StatusCode::kTruncated, StatusCode::kCorrupt, StatusCode::kUnsupported, StatusCode::kMismatch}) {
    if (name.starts_with(StatusCodeName(code))) return code;
  }
  ADD_FAILURE() << name << " names no status";
  return StatusCode::kOk;
}

TEST(FormatGoldenTest, RejectsEveryDamagedStreamByName) {
  size_t seen = 0;
  for (const fs::path& path : FilesOf(kGolden / "decode_errors", ".slc")) {
    SCOPED_TRACE(path.filename().string());
    const std::string bytes = *ReadFile(path);
    const bool coded = bytes.size() > 5 && (bytes[5] & 15) == 3;
    const fs::path pack = coded ? kGolden / "decode/static.pack" : fs::path();
    EXPECT_EQ(DecodeFile(path, pack).status().code(), CodeNamed(path)) << DecodeFile(path, pack).status().ToString();
    EXPECT_EQ(RunTiny(path, pack).exit_code, ExitCode(CodeNamed(path)));
    ++seen;
  }
  EXPECT_GE(seen, 30u);
}

TEST(FormatGoldenTest, RejectsEveryDamagedArchiveByName) {
  for (const fs::path& path : FilesOf(kGolden / "decode_errors", ".sla")) {
    SCOPED_TRACE(path.filename().string());
    EXPECT_EQ(DecodeArchive(path).status().code(), CodeNamed(path)) << DecodeArchive(path).status().ToString();
    EXPECT_EQ(RunTiny(path, {}).exit_code, ExitCode(CodeNamed(path)));
  }
}

TEST(FormatGoldenTest, RejectsEveryDamagedPackByName) {
  const fs::path stream = kGolden / "decode/static-chunks.slc";
  size_t seen = 0;
  for (const fs::path& path : FilesOf(kGolden / "decode_errors", ".pack")) {
    SCOPED_TRACE(path.filename().string());
    EXPECT_EQ(DecodeFile(stream, path).status().code(), CodeNamed(path))
        << DecodeFile(stream, path).status().ToString();
    EXPECT_EQ(RunTiny(stream, path).exit_code, ExitCode(CodeNamed(path)));
    ++seen;
  }
  EXPECT_GE(seen, 10u);
}

TEST(FormatGoldenTest, MatchesTheBytesThatInputsEncodeTo) {
  const HiddenStates hidden = *LoadHidden(kGolden / "encode_inputs/one.npy");
  for (const char* name : {"fp32", "fp16", "bf16", "int8", "q80"}) {
    const auto codec = *MakePlainCodec(name);
    StreamWriter writer = *StreamWriter::ToMemory(PlainStreamHeader(*codec, hidden));
    ASSERT_TRUE(EncodeHidden(*codec, hidden, 3, writer).ok());
    ASSERT_TRUE(writer.Finish().ok());
    const std::vector<uint8_t> bytes = writer.Take();
    EXPECT_TRUE(std::string(bytes.begin(), bytes.end()) == *ReadFile(kGolden / "decode" / (std::string(name) + ".slc")))
        << name;
  }
}

}  // namespace
}  // namespace sluice
