#include "text/sentencepiece_train.h"

#include <fmt/format.h>

#include "base/file.h"
#include "text/sentencepiece/library_entry.h"
#include "text/sentencepiece_model.h"
#include "text/utf8.h"

namespace sluice {
namespace {

constexpr int32_t kMinVocabulary = 3 + 256 + 1;
constexpr int32_t kMaxTrainedVocabulary = 1 << 20;

}  // namespace

Status TrainSentencePiece(std::string_view text, int32_t vocab_size, const std::filesystem::path& model) {
  SLUICE_RETURN_IF_ERROR(ValidateUtf8(text));
  if (text.empty() || text.size() > kMaxTextBytes) {
    return InvalidArgument(
        fmt::format("{} bytes to train a tokenizer on, expected 1 to {}", text.size(), kMaxTextBytes));
  }
  if (vocab_size < kMinVocabulary || vocab_size > kMaxTrainedVocabulary) {
    return InvalidArgument(
        fmt::format("vocabulary of {} tokens, expected {} to {}", vocab_size, kMinVocabulary, kMaxTrainedVocabulary));
  }
  SLUICE_ASSIGN_OR_RETURN(void* train, FindInSentencePiecePart("SluiceTrainSentencePiece"));
  std::optional<Result<std::string>> serialized;
  reinterpret_cast<SluiceTrainSentencePieceFunction>(train)(&text, vocab_size, &serialized);
  if (!serialized->ok()) return serialized->status();
  return WriteFileAtomic(model, **serialized);
}

Status TrainSentencePiece(std::span<const std::filesystem::path> files, int32_t vocab_size,
                          const std::filesystem::path& model, const CorpusOptions& options) {
  SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadText(files, options));
  return TrainSentencePiece(text, vocab_size, model);
}

}  // namespace sluice
