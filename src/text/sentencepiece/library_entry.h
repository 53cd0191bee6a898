#ifndef SLUICE_TEXT_SENTENCEPIECE_LIBRARY_ENTRY_H_
#define SLUICE_TEXT_SENTENCEPIECE_LIBRARY_ENTRY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "base/status.h"
#include "text/tokenizer.h"

// The two functions of libsluice_sentencepiece.so, as library_model.h describes them.
using SluiceParseSentencePieceFunction =
    void (*)(const std::string_view* model, const sluice::Sha256Digest* identity,
             std::optional<sluice::Result<std::unique_ptr<sluice::Tokenizer>>>* result);
using SluiceTrainSentencePieceFunction = void (*)(const std::string_view* text, int32_t vocab_size,
                                                  std::optional<sluice::Result<std::string>>* result);

extern "C" void SluiceParseSentencePiece(const std::string_view* model, const sluice::Sha256Digest* identity,
                                         std::optional<sluice::Result<std::unique_ptr<sluice::Tokenizer>>>* result);
extern "C" void SluiceTrainSentencePiece(const std::string_view* text, int32_t vocab_size,
                                         std::optional<sluice::Result<std::string>>* result);

#endif  // SLUICE_TEXT_SENTENCEPIECE_LIBRARY_ENTRY_H_
