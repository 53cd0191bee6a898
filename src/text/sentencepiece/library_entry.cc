// What the shared part exports. Plain C names, because they are looked up at run time; C++ types, because both sides
// are compiled from one tree.
#include "text/sentencepiece/library_entry.h"

#include "text/sentencepiece/library_model.h"

extern "C" __attribute__((visibility("default"))) void SluiceParseSentencePiece(
    const std::string_view* model, const sluice::Sha256Digest* identity,
    std::optional<sluice::Result<std::unique_ptr<sluice::Tokenizer>>>* result) {
  result->emplace(sluice::ParseWithLibrary(*model, *identity));
}

extern "C" __attribute__((visibility("default"))) void SluiceTrainSentencePiece(
    const std::string_view* text, int32_t vocab_size, std::optional<sluice::Result<std::string>>* result) {
  result->emplace(sluice::TrainWithLibrary(*text, vocab_size));
}
