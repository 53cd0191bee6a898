// BERT's uncased tokenizer (Devlin et al. 2018) in three steps. Normalization, character by character: drop controls,
// make white space a space, put spaces around ideographs, decompose and drop accents, lower the case. Splitting: at
// spaces, and around each punctuation mark. WordPiece: from the left the longest piece that is in the vocabulary,
// pieces inside a word being written with ## before them; a word that cannot be spelled is [UNK] as a whole.
#include "text/word_piece.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <array>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "text/bpe_vocab.h"
#include "text/piece_cache.h"
#include "text/progress_meter.h"
#include "text/utf8.h"

namespace sluice {
namespace {

constexpr size_t kMaxWordCharacters = 100;
constexpr std::string_view kInside = "##";

bool IsSpace(int32_t code) {
  return (code >= 0x09 && code <= 0x0D) || code == ' ' || code == 0x85 || code == 0xA0 || code == 0x1680 ||
         (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F ||
         code == 0x3000;
}

bool IsDropped(int32_t code) {
  if (code == 0 || code == 0xFFFD) return true;
  if (code == '\t' || code == '\n' || code == '\r') return false;
  const utf8proc_category_t category = utf8proc_category(code);
  return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_CO;
}

bool IsIdeograph(int32_t code) {
  return (code >= 0x4E00 && code <= 0x9FFF) || (code >= 0x3400 && code <= 0x4DBF) ||
         (code >= 0x20000 && code <= 0x2A6DF) || (code >= 0x2A700 && code <= 0x2B73F) ||
         (code >= 0x2B740 && code <= 0x2B81F) || (code >= 0x2B920 && code <= 0x2CEAF) ||
         (code >= 0xF900 && code <= 0xFAFF) || (code >= 0x2F800 && code <= 0x2FA1F);
}

bool IsPunctuation(int32_t code) {
  if (code < 128) {
    return (code >= 33 && code <= 47) || (code >= 58 && code <= 64) || (code >= 91 && code <= 96) ||
           (code >= 123 && code <= 126);
  }
  const utf8proc_category_t category = utf8proc_category(code);
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

void AppendCharacter(int32_t code, std::string& text) {
  std::array<utf8proc_uint8_t, 4> bytes;
  const utf8proc_ssize_t size = utf8proc_encode_char(code, bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<size_t>(size));
}

/// Appends what becomes of one character; words and marks are parted by spaces.
void AppendNormalized(int32_t code, std::string& text) {
  if (IsDropped(code)) return;
  if (IsSpace(code)) {
    text += ' ';
    return;
  }
  std::array<utf8proc_int32_t, 32> parts;
  int boundary = 0;
  const utf8proc_ssize_t count =
      utf8proc_decompose_char(code, parts.data(), parts.size(), UTF8PROC_DECOMPOSE, &boundary);
  for (utf8proc_ssize_t i = 0; i < count; ++i) {
    if (utf8proc_category(parts[i]) == UTF8PROC_CATEGORY_MN) continue;
    const int32_t lower = utf8proc_tolower(parts[i]);
    const bool alone = IsIdeograph(code) || IsPunctuation(lower);
    if (alone) text += ' ';
    AppendCharacter(lower, text);
    if (alone) text += ' ';
  }
}

class WordPiece final : public Tokenizer {
 public:
  WordPiece(std::vector<std::string> tokens, int32_t unknown, const Sha256Digest& identity)
      : Tokenizer(identity), tokens_(std::move(tokens)), unknown_(unknown) {
    for (size_t id = 0; id < tokens_.size(); ++id) ids_.emplace(tokens_[id], static_cast<int32_t>(id));
    for (int32_t code = 0; code < 128; ++code) AppendNormalized(code, ascii_[static_cast<size_t>(code)]);
  }

  int32_t vocab_size() const override { return static_cast<int32_t>(tokens_.size()); }
  std::optional<int32_t> bos() const override { return Find("[CLS]"); }
  std::optional<int32_t> eos() const override { return Find("[SEP]"); }
  std::string_view kind() const override { return "wordpiece"; }

 private:
  std::optional<int32_t> Find(std::string_view token) const {
    const auto found = ids_.find(token);
    return found == ids_.end() ? std::nullopt : std::optional(found->second);
  }

  std::string Normalize(std::string_view text) const {
    std::string normalized;
    normalized.reserve(text.size() + text.size() / 8);
    for (size_t at = 0; at < text.size();) {
      if (static_cast<uint8_t>(text[at]) < 128) {
        normalized += ascii_[static_cast<uint8_t>(text[at++])];
        continue;
      }
      utf8proc_int32_t code = 0;
      at += static_cast<size_t>(utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at),
                                                 static_cast<utf8proc_ssize_t>(text.size() - at), &code));
      AppendNormalized(code, normalized);
    }
    return normalized;
  }

  Result<std::vector<int32_t>> DoEncode(std::string_view text, const EncodeProgress& progress) const override {
    SLUICE_RETURN_IF_ERROR(ValidateUtf8(text));
    const std::string normalized = Normalize(text);
    const std::string_view all = normalized;
    std::vector<int32_t> ids;
    PieceCache cache(all.size());
    ProgressMeter meter(progress);
    for (size_t at = 0; at < all.size();) {
      const size_t end = std::min(all.find(' ', at), all.size());
      const std::string_view word = all.substr(at, end - at);
      if (!word.empty()) cache.Append(word, ids, [&] { AppendWord(word, ids); });
      at = end + 1;
      SLUICE_RETURN_IF_ERROR(meter.At(std::min(end, text.size())));
    }
    return ids;
  }

  void AppendWord(std::string_view word, std::vector<int32_t>& ids) const {
    std::vector<size_t> starts;
    for (size_t at = 0; at < word.size(); at += Utf8Length(word[at])) starts.push_back(at);
    if (starts.size() > kMaxWordCharacters) {
      ids.push_back(unknown_);
      return;
    }
    starts.push_back(word.size());
    const size_t first = ids.size();
    for (size_t begin = 0; begin + 1 < starts.size();) {
      const std::string key = std::string(begin == 0 ? "" : kInside) + std::string(word.substr(starts[begin]));
      const size_t extra = key.size() - word.size();  // modulo 2^64: key and word differ by the mark and the start
      size_t end = starts.size() - 1;
      std::optional<int32_t> id;
      while (end > begin && !(id = Find(std::string_view(key).substr(0, starts[end] + extra)))) --end;
      if (!id) {
        ids.resize(first);
        ids.push_back(unknown_);
        return;
      }
      ids.push_back(*id);
      begin = end;
    }
  }

  Result<std::string> DoDecode(std::span<const int32_t> ids) const override {
    std::string text;
    for (const int32_t id : ids) {
      std::string_view token = tokens_[static_cast<size_t>(id)];
      if (token == "[CLS]" || token == "[SEP]" || token == "[PAD]") continue;
      if (token.starts_with(kInside) && token.size() > kInside.size() && !text.empty()) {
        token.remove_prefix(kInside.size());
      } else if (!text.empty()) {
        text += ' ';
      }
      text += token;
    }
    return text;
  }

  std::vector<std::string> tokens_;
  int32_t unknown_;
  std::unordered_map<std::string_view, int32_t> ids_;
  std::array<std::string, 128> ascii_;  // what becomes of each ASCII character
};

}  // namespace

Result<std::unique_ptr<Tokenizer>> ParseWordPieceVocab(std::string_view vocab_txt, const Sha256Digest& identity) {
  TokenList list;
  for (size_t at = 0; at < vocab_txt.size();) {
    const size_t end = std::min(vocab_txt.find('\n', at), vocab_txt.size());
    std::string_view token = vocab_txt.substr(at, end - at);
    if (!token.empty() && token.back() == '\r') token.remove_suffix(1);
    const size_t id = list.size();
    if (token.empty()) return Corrupt(fmt::format("vocabulary line {} is empty", id + 1));
    SLUICE_RETURN_IF_ERROR(list.Add(token, static_cast<int64_t>(id)));
    at = end + 1;
  }
  const std::optional<int32_t> unknown = list.Find("[UNK]");
  if (!unknown) return Corrupt(fmt::format("no [UNK] among the {} tokens of the vocabulary", list.size()));
  return std::unique_ptr<Tokenizer>(new WordPiece(list.ById(), *unknown, identity));
}

}  // namespace sluice
