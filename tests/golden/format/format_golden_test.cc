// Every file of tests/golden/decode through the library and through examples/tiny_decoder, which was written from
// docs/format.md and docs/numerics.md alone: both must give the same floats, and those whose hash decode/hashes.txt
// records. Of codec "context" the hash is that of the integers, which both must give exactly; the floats, whose last
// digits depend on the machine, agree within a bound on their rounding. Every file of decode_errors must be refused by
// both with the status that its name begins with.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <sstream>

#include "codec/activation_archive.h"
#include "codec/pack_stream.h"
#include "context_integers.h"
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
  StreamIds ids;
  SLUICE_ASSIGN_OR_RETURN(ids.ids, IdsBeside(path));
  return DecodeHidden(*codec, AsBytes(text), kDefaultMaxElements, {}, ids.ids.empty() ? nullptr : &ids);
}

Result<std::vector<uint8_t>> DecodeArchive(const fs::path& path) {
  SLUICE_ASSIGN_OR_RETURN(const ArchiveReader archive, ArchiveReader::Open(path));
  return ReadTokens(archive, 0, archive.tokens());
}

struct TinyResult {
  int exit_code;
  std::string bytes, integers;
};

std::string BytesOf(const fs::path& path) { return fs::exists(path) ? *ReadFile(path) : ""; }

TinyResult RunTiny(const fs::path& path, const fs::path& pack) {
  const TemporaryFolder folder;
  const auto quoted = [](const fs::path& file) { return " '" + file.string() + "'"; };
  const fs::path ids = fs::path(path).replace_extension(".ids");
  const std::string options = (pack.empty() ? "" : " --pack" + quoted(pack)) +
                              (fs::exists(ids) ? " --ids" + quoted(ids) : "") + " --integers" +
                              quoted(folder / "integers");
  // The decoder leaves its memory to the system when it ends, which is no leak.
  const std::string command = std::string("ASAN_OPTIONS=detect_leaks=0 '") + SLUICE_TINY_DECODER + "'" + options +
                              quoted(path) + quoted(folder / "out") + " >/dev/null 2>&1";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, BytesOf(folder / "out"), BytesOf(folder / "integers")};
}

// "static-tokens.slc" is of static.pack, "fp16-batch.slc" of no pack.
fs::path PackOf(const fs::path& stream) {
  const std::string name = stream.filename().string();
  const fs::path pack = kGolden / "decode" / (name.substr(0, name.find_first_of("-.")) + ".pack");
  return fs::exists(pack) ? pack : fs::path();
}

// "Corrupt-context_bits-token.slc" is for context_bits.pack, other coded streams are for static.pack.
fs::path PackOfDamaged(const fs::path& stream, const std::string& bytes) {
  const std::string name = stream.filename().string();
  const fs::path named = PackOf(name.substr(name.find('-') + 1));
  if (!named.empty()) return named;
  const bool coded = bytes.size() > 5 && (bytes[5] & 15) == 3;
  return coded ? kGolden / "decode/static.pack" : fs::path();
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

std::vector<float> FloatsOf(const Pack& pack, const char* name) {
  const std::span<const uint8_t> bytes = pack.tensors().at(name).bytes;
  std::vector<float> values(bytes.size() / 4);
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

// How far the library's float32 may be from exact sums, by the ordinary bounds: x = offset + sum of n products
// inverse[i][k] * u[k], in any order, fused or not, where u[k] comes of five more roundings (the gain in the matrix,
// the step, the shift to the centroid, its sum, the product with the step); with e = 2^-24 that is (n + 5) e * sum of
// |inverse[i][k] u[k]|, and 2 e (|x| + |offset|) for the offset and for the rounding of the other decoder. u is got
// back from x by the forward transform; 8 in place of 5 covers what is of second order.
std::vector<double> RoundingBounds(const Pack& pack, const HiddenStates& hidden) {
  const std::vector<float> axes = FloatsOf(pack, "axes"), inverse = FloatsOf(pack, "inverse"),
                           offset = FloatsOf(pack, "offset");
  const size_t d = offset.size(), n = axes.size() / d;
  std::vector<double> bounds, u(d);
  for (size_t t = 0; t < hidden.values.rows(); ++t) {
    const float* x = hidden.values.data() + t * d;
    for (size_t k = 0; k < d; ++k) {
      u[k] = 0;
      for (size_t c = 0; c < n; ++c) u[k] += axes[k * n + c] * double{x[k / n * n + c] - offset[k / n * n + c]};
    }
    for (size_t i = 0; i < d; ++i) {
      double sum = 0;
      for (size_t k = 0; k < n; ++k) sum += std::fabs(inverse[i * n + k] * u[i / n * n + k]);
      bounds.push_back(0x1p-24 *
                       (static_cast<double>(n + 8) * sum + 2 * (std::fabs(x[i]) + std::fabs(double{offset[i]}))));
    }
  }
  return bounds;
}

void ExpectWithinRounding(const Pack& pack, const HiddenStates& hidden, const std::string& other) {
  const std::vector<double> bounds = RoundingBounds(pack, hidden);
  std::vector<float> values(other.size() / 4);
  std::memcpy(values.data(), other.data(), 4 * values.size());
  ASSERT_EQ(values.size(), bounds.size());
  for (size_t i = 0; i < bounds.size(); ++i) {
    ASSERT_NEAR(values[i], hidden.values.data()[i], bounds[i]) << "element " << i;
  }
}

TEST(FormatGoldenTest, MatchesEveryContextStreamInTheLibraryAndInTheTinyDecoder) {
  const auto hashes = Hashes();
  size_t seen = 0;
  for (const fs::path& path : FilesOf(kGolden / "decode", ".slc")) {
    if (!path.filename().string().starts_with("context_")) continue;
    SCOPED_TRACE(path.filename().string());
    const Pack pack = *Pack::Open(PackOf(path));
    const std::string stream = *ReadFile(path), hash = hashes.at(path.filename().string());
    const auto integers = ContextIntegersOf(AsBytes(stream), pack, *IdsBeside(path));
    ASSERT_TRUE(integers.ok()) << integers.status().ToString();
    EXPECT_EQ(ToHex(Sha256::Of({reinterpret_cast<const uint8_t*>(integers->data()), 4 * integers->size()})), hash);
    const Result<HiddenStates> hidden = DecodeFile(path, PackOf(path));
    ASSERT_TRUE(hidden.ok()) << hidden.status().ToString();
    const TinyResult tiny = RunTiny(path, PackOf(path));
    ASSERT_EQ(tiny.exit_code, 0);
    EXPECT_EQ(ToHex(Sha256::Of(AsBytes(tiny.integers))), hash) << "the tiny decoder gives other integers";
    ExpectWithinRounding(pack, *hidden, tiny.bytes);
    ++seen;
  }
  EXPECT_GE(seen, 25u);
}

// What is trained reaches shapes, shifts and exponents that the small packs do not.
TEST(FormatGoldenTest, MatchesTheShippedPackInTheTinyDecoder) {
  const fs::path file = fs::path(SLUICE_SOURCE_DIR) / "models/default-sluice.pack";
  const HiddenStates all = *LoadHidden(kGolden / "default/hidden.safetensors");
  HiddenStates hidden = HiddenStates::Zeros(1, std::min<uint64_t>(all.tokens, 24), all.values.cols());
  std::copy_n(all.values.data(), hidden.tokens * hidden.values.cols(), hidden.values.data());
  const auto codec = *PackCodec::Open(file);
  const int points = static_cast<int>(codec->pack().operating_points().size());
  const TemporaryFolder folder;
  for (const uint32_t chunk : {20u, 1u}) {
    for (const int point : {0, points - 1}) {
      SCOPED_TRACE(std::to_string(chunk) + " tokens a frame, point " + std::to_string(point));
      StreamWriter writer = *StreamWriter::ToMemory(codec->Header(DType::kF32));
      ASSERT_TRUE(EncodeHidden(*codec, hidden, chunk, writer, {.point = point}).ok() && writer.Finish().ok());
      const std::vector<uint8_t> stream = writer.Take();
      ASSERT_TRUE(WriteFileAtomic(folder / "stream.slc", std::span<const uint8_t>(stream)).ok());
      const TinyResult tiny = RunTiny(folder / "stream.slc", file);
      ASSERT_EQ(tiny.exit_code, 0);
      const auto integers = *ContextIntegersOf(stream, codec->pack(), {});
      EXPECT_TRUE(std::ranges::equal(
          AsBytes(tiny.integers), std::span(reinterpret_cast<const uint8_t*>(integers.data()), 4 * integers.size())));
      ExpectWithinRounding(codec->pack(), *DecodeHidden(*codec, stream), tiny.bytes);
    }
  }
}

TEST(FormatGoldenTest, MatchesEveryStreamInTheLibraryAndInTheTinyDecoder) {
  const auto hashes = Hashes();
  size_t seen = 0;
  for (const fs::path& folder : {kGolden / "decode", kGolden / "decode/library"}) {
    for (const fs::path& path : FilesOf(folder, ".slc")) {
      if (path.filename().string().starts_with("context_")) continue;
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
  const auto exact = std::ranges::count_if(hashes, [](const auto& one) { return !one.first.starts_with("context_"); });
  EXPECT_EQ(seen, static_cast<size_t>(exact));
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
    const fs::path pack = PackOfDamaged(path, bytes);
    EXPECT_EQ(DecodeFile(path, pack).status().code(), CodeNamed(path)) << DecodeFile(path, pack).status().ToString();
    EXPECT_EQ(RunTiny(path, pack).exit_code, ExitCode(CodeNamed(path)));
    ++seen;
  }
  EXPECT_GE(seen, 30u);
}

TEST(FormatGoldenTest, RejectsEveryDamagedArchiveByName) {
  size_t seen = 0;
  for (const fs::path& path : FilesOf(kGolden / "decode_errors", ".sla")) {
    SCOPED_TRACE(path.filename().string());
    EXPECT_EQ(DecodeArchive(path).status().code(), CodeNamed(path)) << DecodeArchive(path).status().ToString();
    EXPECT_EQ(RunTiny(path, {}).exit_code, ExitCode(CodeNamed(path)));
    ++seen;
  }
  EXPECT_GE(seen, 5u);
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
