#ifndef SLUICE_TEXT_SENTENCEPIECE_LIBRARY_MODEL_H_
#define SLUICE_TEXT_SENTENCEPIECE_LIBRARY_MODEL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "base/status.h"
#include "text/tokenizer.h"

namespace sluice {

/// ParseSentencePieceModel, inside the shared part that holds libsentencepiece.
Result<std::unique_ptr<Tokenizer>> ParseWithLibrary(std::string_view model, const Sha256Digest& identity);

/// Trains a model and returns its bytes; TrainSentencePiece has checked the text and the size.
Result<std::string> TrainWithLibrary(std::string_view text, int32_t vocab_size);

}  // namespace sluice

#endif  // SLUICE_TEXT_SENTENCEPIECE_LIBRARY_MODEL_H_
