#ifndef SLUICE_TEXT_SENTENCEPIECE_MODEL_H_
#define SLUICE_TEXT_SENTENCEPIECE_MODEL_H_

#include <memory>
#include <string_view>

#include "base/hash.h"
#include "base/status.h"
#include "text/tokenizer.h"

namespace sluice {

/// Reads a SentencePiece model (tokenizer.model) with libsentencepiece.
/// Errors: Truncated when the file ends inside a field; Corrupt for what the library or the checks before it refuse.
/// Cost: BPE models that do not normalize take a piece-wise path of tens of MB/s; any other model the library's own
/// speed on the whole text.
Result<std::unique_ptr<Tokenizer>> ParseSentencePieceModel(std::string_view model, const Sha256Digest& identity);

/// A function of the shared part that holds libsentencepiece. Errors: Unsupported when the part is not installed.
Result<void*> FindInSentencePiecePart(const char* symbol);

}  // namespace sluice

#endif  // SLUICE_TEXT_SENTENCEPIECE_MODEL_H_
