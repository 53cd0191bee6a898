#include "cli/torch/local_model.h"

#include <fmt/format.h>

#include <algorithm>

#include "backbone/model_identity.h"
#include "base/clock.h"
#include "train/codec_training.h"
#include "wire/session_id.h"

namespace sluice {
namespace {

constexpr const char* kLink = "in-process";

}  // namespace

struct LocalModel::Session {
  std::unique_ptr<StageState> first, second;
  std::unique_ptr<TokenSampler> sampler;
  std::optional<LinkSender> sender;
  std::optional<LinkReceiver> receiver;
  bool log_probabilities = false;
  HeadOutcome outcome;
  Clock::time_point start = Clock::now();
};

Result<std::unique_ptr<LocalModel>> LocalModel::Load(const std::filesystem::path& model, const std::string& codec,
                                                     int64_t cut, WireMetrics& metrics) {
  std::unique_ptr<LocalModel> local(new LocalModel(metrics));
  int64_t end = -1;
  if (!codec.empty()) {
    SLUICE_ASSIGN_OR_RETURN(const BackboneConfig config, BackboneConfig::Load(model));
    SLUICE_ASSIGN_OR_RETURN(const Sha256Digest identity, ModelIdentity(model));
    if (cut >= 0 || !HasOwnCut(codec)) {
      SLUICE_ASSIGN_OR_RETURN(cut, ChooseCut(cut, config.layers));
    }
    const StageInfo place{.total = static_cast<uint32_t>(config.layers),
                          .width = static_cast<uint32_t>(config.width),
                          .context = static_cast<uint64_t>(config.context),
                          .model = identity};
    SLUICE_ASSIGN_OR_RETURN(local->codec_, OpenAnyLinkCodec(codec, place, cut));
    SLUICE_ASSIGN_OR_RETURN(end, ChooseCut(local->codec_->cut() >= 0 ? local->codec_->cut() : cut, config.layers));
    SLUICE_ASSIGN_OR_RETURN(local->second_, TorchStage::Load(model, {end, -1}));
    local->second_queue_ = std::make_unique<StageQueue>(*local->second_);
  }
  SLUICE_ASSIGN_OR_RETURN(local->first_, TorchStage::Load(model, {0, end}));
  local->first_queue_ = std::make_unique<StageQueue>(*local->first_);
  return local;
}

Status LocalModel::CheckRequest(const HeadRequest& request) const {
  const uint64_t context = first_->info().context;
  if (request.prompt.empty() || request.prompt.size() >= context) {
    return InvalidArgument(fmt::format("a prompt of {} tokens, expected 1 to {}", request.prompt.size(), context - 1));
  }
  const uint32_t longest = codec_ == nullptr ? UINT32_MAX : codec_->longest_chunk();
  if (request.chunk_tokens < 1 || request.chunk_tokens > longest) {
    return InvalidArgument(fmt::format("chunks of {} tokens, expected 1 to {}", request.chunk_tokens, longest));
  }
  return request.requirement.empty() || codec_ == nullptr ? OkStatus() : CheckRequirement(*codec_, request.requirement);
}

Result<LocalModel::Session> LocalModel::NewSession(const HeadRequest& request) {
  Session session;
  const uint64_t room = first_->info().context - request.prompt.size();
  const uint64_t positions = request.prompt.size() + std::min(request.max_new_tokens, room);
  SLUICE_ASSIGN_OR_RETURN(session.outcome.session, NewSessionId());
  SLUICE_ASSIGN_OR_RETURN(session.first, first_->NewState(positions));
  TorchStage& last = second_ == nullptr ? *first_ : *second_;
  SLUICE_ASSIGN_OR_RETURN(session.sampler, last.NewSampler(request.sampling));
  session.log_probabilities = request.log_probabilities;
  if (second_ == nullptr) return session;
  SLUICE_ASSIGN_OR_RETURN(session.second, second_->NewState(positions));
  SLUICE_ASSIGN_OR_RETURN(LinkSender sender, LinkSender::Make(*codec_));
  session.sender.emplace(std::move(sender));
  session.receiver.emplace(*codec_);
  return session;
}

Result<HeadOutcome> LocalModel::Continue(const HeadRequest& request,
                                         const std::function<bool(const SampledToken&)>& on_token) {
  SLUICE_RETURN_IF_ERROR(CheckRequest(request));
  SLUICE_ASSIGN_OR_RETURN(Session session, NewSession(request));
  metrics_.BeginSession();
  const Status status = Run(session, request, on_token);
  metrics_.EndSession();
  if (!status.ok()) metrics_.CountError(status.code());
  SLUICE_RETURN_IF_ERROR(status);
  session.outcome.seconds = SecondsSince(session.start);
  return std::move(session.outcome);
}

Status LocalModel::Run(Session& session, const HeadRequest& request,
                       const std::function<bool(const SampledToken&)>& on_token) {
  HeadOutcome& outcome = session.outcome;
  const size_t total = request.prompt.size();
  const uint64_t most = std::min<uint64_t>(request.max_new_tokens, first_->info().context - total);
  size_t sent = 0;  // tokens of the prompt
  std::vector<int64_t> tokens;
  while (true) {
    if (request.give_up && request.give_up()) return Interrupted("the session was stopped while it ran");
    if (request.deadline_seconds > 0 && SecondsSince(session.start) > request.deadline_seconds) {
      return TimedOut(fmt::format("{} s are over", request.deadline_seconds));
    }
    const Phase phase = sent < total ? Phase::kPrefill : Phase::kDecode;
    if (phase == Phase::kPrefill) {
      const auto begin = request.prompt.begin() + static_cast<std::ptrdiff_t>(sent);
      tokens.assign(begin, begin + static_cast<std::ptrdiff_t>(std::min<size_t>(request.chunk_tokens, total - sent)));
      sent += tokens.size();
    }
    SLUICE_ASSIGN_OR_RETURN(const std::optional<SampledToken> token, Step(session, tokens, phase, sent == total));
    if (!token) continue;
    if (outcome.tokens.empty()) outcome.first_token_seconds = SecondsSince(session.start);
    outcome.stopped = std::ranges::find(request.stop, token->id) != request.stop.end();
    if (outcome.stopped) return OkStatus();
    outcome.tokens.push_back(*token);
    outcome.cancelled = on_token && !on_token(*token);
    if (outcome.cancelled || outcome.tokens.size() >= most) return OkStatus();
    tokens.assign(1, token->id);
  }
}

Result<std::optional<SampledToken>> LocalModel::Step(Session& session, std::vector<int64_t> tokens, Phase phase,
                                                     bool sample) {
  StageJob job;
  job.state = session.first.get();
  job.tokens = std::move(tokens);
  const auto choose = [&](StageJob& last) {
    last.sampler = sample ? session.sampler.get() : nullptr;
    last.log_probability = session.log_probabilities;
  };
  if (second_ == nullptr) choose(job);
  SLUICE_ASSIGN_OR_RETURN(StageResult result, RunJob(*first_queue_, std::move(job), phase));
  if (second_ == nullptr) return result.token;
  StageJob behind;
  behind.state = session.second.get();
  SLUICE_ASSIGN_OR_RETURN(behind.hidden, Cross(session, result.hidden, phase));
  choose(behind);
  SLUICE_ASSIGN_OR_RETURN(result, RunJob(*second_queue_, std::move(behind), phase));
  return result.token;
}

Result<StageResult> LocalModel::RunJob(StageQueue& queue, StageJob job, Phase phase) {
  SLUICE_ASSIGN_OR_RETURN(StageResult result, queue.Submit(std::move(job)).get());
  metrics_.CountRun(phase, result.queue_seconds, result.compute_seconds);
  return result;
}

Result<Matrix<float>> LocalModel::Cross(Session& session, const Matrix<float>& hidden, Phase phase) {
  const auto start = Clock::now();
  SLUICE_ASSIGN_OR_RETURN(const LinkFrame frame, session.sender->Push(hidden.View()));
  const uint64_t raw = hidden.View().size() * sizeof(float);
  session.outcome.raw_bytes += raw;
  session.outcome.wire_bytes += frame.payload.size();
  metrics_.CountFrame(kLink, codec_->name(),
                      {phase, Direction::kSent, hidden.rows(), raw, frame.payload.size(), SecondsSince(start)});
  return session.receiver->Pull(frame);
}

}  // namespace sluice
