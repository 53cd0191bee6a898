#ifndef SLUICE_TEXT_LLAMA2C_VOCAB_H_
#define SLUICE_TEXT_LLAMA2C_VOCAB_H_

#include <cstdint>
#include <memory>
#include <span>

#include "base/hash.h"
#include "base/status.h"
#include "text/tokenizer.h"

namespace sluice {

/// Reads llama2.c's tokenizer file.
/// Data: int32 length of the longest piece; then for each id float32 score, int32 length, the piece. Ids 0, 1, 2 are
/// <unk>, BOS and EOS; the 256 pieces <0x00> ... <0xFF> stand for bytes; the end of the file ends the vocabulary.
/// Errors: Truncated when the file ends inside a piece; Corrupt for lengths out of range, duplicates, scores that are
/// not numbers, and missing byte pieces; each with the id and the offset.
Result<std::unique_ptr<Tokenizer>> ParseLlama2cVocab(std::span<const uint8_t> file, const Sha256Digest& identity);

}  // namespace sluice

#endif  // SLUICE_TEXT_LLAMA2C_VOCAB_H_
