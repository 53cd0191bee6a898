// The library's defaults suit translation: lines are sentences, spaces are squeezed, text is normalized. A language
// model wants its text back unchanged, so all of that is off, and the text goes in as it is, newlines included, in
// stretches that end with a newline and before a line that is not empty: no learned piece can begin with what follows.
// Rare characters may go without a piece of their own; they are spelled in bytes.
#include <fmt/format.h>
#include <sentencepiece_trainer.h>

#include <string>
#include <unordered_map>

#include "text/sentencepiece/library_model.h"

namespace sluice {
namespace {

constexpr size_t kStretchBytes = size_t{1} << 16;

/// Hands a text to the library stretch by stretch.
class TextStretches final : public sentencepiece::SentenceIterator {
 public:
  explicit TextStretches(std::string_view text) : rest_(text) { Next(); }

  bool done() const override { return stretch_.empty(); }
  void Next() override {
    const size_t size = StretchSize();
    stretch_ = rest_.substr(0, size);
    rest_.remove_prefix(size);
  }
  const std::string& value() const override { return stretch_; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  size_t StretchSize() const {
    size_t at = kStretchBytes;
    while (true) {
      at = rest_.find('\n', at);
      if (at == std::string_view::npos || at + 1 >= rest_.size()) return rest_.size();
      if (rest_[++at] != '\n') return at;
    }
  }

  std::string_view rest_;
  std::string stretch_;
};

}  // namespace

Result<std::string> TrainWithLibrary(std::string_view text, int32_t vocab_size) {
  const std::unordered_map<std::string, std::string> settings = {
      {"model_type", "bpe"},
      {"vocab_size", std::to_string(vocab_size)},
      {"character_coverage", "0.9999"},
      {"byte_fallback", "true"},
      {"normalization_rule_name", "identity"},
      {"remove_extra_whitespaces", "false"},
      {"add_dummy_prefix", "false"},
      {"split_digits", "false"},
      {"unk_id", "0"},
      {"bos_id", "1"},
      {"eos_id", "2"},
      {"max_sentence_length", std::to_string(text.size() + 1)},
      {"num_threads", "1"},
      {"minloglevel", "3"},
  };
  std::string serialized;
  try {
    TextStretches stretches(text);
    const auto status = sentencepiece::SentencePieceTrainer::Train(settings, &stretches, &serialized);
    if (!status.ok()) {
      return InvalidArgument(fmt::format("training a tokenizer of {} tokens on {} bytes: {}", vocab_size, text.size(),
                                         status.error_message()));
    }
  } catch (const std::exception& error) {
    return Internal(fmt::format("training a tokenizer: {}", error.what()));
  }
  return serialized;
}

}  // namespace sluice
