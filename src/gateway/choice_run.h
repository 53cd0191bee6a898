#ifndef SLUICE_GATEWAY_CHOICE_RUN_H_
#define SLUICE_GATEWAY_CHOICE_RUN_H_

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "gateway/generation.h"
#include "gateway/token_text.h"

namespace sluice {

/// A token of an answer.
struct AnswerToken {
  int64_t id = 0;
  std::string text;  ///< what it added; the texts of all tokens are the answer's, but for what a stop string cut away
  double log_probability = 0;
  size_t offset = 0;  ///< of its text in the answer, in bytes
};

/// A part of an answer: what became known at once.
struct AnswerPart {
  std::string text;
  std::vector<AnswerToken> tokens;
  std::string finish_reason;  ///< "stop" or "length" in the last part, empty before
};

/// One answer from its prompt's tokens to text. Threads: one at a time.
class ChoiceRun {
 public:
  /// Begins. `go_on` and the tokenizer behind `text` outlive it.
  ChoiceRun(const ContinuePrompt& go_on, HeadRequest request, TokenText text, std::vector<std::string> stops);

  /// The next part, if there is one within `patience`. None may follow one with a finish_reason.
  /// Errors: what ended the generation.
  Result<std::optional<AnswerPart>> Next(std::chrono::milliseconds patience);
  /// Tokens that were generated.
  uint64_t tokens() const { return count_; }

 private:
  Result<std::optional<AnswerPart>> Take(const SampledToken& token);
  Result<std::optional<AnswerPart>> Finish(const HeadOutcome& outcome);
  AnswerPart Part(std::string shown, bool last);

  Generation generation_;
  TokenText text_;
  StopScanner scanner_;
  std::deque<AnswerToken> waiting_;  // tokens whose text has not been shown
  uint64_t count_ = 0;
  size_t made_ = 0;   // bytes of text, held back or not
  size_t shown_ = 0;  // bytes of it that were shown
};

}  // namespace sluice

#endif  // SLUICE_GATEWAY_CHOICE_RUN_H_
