// The common part of every tokenizer, and the choice of one by the files at hand. A folder is read once: the bytes that
// are parsed are the bytes that are hashed, so the identity cannot belong to another state of the files.
#include "text/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "base/bytes.h"
#include "base/file.h"
#include "text/bpe_vocab.h"
#include "text/byte_level_bpe.h"
#include "text/llama2c_vocab.h"
#include "text/sentencepiece_model.h"
#include "text/tokenizer_json.h"
#include "text/utf8.h"
#include "text/word_piece.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxLlama2cBytes = uint64_t{16} << 20;

using Contents = std::vector<std::string>;
using Parser = Result<std::unique_ptr<Tokenizer>> (*)(const Contents& files, const Sha256Digest& identity);

/// A tokenizer format: its name in the identity, its parser, and the largest file.
struct Format {
  std::string_view name;
  uint64_t max_bytes;
  Parser parse;
};

constexpr Format kSentencePiece = {
    "sentencepiece", kMaxTokenizerFileBytes,
    [](const Contents& files, const Sha256Digest& identity) { return ParseSentencePieceModel(files[0], identity); }};
constexpr Format kLlama2c = {"llama2c", kMaxLlama2cBytes, [](const Contents& files, const Sha256Digest& identity) {
                               return ParseLlama2cVocab(AsBytes(files[0]), identity);
                             }};
constexpr Format kTokenizerJson = {
    "tokenizer.json", kMaxTokenizerFileBytes,
    [](const Contents& files, const Sha256Digest& identity) { return ParseTokenizerJson(files[0], identity); }};
constexpr Format kGpt2 = {"gpt2", kMaxTokenizerFileBytes, [](const Contents& files, const Sha256Digest& identity) {
                            return ParseGpt2Files(files[0], files[1], identity);
                          }};
constexpr Format kWordPiece = {
    "wordpiece", kMaxTokenizerFileBytes,
    [](const Contents& files, const Sha256Digest& identity) { return ParseWordPieceVocab(files[0], identity); }};

bool IsLlama2cName(const fs::path& path) {
  return path.extension() == ".bin" && path.filename().string().starts_with("tok");
}

/// The format of a file by its name, or null.
const Format* FormatOf(const fs::path& path) {
  if (path.extension() == ".model") return &kSentencePiece;
  if (path.extension() == ".bin") return &kLlama2c;
  if (path.filename() == "vocab.json") return &kGpt2;
  if (path.extension() == ".json") return &kTokenizerJson;
  if (path.filename() == "vocab.txt") return &kWordPiece;
  return nullptr;
}

std::vector<fs::path> Companions(const fs::path& file) {
  if (file.filename() != "vocab.json") return {file};
  return {file, file.parent_path() / "merges.txt"};
}

}  // namespace

Result<std::vector<int32_t>> Tokenizer::Encode(std::string_view utf8, const EncodeProgress& progress) const {
  if (utf8.size() > kMaxTextBytes) {
    return InvalidArgument(fmt::format("text of {} bytes, the limit is {}", utf8.size(), kMaxTextBytes));
  }
  if (utf8.empty()) return std::vector<int32_t>();
  return DoEncode(utf8, progress);
}

Result<std::string> Tokenizer::Decode(std::span<const int32_t> ids) const {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= vocab_size()) {
      return InvalidArgument(
          fmt::format("token {} has id {}, expected 0 to {} ({})", i, ids[i], vocab_size() - 1, kind()));
    }
  }
  return DoDecode(ids);
}

Result<std::vector<fs::path>> TokenizerFiles(const fs::path& folder) {
  std::error_code error;
  const auto has = [&](const char* name) { return fs::is_regular_file(folder / name, error); };
  if (has("tokenizer.model")) return std::vector<fs::path>{folder / "tokenizer.model"};
  std::vector<fs::path> llama2c;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    if (IsLlama2cName(entry->path())) llama2c.push_back(entry->path());
  }
  if (error) return IoError(fmt::format("{}: {}", folder.string(), error.message()));
  if (llama2c.size() == 1) return llama2c;
  if (llama2c.size() > 1) {
    std::sort(llama2c.begin(), llama2c.end());
    return InvalidArgument(fmt::format("{}: {} files tok*.bin ({}, {}, ...); name one of them", folder.string(),
                                       llama2c.size(), llama2c[0].filename().string(), llama2c[1].filename().string()));
  }
  if (has("tokenizer.json")) return std::vector<fs::path>{folder / "tokenizer.json"};
  if (has("vocab.json") && has("merges.txt")) return Companions(folder / "vocab.json");
  if (has("vocab.txt")) return std::vector<fs::path>{folder / "vocab.txt"};
  return InvalidArgument(fmt::format(
      "{}: no tokenizer; expected tokenizer.model, tok*.bin, tokenizer.json, vocab.json with merges.txt, or "
      "vocab.txt",
      folder.string()));
}

Result<std::unique_ptr<Tokenizer>> LoadTokenizer(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return IoError(fmt::format("{}: no such file or folder", path.string()));
  std::vector<fs::path> files = Companions(path);
  if (fs::is_directory(path, error)) {
    SLUICE_ASSIGN_OR_RETURN(files, TokenizerFiles(path));
  }
  const Format* format = FormatOf(files[0]);
  if (format == nullptr) {
    return InvalidArgument(fmt::format(
        "{}: not a tokenizer file by its name; expected *.model, *.bin, *.json or vocab.txt", path.string()));
  }
  Contents contents;
  Sha256 hash;
  hash.Update(AsBytes(format->name));
  for (const fs::path& file : files) {
    SLUICE_ASSIGN_OR_RETURN(std::string content, ReadFile(file, format->max_bytes));
    const uint64_t size = content.size();
    hash.Update(AsBytes({reinterpret_cast<const char*>(&size), sizeof(size)}));
    hash.Update(AsBytes(content));
    contents.push_back(std::move(content));
  }
  auto tokenizer = format->parse(contents, hash.Finish());
  if (!tokenizer.ok()) return tokenizer.status().WithContext(files[0].string());
  return tokenizer;
}

}  // namespace sluice
