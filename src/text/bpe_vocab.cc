// What the file formats of byte-pair encodings share: a table of tokens whose ids must be exactly 0 .. n - 1, so that a
// file of a few bytes can never ask for a table of millions of rows, and merges whose parts and product must exist.
#include "text/bpe_vocab.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/json_depth.h"

namespace sluice {

Result<nlohmann::json> ParseJson(std::string_view text) {
  SLUICE_RETURN_IF_ERROR(CheckJsonDepth(text));
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    const std::string where = fmt::format("JSON at byte {} of {}: {}", error.byte, text.size(), error.what());
    return error.byte > text.size() ? Truncated(where) : Corrupt(where);
  } catch (const std::exception& error) {
    return Corrupt(std::string("JSON: ") + error.what());
  }
}

Status TokenList::AddVocabulary(const nlohmann::json& object) {
  if (!object.is_object()) return Corrupt("the vocabulary is not a JSON object of token: id");
  if (object.size() > kMaxVocabulary) {
    return Corrupt(fmt::format("{} tokens, the limit is {}", object.size(), kMaxVocabulary));
  }
  ids_.reserve(object.size());
  tokens_.reserve(object.size());
  for (const auto& [token, id] : object.items()) {
    if (!id.is_number_integer()) return Corrupt(fmt::format("token '{}': its id is not an integer", token));
    SLUICE_RETURN_IF_ERROR(Add(token, id.get<int64_t>()));
  }
  return OkStatus();
}

Status TokenList::Add(std::string_view token, int64_t id) {
  if (token.size() > kMaxTokenBytes) {
    return Corrupt(fmt::format("token id {}: {} bytes, the limit is {}", id, token.size(), kMaxTokenBytes));
  }
  if (id < 0 || id >= static_cast<int64_t>(kMaxVocabulary)) {
    return Corrupt(fmt::format("token '{}': id {} is outside 0 .. {}", token, id, kMaxVocabulary - 1));
  }
  const auto [entry, is_new] = ids_.emplace(token, static_cast<int32_t>(id));
  if (!is_new) {
    if (entry->second == id) return OkStatus();
    return Corrupt(fmt::format("token '{}' has the ids {} and {}", token, entry->second, id));
  }
  const auto [owner, is_free] = tokens_.emplace(static_cast<int32_t>(id), &entry->first);
  if (!is_free) return Corrupt(fmt::format("id {} belongs to '{}' and to '{}'", id, *owner->second, token));
  return OkStatus();
}

Status TokenList::CheckDense() const {
  if (ids_.empty()) return Corrupt("the vocabulary is empty");
  for (size_t id = 0; id < ids_.size(); ++id) {
    if (!tokens_.contains(static_cast<int32_t>(id))) {
      return Corrupt(fmt::format("id {} is missing; {} tokens must have the ids 0 .. {}", id, size(), size() - 1));
    }
  }
  return OkStatus();
}

std::optional<int32_t> TokenList::Find(std::string_view token) const {
  const auto entry = ids_.find(std::string(token));
  return entry == ids_.end() ? std::nullopt : std::optional(entry->second);
}

std::vector<std::string> TokenList::ById() const {
  std::vector<std::string> tokens(size());
  for (const auto& [id, token] : tokens_) tokens[static_cast<size_t>(id)] = *token;
  return tokens;
}

Status AddMerge(const TokenList& vocabulary, std::string_view left, std::string_view right, PairTable& merges) {
  const std::string joined = std::string(left) + std::string(right);
  const std::optional<int32_t> left_id = vocabulary.Find(left);
  const std::optional<int32_t> right_id = vocabulary.Find(right);
  const std::optional<int32_t> joined_id = vocabulary.Find(joined);
  const size_t rank = merges.size();
  if (!left_id || !right_id || !joined_id) {
    const std::string_view missing = !left_id ? left : !right_id ? right : std::string_view(joined);
    return Corrupt(fmt::format("merge {}: '{}' is not in the vocabulary", rank, missing));
  }
  const bool is_new = merges.Insert(static_cast<uint32_t>(*left_id), static_cast<uint32_t>(*right_id),
                                    {static_cast<uint32_t>(rank), *joined_id});
  if (!is_new) return Corrupt(fmt::format("merge {}: '{}' + '{}' is there twice", rank, left, right));
  return OkStatus();
}

}  // namespace sluice
