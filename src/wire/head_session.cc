// The prompt goes out in chunks. While the node's one thread computes a chunk, another encodes the chunk before, and
// the link's own thread has those before it on the wire. Then one token at a time goes around the chain: there is
// nothing to overlap, since the next one is not known.
#include "wire/head_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>

#include "base/clock.h"
#include "wire/session_id.h"

namespace sluice {

struct Head::Session {
  std::unique_ptr<StageState> state;
  std::optional<LinkSender> sender;
  std::unique_ptr<ReplayLink> link;
  std::string bypass;
  uint64_t last = 0;  // sequence number of the last frame
  HeadOutcome outcome;
  Clock::time_point start = Clock::now();
};

Status Head::CheckRequest(const HeadRequest& request) const {
  const StageInfo& info = runner_.info();
  if (request.prompt.empty()) return InvalidArgument("the prompt is empty; generation needs at least one token");
  if (request.prompt.size() >= info.context) {
    return InvalidArgument(fmt::format("the prompt has {} tokens; with a context of {} none can follow",
                                       request.prompt.size(), info.context));
  }
  if (request.max_new_tokens == 0) return InvalidArgument("max_new_tokens is 0, expected at least 1");
  if (request.chunk_tokens < 1 || request.chunk_tokens > codec_.longest_chunk()) {
    return InvalidArgument(fmt::format("chunks of {} tokens, codec {} takes 1 to {}", request.chunk_tokens,
                                       codec_.name(), codec_.longest_chunk()));
  }
  if (request.stop.size() > kMaxStopTokens) {
    return InvalidArgument(fmt::format("{} stop tokens, at most {} are sent", request.stop.size(), kMaxStopTokens));
  }
  return CheckRequirement(codec_, request.requirement);
}

Result<wire::Hello> Head::HelloFor(const HeadRequest& request) const {
  SessionWish wish;
  SLUICE_ASSIGN_OR_RETURN(wish.session, NewSessionId());
  const uint64_t room = runner_.info().context - request.prompt.size();
  wish.positions = request.prompt.size() + std::min(request.max_new_tokens, room);
  wish.chunk_tokens = static_cast<uint32_t>(std::min<uint64_t>(request.chunk_tokens, request.prompt.size()));
  wish.sampling = request.sampling;
  wish.stop = request.stop;
  wish.log_probabilities = request.log_probabilities;
  wish.requirement = request.requirement;
  return MakeHello(wish, runner_.info(), codec_);
}

Result<HeadOutcome> Head::Generate(const HeadRequest& request,
                                   const std::function<bool(const SampledToken&)>& on_token) {
  SLUICE_RETURN_IF_ERROR(CheckRequest(request));
  SLUICE_ASSIGN_OR_RETURN(wire::Hello hello, HelloFor(request));
  Session session;
  SLUICE_ASSIGN_OR_RETURN(session.state, runner_.NewState(hello.positions()));
  SLUICE_ASSIGN_OR_RETURN(LinkSender sender, LinkSender::Make(codec_));
  session.sender.emplace(std::move(sender));
  session.outcome.session = hello.session();
  session.bypass = request.bypass;
  log_.Event(LogLevel::kInfo, "session_begins",
             {{"session", hello.session()}, {"prompt_tokens", request.prompt.size()}, {"link", peer_.target()}});
  const ReplayOptions options{patience_, retry_seconds_, request.deadline_seconds, request.give_up};
  session.link = std::make_unique<ReplayLink>(peer_, std::move(hello), options, metrics_, log_, watchdog_);
  metrics_.BeginSession();
  Status status = Prefill(session, request);
  if (status.ok()) status = Decode(session, request, on_token);
  if (status.ok()) {
    // The tokens are here; a fault while the stream is closed takes nothing away.
    const Status closed = session.outcome.cancelled ? OkStatus() : session.link->Close();
    if (!closed.ok()) log_.Event(LogLevel::kWarning, "close_failed", {{"error", closed.ToString()}});
  }
  session.outcome.resumes = session.link->resumes();
  session.outcome.wire_bytes = session.link->wire_bytes();
  session.outcome.seconds = SecondsSince(session.start);
  session.link.reset();
  metrics_.EndSession();
  log_.Event(status.ok() ? LogLevel::kInfo : LogLevel::kError, "session_ends",
             {{"session", session.outcome.session},
              {"tokens", session.outcome.tokens.size()},
              {"resumes", session.outcome.resumes},
              {"status", status.ToString()}});
  SLUICE_RETURN_IF_ERROR(status);
  return std::move(session.outcome);
}

Result<Matrix<float>> Head::Compute(Session& session, std::vector<int64_t> tokens, Phase phase) {
  StageJob job;
  job.state = session.state.get();
  job.tokens = std::move(tokens);
  SLUICE_ASSIGN_OR_RETURN(StageResult result, queue_.Submit(std::move(job)).get());
  metrics_.CountRun(phase, result.queue_seconds, result.compute_seconds);
  return std::move(result.hidden);
}

Status Head::Send(Session& session, const Matrix<float>& hidden, Phase phase, bool sample) {
  const auto start = Clock::now();
  SLUICE_ASSIGN_OR_RETURN(LinkFrame frame, session.sender->Push(hidden.View()));
  const uint64_t raw = hidden.View().size() * sizeof(float);
  if (frame.stored) metrics_.CountBypass(peer_.target(), "values");
  if (!frame.stored && !session.bypass.empty()) metrics_.CountBypass(peer_.target(), session.bypass);
  metrics_.CountFrame(peer_.target(), codec_.name(),
                      {phase, Direction::kSent, hidden.rows(), raw, frame.payload.size(), SecondsSince(start)});
  session.outcome.raw_bytes += raw;
  session.last = session.link->Push(std::move(frame), phase, sample);
  return OkStatus();
}

Status Head::Prefill(Session& session, const HeadRequest& request) {
  std::future<Status> sending;
  const auto wait = [&] { return sending.valid() ? sending.get() : OkStatus(); };
  const size_t total = request.prompt.size();
  for (size_t begin = 0; begin < total;) {
    // What ends the session, its deadline above all, ends the work on a long prompt too.
    Status ended = session.link->ended();
    if (ended.ok() && request.give_up && request.give_up()) {
      ended = Interrupted("the session was stopped while its prompt was sent");
    }
    if (!ended.ok()) {
      (void)wait();
      return ended;
    }
    const size_t end = std::min<size_t>(total, begin + request.chunk_tokens);
    const auto at = [&](size_t i) { return request.prompt.begin() + static_cast<std::ptrdiff_t>(i); };
    Result<Matrix<float>> hidden = Compute(session, {at(begin), at(end)}, Phase::kPrefill);
    SLUICE_RETURN_IF_ERROR(wait());
    SLUICE_RETURN_IF_ERROR(hidden.status());
    const bool last = end == total;
    // Where no thread can be had, the frame is sent when it is waited for.
    sending = std::async(
        std::launch::async | std::launch::deferred,
        [this, &session, last, values = std::move(*hidden)] { return Send(session, values, Phase::kPrefill, last); });
    // The first answer tells whether there is any use in going on.
    if (begin == 0) {
      const auto welcome = session.link->WaitWelcome();
      if (!welcome.ok()) {
        (void)wait();
        return welcome.status();
      }
      for (const wire::Stage& node : welcome->stages()) {
        session.outcome.stages.push_back({node.node(), node.layers().begin(), node.layers().end(), node.codec()});
      }
    }
    begin = end;
  }
  return wait();
}

Status Head::Decode(Session& session, const HeadRequest& request,
                    const std::function<bool(const SampledToken&)>& on_token) {
  HeadOutcome& outcome = session.outcome;
  const uint64_t most = std::min<uint64_t>(request.max_new_tokens, runner_.info().context - request.prompt.size());
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const wire::Ack ack, session.link->WaitAck(session.last));
    if (outcome.tokens.empty()) outcome.first_token_seconds = SecondsSince(session.start);
    outcome.stopped = ack.stop();
    if (ack.stop()) return OkStatus();
    const SampledToken token{ack.token(), ack.log_probability()};
    outcome.tokens.push_back(token);
    outcome.cancelled = on_token && !on_token(token);
    if (outcome.cancelled || outcome.tokens.size() >= most) return OkStatus();
    SLUICE_ASSIGN_OR_RETURN(const Matrix<float> hidden, Compute(session, {token.id}, Phase::kDecode));
    SLUICE_RETURN_IF_ERROR(Send(session, hidden, Phase::kDecode, true));
  }
}

}  // namespace sluice
