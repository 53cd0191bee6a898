#ifndef SLUICE_TEXT_TOKENIZER_JSON_H_
#define SLUICE_TEXT_TOKENIZER_JSON_H_

#include <memory>
#include <string_view>

#include "base/hash.h"
#include "base/status.h"
#include "text/tokenizer.h"

namespace sluice {

/// Reads Hugging Face's tokenizer.json, as far as it describes byte-level BPE with GPT-2's regular expression (with or
/// without normalization form C and added tokens) or BPE over characters with byte fallback, as converted SentencePiece
/// models have it. Special tokens are plain text; added tokens that are not special are recognised.
/// Errors: Truncated or Corrupt for damaged files, with the place; Unsupported for every setting that is not
/// understood, by name, because ignoring one would give other ids.
Result<std::unique_ptr<Tokenizer>> ParseTokenizerJson(std::string_view text, const Sha256Digest& identity);

}  // namespace sluice

#endif  // SLUICE_TEXT_TOKENIZER_JSON_H_
