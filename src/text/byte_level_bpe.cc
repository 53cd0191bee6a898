// Byte-level BPE (Radford et al. 2019): text is cut by a regular expression, and inside each piece bytes merge by rank.
// The vocabulary writes bytes in a printable alphabet: the 188 printable Latin-1 characters stand for themselves, the
// other 68 bytes for U+0100 onwards in their order. Since every byte has a token, any bytes at all have an encoding:
// stretches of valid UTF-8 go through the regular expression, each byte between them is a piece of its own. (Some
// vocabularies leave out the 13 bytes that UTF-8 never uses; with those, text that has one is refused.)
#include "text/byte_level_bpe.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <array>
#include <nlohmann/json.hpp>

#include "text/bpe_merge.h"
#include "text/gpt2_split.h"
#include "text/piece_cache.h"
#include "text/progress_meter.h"
#include "text/utf8.h"

namespace sluice {
namespace {

constexpr std::string_view kEndOfText = "<|endoftext|>";

constexpr bool IsPrintable(int byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

/// Bytes that no valid UTF-8 contains may be missing from a vocabulary that was learned from text alone.
constexpr bool OccursInUtf8(size_t byte) { return byte != 0xC0 && byte != 0xC1 && byte < 0xF5; }

/// Code point of the alphabet -> byte, or -1.
constexpr std::array<int16_t, 324> MakeAlphabet() {
  std::array<int16_t, 324> bytes{};
  bytes.fill(-1);
  int next = 256;
  for (int byte = 0; byte < 256; ++byte) bytes[IsPrintable(byte) ? byte : next++] = static_cast<int16_t>(byte);
  return bytes;
}
constexpr std::array<int16_t, 324> kAlphabet = MakeAlphabet();

/// Longest token of a set that begins at a place in the text: a trie over bytes.
class TokenTrie {
 public:
  explicit TokenTrie(const std::vector<std::pair<std::string, int32_t>>& tokens) {
    ends_.push_back(kNoToken);
    for (const auto& [token, id] : tokens) {
      uint32_t node = 0;
      for (const char c : token) node = Child(node, static_cast<uint8_t>(c));
      ends_[node] = id;
      begins_[static_cast<uint8_t>(token.front())] = true;
    }
  }

  struct Match {
    int32_t id = kNoToken;
    size_t size = 0;
  };
  Match LongestAt(std::string_view text, size_t at) const {
    Match best;
    if (!begins_[static_cast<uint8_t>(text[at])]) return best;
    uint32_t node = 0;
    for (size_t i = at; i < text.size(); ++i) {
      const PairTable::Value* edge = edges_.Find(node, static_cast<uint8_t>(text[i]));
      if (edge == nullptr) break;
      node = edge->rank;
      if (ends_[node] != kNoToken) best = {ends_[node], i + 1 - at};
    }
    return best;
  }
  bool empty() const { return ends_.size() == 1; }

  static constexpr int32_t kNoToken = -1;

 private:
  uint32_t Child(uint32_t node, uint8_t byte) {
    const auto fresh = static_cast<uint32_t>(ends_.size());
    if (!edges_.Insert(node, byte, {fresh, 0})) return edges_.Find(node, byte)->rank;
    ends_.push_back(kNoToken);
    return fresh;
  }

  PairTable edges_;  // (node, byte) -> node, in `rank`
  std::vector<int32_t> ends_;
  std::array<bool, 256> begins_{};
};

/// Normalization form C of valid UTF-8. Text whose characters are all below U+0300 is in form C already.
Result<std::string> ToNfc(std::string_view text) {
  bool simple = true;
  for (const char c : text) simple &= static_cast<uint8_t>(c) < 0xCC;
  if (simple) return std::string(text);
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                   &mapped, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  if (size < 0) return Internal(fmt::format("normalization form C: {}", utf8proc_errmsg(size)));
  std::string normalized(reinterpret_cast<const char*>(mapped), static_cast<size_t>(size));
  std::free(mapped);
  return normalized;
}

class ByteLevelBpe final : public Tokenizer {
 public:
  ByteLevelBpe(ByteLevelSpec spec, Gpt2Splitter splitter, const std::array<int32_t, 256>& byte_ids,
               const Sha256Digest& identity)
      : Tokenizer(identity),
        tokens_(std::move(spec.tokens)),
        merges_(std::move(spec.merges)),
        added_(spec.added),
        nfc_(spec.nfc),
        splitter_(std::move(splitter)),
        byte_ids_(byte_ids) {
    for (size_t id = 0; id < tokens_.size(); ++id) {
      if (tokens_[id] == kEndOfText) end_of_text_ = static_cast<int32_t>(id);
    }
  }

  int32_t vocab_size() const override { return static_cast<int32_t>(tokens_.size()); }
  std::optional<int32_t> bos() const override { return end_of_text_; }
  std::optional<int32_t> eos() const override { return end_of_text_; }
  std::string_view kind() const override { return "byte-level-bpe"; }

 private:
  /// One Encode call: where the ids go, and working memory.
  struct Run {
    Run(const PairTable& merges, size_t text_bytes, const EncodeProgress& progress)
        : merger(merges), cache(text_bytes), meter(progress) {}
    std::vector<int32_t> ids;
    std::vector<int32_t> symbols;
    BpeMerger merger;
    PieceCache cache;
    ProgressMeter meter;
    uint64_t done = 0;
  };

  Result<std::vector<int32_t>> DoEncode(std::string_view whole, const EncodeProgress& progress) const override {
    std::string_view text = whole;
    Run run(merges_, text.size(), progress);
    std::string normalized;  // outlives the cache's use of it
    while (!text.empty()) {
      const size_t valid = ValidUtf8Prefix(text);
      std::string_view stretch = text.substr(0, valid);
      if (nfc_ && valid > 0) {
        SLUICE_ASSIGN_OR_RETURN(normalized, ToNfc(stretch));
        stretch = normalized;
        run.cache = PieceCache(stretch.size());
      }
      SLUICE_RETURN_IF_ERROR(EncodeValid(stretch, run));
      text.remove_prefix(valid);
      if (text.empty()) break;
      const auto byte = static_cast<uint8_t>(text.front());
      if (byte_ids_[byte] < 0) {
        return InvalidArgument(
            fmt::format("text is not valid UTF-8, and the vocabulary has no token for byte 0x{:02X} "
                        "at offset {}",
                        byte, whole.size() - text.size()));
      }
      run.ids.push_back(byte_ids_[byte]);
      text.remove_prefix(1);
    }
    return std::move(run.ids);
  }

  /// Cuts the added tokens out; what is between them is encoded on its own.
  Status EncodeValid(std::string_view text, Run& run) const {
    if (added_.empty()) return EncodePlain(text, run);
    size_t plain = 0;
    for (size_t at = 0; at < text.size();) {
      const TokenTrie::Match match = added_.LongestAt(text, at);
      if (match.size == 0) {
        ++at;
        continue;
      }
      SLUICE_RETURN_IF_ERROR(EncodePlain(text.substr(plain, at - plain), run));
      run.ids.push_back(match.id);
      at += match.size;
      run.done += match.size;
      plain = at;
    }
    return EncodePlain(text.substr(plain), run);
  }

  Status EncodePlain(std::string_view text, Run& run) const {
    return splitter_.ForEachPiece(text, [&](std::string_view piece) {
      run.cache.Append(piece, run.ids, [&] {
        run.symbols.clear();
        for (const char c : piece) run.symbols.push_back(byte_ids_[static_cast<uint8_t>(c)]);
        run.merger.Append(run.symbols, run.ids);
      });
      run.done += piece.size();
      return run.meter.At(run.done);
    });
  }

  Result<std::string> DoDecode(std::span<const int32_t> ids) const override {
    std::string text;
    for (const int32_t id : ids) text += tokens_[static_cast<size_t>(id)];
    return text;
  }

  std::vector<std::string> tokens_;
  PairTable merges_;
  TokenTrie added_;
  bool nfc_;
  Gpt2Splitter splitter_;
  std::array<int32_t, 256> byte_ids_;
  std::optional<int32_t> end_of_text_;
};

}  // namespace

Result<std::unique_ptr<Tokenizer>> MakeByteLevelBpe(ByteLevelSpec spec, const Sha256Digest& identity) {
  std::array<int32_t, 256> byte_ids;
  byte_ids.fill(-1);
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    if (spec.tokens[id].size() == 1) byte_ids[static_cast<uint8_t>(spec.tokens[id][0])] = static_cast<int32_t>(id);
  }
  for (size_t byte = 0; byte < 256; ++byte) {
    if (byte_ids[byte] < 0 && OccursInUtf8(byte)) {
      return Corrupt(fmt::format("byte-level BPE: no token for byte 0x{:02X}", byte));
    }
  }
  SLUICE_ASSIGN_OR_RETURN(Gpt2Splitter splitter, Gpt2Splitter::Create());
  return std::unique_ptr<Tokenizer>(new ByteLevelBpe(std::move(spec), std::move(splitter), byte_ids, identity));
}

Result<std::string> ByteLevelBytes(std::string_view token) {
  std::string bytes;
  for (size_t at = 0; at < token.size();) {
    const auto lead = static_cast<uint8_t>(token[at]);
    const size_t size = Utf8Length(token[at]);
    uint32_t code = lead;
    if (size == 2 && at + 1 < token.size()) code = (lead & 0x1Fu) << 6 | (static_cast<uint8_t>(token[at + 1]) & 0x3Fu);
    if (size > 2 || code >= kAlphabet.size() || kAlphabet[code] < 0) {
      return Corrupt(fmt::format("token '{}': the character at byte {} stands for no byte", token, at));
    }
    bytes.push_back(static_cast<char>(kAlphabet[code]));
    at += size;
  }
  return bytes;
}

Result<std::unique_ptr<Tokenizer>> ParseGpt2Files(std::string_view vocab_json, std::string_view merges_txt,
                                                  const Sha256Digest& identity) {
  SLUICE_ASSIGN_OR_RETURN(const nlohmann::json vocabulary, ParseJson(vocab_json));
  TokenList list;
  SLUICE_RETURN_IF_ERROR(list.AddVocabulary(vocabulary));
  SLUICE_RETURN_IF_ERROR(list.CheckDense());
  ByteLevelSpec spec;
  for (size_t line = 1, at = 0; at < merges_txt.size(); ++line) {
    const size_t end = std::min(merges_txt.find('\n', at), merges_txt.size());
    std::string_view merge = merges_txt.substr(at, end - at);
    at = end + 1;
    if (!merge.empty() && merge.back() == '\r') merge.remove_suffix(1);
    if (merge.empty() || (line == 1 && merge.starts_with("#version"))) continue;
    const size_t space = merge.find(' ');
    const std::string where = fmt::format("merges, line {}", line);
    if (space == std::string_view::npos || merge.find(' ', space + 1) != std::string_view::npos) {
      return Corrupt(fmt::format("{}: expected two tokens with one space between, got '{}'", where, merge));
    }
    const Status added = AddMerge(list, merge.substr(0, space), merge.substr(space + 1), spec.merges);
    if (!added.ok()) return added.WithContext(where);
  }
  spec.tokens = list.ById();
  for (std::string& token : spec.tokens) {
    SLUICE_ASSIGN_OR_RETURN(token, ByteLevelBytes(token));
  }
  return MakeByteLevelBpe(std::move(spec), identity);
}

}  // namespace sluice
