#ifndef SLUICE_TEXT_CHAR_BPE_H_
#define SLUICE_TEXT_CHAR_BPE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/status.h"
#include "text/pair_table.h"
#include "text/tokenizer.h"

namespace sluice {

/// What defines a BPE over characters with bytes as the last resort: SentencePiece's scheme in other files.
struct CharBpeSpec {
  std::string_view kind;                ///< A literal.
  std::vector<std::string> pieces;      ///< Spelling of each id, spaces written as `space`.
  std::vector<bool> control;            ///< Per id: never in text, decodes to nothing.
  std::array<int32_t, 256> byte_ids{};  ///< Token of each byte.
  PairTable merges;                     ///< (left id, right id) -> rank, merged id.
  std::string_view space = " ";         ///< How pieces write a space; a literal.
  bool prefix = true;                   ///< A space is put before a text that is not empty, and taken off again.
  std::optional<int32_t> bos;
  std::optional<int32_t> eos;
};

/// Errors: Corrupt for pieces that are not valid UTF-8.
Result<std::unique_ptr<Tokenizer>> MakeCharBpe(CharBpeSpec spec, const Sha256Digest& identity);

/// Ids of the pieces <0x00> ... <0xFF>. Errors: Corrupt when one is missing.
Result<std::array<int32_t, 256>> FindBytePieces(const std::vector<std::string>& pieces);

}  // namespace sluice

#endif  // SLUICE_TEXT_CHAR_BPE_H_
