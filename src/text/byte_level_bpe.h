#ifndef SLUICE_TEXT_BYTE_LEVEL_BPE_H_
#define SLUICE_TEXT_BYTE_LEVEL_BPE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/status.h"
#include "text/bpe_vocab.h"
#include "text/pair_table.h"
#include "text/tokenizer.h"

namespace sluice {

/// What defines a byte-level BPE tokenizer.
struct ByteLevelSpec {
  std::vector<std::string> tokens;  ///< Bytes of each id.
  PairTable merges;                 ///< (left id, right id) -> rank, merged id.
  /// Tokens cut out of the (normalized) text before anything else, the longest of those that begin at a place.
  std::vector<std::pair<std::string, int32_t>> added;
  bool nfc = false;  ///< Text is brought to Unicode normalization form C first.
};

/// Builds the tokenizer. Errors: Corrupt when a byte that occurs in UTF-8 has no token of its own.
Result<std::unique_ptr<Tokenizer>> MakeByteLevelBpe(ByteLevelSpec spec, const Sha256Digest& identity);

/// The bytes that a token of the vocabulary spells in GPT-2's printable alphabet.
/// Errors: Corrupt for a character outside of the alphabet.
Result<std::string> ByteLevelBytes(std::string_view token);

/// Reads GPT-2's pair of files. Errors: Truncated or Corrupt with the place.
Result<std::unique_ptr<Tokenizer>> ParseGpt2Files(std::string_view vocab_json, std::string_view merges_txt,
                                                  const Sha256Digest& identity);

}  // namespace sluice

#endif  // SLUICE_TEXT_BYTE_LEVEL_BPE_H_
