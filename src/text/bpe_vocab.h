#ifndef SLUICE_TEXT_BPE_VOCAB_H_
#define SLUICE_TEXT_BPE_VOCAB_H_

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "text/pair_table.h"

namespace sluice {

/// Largest tokenizer file that is read, in bytes.
inline constexpr uint64_t kMaxTokenizerFileBytes = uint64_t{64} << 20;
/// Largest vocabulary and longest token, in bytes, that is accepted.
inline constexpr size_t kMaxVocabulary = size_t{1} << 22;
inline constexpr size_t kMaxTokenBytes = 4096;

/// Parses JSON. Errors: Truncated when the text ends inside a value, Corrupt for anything else that is not JSON and for
/// values too deep inside of each other, all with the byte offset.
Result<nlohmann::json> ParseJson(std::string_view text);

/// Tokens by id and ids by token, both ways exact.
class TokenList {
 public:
  /// Adds the entries of a JSON object {token: id}. Errors: Corrupt for what is no object, an id that is no integer or
  /// negative or already taken, and limits exceeded.
  Status AddVocabulary(const nlohmann::json& object);
  /// Adds one token; adding the same pair again changes nothing. Errors: Corrupt when the id or the token is taken.
  Status Add(std::string_view token, int64_t id);
  /// Errors: Corrupt unless the ids are exactly 0 .. size - 1.
  Status CheckDense() const;

  std::optional<int32_t> Find(std::string_view token) const;
  /// The tokens in the order of their ids. Needs: CheckDense.
  std::vector<std::string> ById() const;
  size_t size() const { return ids_.size(); }

 private:
  std::unordered_map<std::string, int32_t> ids_;
  std::unordered_map<int32_t, const std::string*> tokens_;
};

/// Adds the merge of `left` and `right` with rank merges.size().
/// Errors: Corrupt when one of the two, or both joined, is not in the vocabulary, or the merge is a duplicate.
Status AddMerge(const TokenList& vocabulary, std::string_view left, std::string_view right, PairTable& merges);

}  // namespace sluice

#endif  // SLUICE_TEXT_BPE_VOCAB_H_
