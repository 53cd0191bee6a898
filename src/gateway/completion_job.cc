#include "gateway/completion_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

namespace sluice {
namespace {

constexpr auto kPatience = std::chrono::milliseconds(50);
/// Tokens of the prompt that a completion is decoded behind: enough for whatever joins two pieces of text.
constexpr size_t kAnchorTokens = 8;

uint64_t RandomSeed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

std::vector<int32_t> Narrow(std::span<const int64_t> ids) { return {ids.begin(), ids.end()}; }

}  // namespace

Result<std::unique_ptr<CompletionJob>> CompletionJob::Make(const GatewayModel& model, const GatewayLimits& limits,
                                                           const ApiRequest& request) {
  std::unique_ptr<CompletionJob> job(new CompletionJob(model, request));
  SLUICE_RETURN_IF_ERROR(job->Encode());
  SLUICE_RETURN_IF_ERROR(job->CheckLengths(limits));
  job->session_seconds_ = limits.session_seconds;
  if (!job->request_.seed) job->request_.seed = RandomSeed();
  for (const auto& prompt : job->prompts_) job->usage_.prompt_tokens += prompt.size();
  return job;
}

Status CompletionJob::Encode() {
  if (request_.chat) {
    SLUICE_ASSIGN_OR_RETURN(auto ids, model_.encoder->Chat(request_.messages));
    prompts_.push_back(std::move(ids));
  }
  for (const ApiPrompt& prompt : request_.prompts) {
    if (const auto* text = std::get_if<std::string>(&prompt)) {
      Result<std::vector<int64_t>> ids = model_.encoder->Text(*text);
      SLUICE_RETURN_IF_ERROR(ids.status().WithContext("prompt"));
      prompts_.push_back(std::move(*ids));
      continue;
    }
    const auto& ids = std::get<std::vector<int64_t>>(prompt);
    const auto wrong = std::ranges::find_if(ids, [&](int64_t id) { return id < 0 || id >= model_.vocabulary; });
    if (wrong != ids.end()) {
      return InvalidArgument(fmt::format("prompt: token {} is not below {}", *wrong, model_.vocabulary));
    }
    prompts_.push_back(ids);
  }
  return OkStatus();
}

Status CompletionJob::CheckLengths(const GatewayLimits& limits) {
  const uint64_t most_new = limits.new_tokens == 0 ? model_.context : limits.new_tokens;
  const uint64_t most_prompt = limits.prompt_tokens == 0 ? model_.context : limits.prompt_tokens;
  if (request_.max_tokens.value_or(0) > most_new) {
    return InvalidArgument(fmt::format("max_tokens: {}, at most {} are generated", *request_.max_tokens, most_new));
  }
  const char* field = request_.chat ? "messages" : "prompt";
  uint64_t total = 0;
  for (const auto& prompt : prompts_) {
    total += prompt.size();
    if (prompt.empty()) return InvalidArgument(fmt::format("{}: is empty, expected at least one token", field));
    const uint64_t wanted = prompt.size() + request_.max_tokens.value_or(1);
    if (wanted > model_.context) {
      return InvalidArgument(fmt::format("{}: {} tokens and {} new ones are more than the context of {}", field,
                                         prompt.size(), wanted - prompt.size(), model_.context));
    }
  }
  if (total > most_prompt) {
    return InvalidArgument(fmt::format("{}: {} tokens, at most {} are taken", field, total, most_prompt));
  }
  new_tokens_ = most_new;
  return OkStatus();
}

Status CompletionJob::Begin() {
  const std::vector<int64_t>& prompt = prompts_[choice_];
  HeadRequest request;
  request.prompt = prompt;
  request.sampling = {.temperature = request_.temperature, .top_p = request_.top_p, .seed = *request_.seed};
  request.max_new_tokens = std::min(request_.max_tokens.value_or(new_tokens_), model_.context - prompt.size());
  request.stop = model_.stop_tokens;
  request.chunk_tokens = model_.chunk_tokens;
  request.log_probabilities = request_.log_probabilities;
  request.deadline_seconds = session_seconds_;
  request.requirement = model_.requirement;
  std::vector<std::string> stops = request_.stop;
  std::vector<int32_t> before;
  if (request_.chat) {
    for (const int64_t id : model_.encoder->chat_stop_tokens()) request.stop.push_back(id);
    for (std::string& stop : model_.encoder->chat_template()->stop_strings()) stops.push_back(std::move(stop));
  } else {
    before = Narrow(std::span(prompt).last(std::min(prompt.size(), kAnchorTokens)));
  }
  SLUICE_ASSIGN_OR_RETURN(TokenText text, TokenText::After(*model_.tokenizer, std::move(before)));
  run_ = std::make_unique<ChoiceRun>(model_.go_on, std::move(request), std::move(text), std::move(stops));
  return OkStatus();
}

Result<std::string> CompletionJob::EchoText() const {
  if (const auto* text = std::get_if<std::string>(&request_.prompts[choice_])) return *text;
  return model_.tokenizer->Decode(Narrow(prompts_[choice_]));
}

Result<std::optional<CompletionJob::Part>> CompletionJob::Next(const std::function<bool()>& client_there) {
  while (choice_ < prompts_.size()) {
    if (run_ == nullptr) {
      SLUICE_RETURN_IF_ERROR(Begin());
      if (!request_.echo) continue;
      SLUICE_ASSIGN_OR_RETURN(std::string text, EchoText());
      return std::optional<Part>(Part{choice_, {std::move(text), {}, ""}});
    }
    if (!client_there()) return Interrupted("the client has gone");
    const uint64_t before = run_->tokens();
    SLUICE_ASSIGN_OR_RETURN(std::optional<AnswerPart> part, run_->Next(kPatience));
    usage_.completion_tokens += run_->tokens() - before;
    if (!part) continue;
    Part next{choice_, std::move(*part)};
    if (!next.part.finish_reason.empty()) {
      run_.reset();
      ++choice_;
    }
    return std::optional<Part>(std::move(next));
  }
  return std::optional<Part>();
}

}  // namespace sluice
