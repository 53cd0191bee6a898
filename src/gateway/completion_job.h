#ifndef SLUICE_GATEWAY_COMPLETION_JOB_H_
#define SLUICE_GATEWAY_COMPLETION_JOB_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/api_answer.h"
#include "gateway/api_request.h"
#include "gateway/choice_run.h"
#include "gateway/prompt_encoder.h"

namespace sluice {

/// The model behind a gateway. Everything it points to outlives the gateway.
struct GatewayModel {
  std::string name;
  const Tokenizer* tokenizer = nullptr;
  const PromptEncoder* encoder = nullptr;
  uint64_t context = 0;  ///< most positions of a sequence
  int64_t vocabulary = 0;
  std::vector<int64_t> stop_tokens;
  uint32_t chunk_tokens = 64;
  std::string requirement = {};  ///< of the codec's certificate
  ContinuePrompt go_on;
};

struct GatewayLimits {
  size_t body_bytes = 1 << 20;
  uint64_t prompt_tokens = 0;  ///< of all prompts of a request; 0: the context
  uint64_t new_tokens = 0;     ///< of one answer; 0: the context
  double session_seconds = 600;
};

/// A request from its prompts to the parts of its answers, one prompt after the other. Threads: one at a time.
class CompletionJob {
 public:
  struct Part {
    size_t choice = 0;
    AnswerPart part;
  };

  /// Encodes the prompts and checks them against the context and the limits. `model` outlives the job.
  /// Errors: those of PromptEncoder, as "prompt: ..." or "messages: ..."; InvalidArgument beyond a limit, naming the
  /// field.
  static Result<std::unique_ptr<CompletionJob>> Make(const GatewayModel& model, const GatewayLimits& limits,
                                                     const ApiRequest& request);

  /// The next part of the next answer that is not complete; none when all are. Waits as long as `client_there` says so.
  /// Errors: Interrupted when the client has gone; what ended a generation.
  Result<std::optional<Part>> Next(const std::function<bool()>& client_there);
  const Usage& usage() const { return usage_; }
  size_t choices() const { return prompts_.size(); }

 private:
  CompletionJob(const GatewayModel& model, ApiRequest request) : model_(model), request_(std::move(request)) {}
  Status Encode();
  Status CheckLengths(const GatewayLimits& limits);
  Status Begin();
  Result<std::string> EchoText() const;

  const GatewayModel& model_;
  ApiRequest request_;
  std::vector<std::vector<int64_t>> prompts_;
  double session_seconds_ = 0;
  uint64_t new_tokens_ = 0;
  std::unique_ptr<ChoiceRun> run_;  // of the current choice
  size_t choice_ = 0;
  Usage usage_;
};

}  // namespace sluice

#endif  // SLUICE_GATEWAY_COMPLETION_JOB_H_
