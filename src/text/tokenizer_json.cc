// tokenizer.json is a program in JSON: normalizer, pre-tokenizer, model, post-processor, decoder, each a tree of typed
// steps. Instead of interpreting the language, this reads the two programs that decoder models use and refuses the rest
// by name. The post-processor (which adds BOS and the like) and truncation do not concern Encode.
#include "text/tokenizer_json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "text/bpe_vocab.h"
#include "text/byte_level_bpe.h"
#include "text/char_bpe.h"
#include "text/char_join.h"

namespace sluice {
namespace {

using nlohmann::json;

/// Bound on the added tokens together: the trie that finds them takes some 70 bytes for each of theirs.
constexpr size_t kMaxAddedBytes = size_t{1} << 20;

/// The member of an object, or null for what is absent or no object.
const json& Member(const json& object, const char* name) {
  static const json kNull;
  if (!object.is_object()) return kNull;
  const auto found = object.find(name);
  return found == object.end() ? kNull : *found;
}

std::string TextOf(const json& object, const char* name) {
  const json& member = Member(object, name);
  return member.is_string() ? member.get<std::string>() : std::string();
}

bool FlagOf(const json& object, const char* name, bool otherwise) {
  const json& member = Member(object, name);
  return member.is_boolean() ? member.get<bool>() : otherwise;
}

Status NotUnderstood(std::string_view what, const json& value) {
  return Unsupported(fmt::format("tokenizer.json: {} {} is not supported", what,
                                 value.dump(-1, ' ', false, json::error_handler_t::replace).substr(0, 200)));
}

struct AddedTokens {
  std::vector<std::pair<std::string, int32_t>> special;
  std::vector<std::pair<std::string, int32_t>> plain;
};

Result<AddedTokens> ReadAddedTokens(const json& file, bool has_normalizer) {
  AddedTokens added;
  const json& list = Member(file, "added_tokens");
  if (list.is_null()) return added;
  if (!list.is_array()) return Corrupt("added_tokens is not a list");
  size_t bytes = 0;
  for (const json& entry : list) {
    const json& id = Member(entry, "id");
    const std::string content = TextOf(entry, "content");
    if (!id.is_number_integer() || content.empty()) {
      return Corrupt(fmt::format("added token {}: no id or no content", added.special.size() + added.plain.size()));
    }
    bytes += content.size();
    const auto number = id.get<int64_t>();
    if (number < 0 || number >= static_cast<int64_t>(kMaxVocabulary) || bytes > kMaxAddedBytes) {
      return Corrupt(
          fmt::format("added token '{}': id {} or its size is out of bounds", content.substr(0, 100), number));
    }
    if (FlagOf(entry, "special", false)) {
      added.special.emplace_back(content, static_cast<int32_t>(number));
      continue;
    }
    const bool after_normalizer = FlagOf(entry, "normalized", true) || !has_normalizer;
    if (!after_normalizer || content.size() == 1 || FlagOf(entry, "single_word", false) ||
        FlagOf(entry, "lstrip", false) || FlagOf(entry, "rstrip", false)) {
      return NotUnderstood("added token", entry);
    }
    added.plain.emplace_back(content, static_cast<int32_t>(number));
  }
  return added;
}

/// Settings of the BPE model that would change the ids and that nothing here implements.
Status CheckModel(const json& model) {
  const json& dropout = Member(model, "dropout");
  if (dropout.is_number() && dropout.get<double>() != 0) return NotUnderstood("dropout", dropout);
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!TextOf(model, affix).empty()) return NotUnderstood(affix, Member(model, affix));
  }
  if (FlagOf(model, "ignore_merges", false)) return NotUnderstood("ignore_merges", true);
  return OkStatus();
}

/// Merges are written "left right" or ["left", "right"].
Status ReadMerges(const json& list, const TokenList& tokens, PairTable& merges) {
  if (!list.is_array()) return Corrupt("merges is not a list");
  for (const json& merge : list) {
    std::string left;
    std::string right;
    if (merge.is_string()) {
      const std::string text = merge.get<std::string>();
      const size_t space = text.find(' ');
      if (space != std::string::npos) {
        left = text.substr(0, space);
        right = text.substr(space + 1);
      }
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      left = merge[0].get<std::string>();
      right = merge[1].get<std::string>();
    }
    if (left.empty() || right.empty()) return Corrupt(fmt::format("merge {} is not a pair of tokens", merges.size()));
    SLUICE_RETURN_IF_ERROR(AddMerge(tokens, left, right, merges));
  }
  return OkStatus();
}

Result<std::unique_ptr<Tokenizer>> ReadByteLevel(const json& file, const Sha256Digest& identity) {
  const json& normalizer = Member(file, "normalizer");
  const json& splitter = Member(file, "pre_tokenizer");
  const json& model = Member(file, "model");
  ByteLevelSpec spec;
  spec.nfc = TextOf(normalizer, "type") == "NFC";
  if (!spec.nfc && !normalizer.is_null()) return NotUnderstood("normalizer", normalizer);
  if (FlagOf(splitter, "add_prefix_space", true) || !FlagOf(splitter, "use_regex", true)) {
    return NotUnderstood("pre_tokenizer", splitter);
  }
  SLUICE_ASSIGN_OR_RETURN(AddedTokens added, ReadAddedTokens(file, spec.nfc));
  TokenList tokens;
  SLUICE_RETURN_IF_ERROR(tokens.AddVocabulary(Member(model, "vocab")));
  SLUICE_RETURN_IF_ERROR(ReadMerges(Member(model, "merges"), tokens, spec.merges));
  std::vector<std::pair<std::string, int32_t>> literal = added.special;
  literal.insert(literal.end(), added.plain.begin(), added.plain.end());
  for (const auto& [content, id] : literal) SLUICE_RETURN_IF_ERROR(tokens.Add(content, id));
  SLUICE_RETURN_IF_ERROR(tokens.CheckDense());
  spec.tokens = tokens.ById();
  std::vector<bool> is_literal(spec.tokens.size());
  for (const auto& [content, id] : literal) is_literal[static_cast<size_t>(id)] = true;
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    if (is_literal[id]) continue;
    SLUICE_ASSIGN_OR_RETURN(spec.tokens[id], ByteLevelBytes(spec.tokens[id]));
  }
  spec.added = std::move(added.plain);
  return MakeByteLevelBpe(std::move(spec), identity);
}

/// How a converted SentencePiece model treats spaces: whether one is put before the text.
Result<bool> ReadSpaceRule(const json& file) {
  const json mark = std::string(kSpaceMark);
  const json replace = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", mark}};
  const json prepend = {{"type", "Prepend"}, {"prepend", mark}};
  const json& normalizer = Member(file, "normalizer");
  const json& splitter = Member(file, "pre_tokenizer");
  if (splitter.is_null()) {
    if (normalizer == replace) return false;
    if (Member(normalizer, "normalizers") == json::array({prepend, replace})) return true;
    return NotUnderstood("normalizer", normalizer);
  }
  const bool is_metaspace = TextOf(splitter, "type") == "Metaspace" && Member(splitter, "replacement") == mark;
  const std::string scheme = TextOf(splitter, "prepend_scheme");
  if (!normalizer.is_null()) return NotUnderstood("normalizer", normalizer);
  if (!is_metaspace || FlagOf(splitter, "split", true) || (scheme != "first" && scheme != "never")) {
    return NotUnderstood("pre_tokenizer", splitter);
  }
  return scheme == "first";
}

Result<std::unique_ptr<Tokenizer>> ReadCharLevel(const json& file, const Sha256Digest& identity) {
  const json& model = Member(file, "model");
  CharBpeSpec spec;
  spec.kind = "char-bpe";
  spec.space = kSpaceMark;
  SLUICE_ASSIGN_OR_RETURN(spec.prefix, ReadSpaceRule(file));
  SLUICE_ASSIGN_OR_RETURN(const AddedTokens added, ReadAddedTokens(file, true));
  if (!added.plain.empty()) return NotUnderstood("added token", added.plain.front().first);
  TokenList tokens;
  SLUICE_RETURN_IF_ERROR(tokens.AddVocabulary(Member(model, "vocab")));
  for (const auto& [content, id] : added.special) SLUICE_RETURN_IF_ERROR(tokens.Add(content, id));
  SLUICE_RETURN_IF_ERROR(tokens.CheckDense());
  SLUICE_RETURN_IF_ERROR(ReadMerges(Member(model, "merges"), tokens, spec.merges));
  spec.pieces = tokens.ById();
  spec.control.assign(spec.pieces.size(), false);
  for (const auto& [content, id] : added.special) spec.control[static_cast<size_t>(id)] = true;
  SLUICE_ASSIGN_OR_RETURN(spec.byte_ids, FindBytePieces(spec.pieces));
  spec.bos = tokens.Find("<s>");
  spec.eos = tokens.Find("</s>");
  return MakeCharBpe(std::move(spec), identity);
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> ParseTokenizerJson(std::string_view text, const Sha256Digest& identity) {
  SLUICE_ASSIGN_OR_RETURN(const json file, ParseJson(text));
  const json& model = Member(file, "model");
  if (!model.is_object()) return Corrupt("tokenizer.json: no model");
  const std::string type = TextOf(model, "type");
  if (type != "BPE") return Unsupported(fmt::format("tokenizer.json: model type '{}'; BPE is supported", type));
  SLUICE_RETURN_IF_ERROR(CheckModel(model));
  if (TextOf(Member(file, "pre_tokenizer"), "type") == "ByteLevel") return ReadByteLevel(file, identity);
  if (FlagOf(model, "byte_fallback", false)) return ReadCharLevel(file, identity);
  return NotUnderstood("pre_tokenizer", Member(file, "pre_tokenizer"));
}

}  // namespace sluice
