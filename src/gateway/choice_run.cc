#include "gateway/choice_run.h"

namespace sluice {

ChoiceRun::ChoiceRun(const ContinuePrompt& go_on, HeadRequest request, TokenText text, std::vector<std::string> stops)
    : generation_(go_on, std::move(request)), text_(std::move(text)), scanner_(std::move(stops)) {}

Result<std::optional<AnswerPart>> ChoiceRun::Next(std::chrono::milliseconds patience) {
  if (const auto token = generation_.Next(patience)) return Take(*token);
  const Result<HeadOutcome>* outcome = generation_.outcome();
  if (outcome == nullptr) return std::optional<AnswerPart>();
  SLUICE_RETURN_IF_ERROR(outcome->status());
  return Finish(**outcome);
}

Result<std::optional<AnswerPart>> ChoiceRun::Take(const SampledToken& token) {
  ++count_;
  SLUICE_ASSIGN_OR_RETURN(std::string added, text_.Add(token.id));
  waiting_.push_back({token.id, added, token.log_probability, made_});
  made_ += added.size();
  std::string shown = scanner_.Add(added);
  if (scanner_.stopped()) {
    generation_.Cancel();
    AnswerPart part = Part(std::move(shown), false);
    part.finish_reason = "stop";
    return std::optional<AnswerPart>(std::move(part));
  }
  if (shown.empty()) return std::optional<AnswerPart>();
  return std::optional<AnswerPart>(Part(std::move(shown), false));
}

Result<std::optional<AnswerPart>> ChoiceRun::Finish(const HeadOutcome& outcome) {
  SLUICE_ASSIGN_OR_RETURN(const std::string rest, text_.Flush());
  std::string shown = scanner_.Add(rest);
  const bool stopped = scanner_.stopped();
  shown += scanner_.Flush();
  if (!waiting_.empty()) waiting_.back().text += rest;
  AnswerPart part = Part(std::move(shown), !stopped);
  part.finish_reason = stopped || outcome.stopped ? "stop" : "length";
  return std::optional<AnswerPart>(std::move(part));
}

AnswerPart ChoiceRun::Part(std::string shown, bool last) {
  shown_ += shown.size();
  AnswerPart part{std::move(shown), {}, ""};
  while (!waiting_.empty() && (last || waiting_.front().offset < shown_)) {
    part.tokens.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return part;
}

}  // namespace sluice
