// gRPC's blocking streams have one drawback: a thread that waits for the peer's next message cannot be told that the
// session has failed elsewhere, except by cancelling the stream, which loses the reason. So a failure travels as a last
// reply, and the stream is cancelled a moment later, when the peer has had its chance to read it.
#include "wire/served_session.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/clock.h"
#include "base/thread.h"
#include "wire/handshake.h"
#include "wire/wire_status.h"

namespace sluice {
namespace {

/// For the peer to read why a session failed and to hang up by itself.
constexpr double kFarewellSeconds = 1;
constexpr size_t kLoggedId = 64;  // of a session that was refused, whatever it calls itself

uint64_t Microseconds(double seconds) { return static_cast<uint64_t>(std::max(0.0, seconds) * 1e6); }

/// The most that a session can make the node hold: keys and values, and the decoded frames of its window, which wait to
/// be computed and may leave as many.
uint64_t MemoryOf(const wire::Hello& hello, const StageInfo& info, const WireLimits& limits) {
  const uint64_t waiting = std::min<uint64_t>(hello.positions(), uint64_t{limits.window} * hello.chunk_tokens());
  return hello.positions() * info.bytes_per_position + 2 * waiting * info.width * sizeof(float);
}

Phase PhaseOf(bool prompt) { return prompt ? Phase::kPrefill : Phase::kDecode; }

}  // namespace

Status CheckCaller(const NodeParts& node, const grpc::ServerContext& context) {
  if (node.token.empty()) return OkStatus();
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find("authorization");
  const std::string_view header =
      found == metadata.end() ? "" : std::string_view(found->second.data(), found->second.size());
  constexpr std::string_view kBearer = "Bearer ";
  const bool sound = header.starts_with(kBearer) && SameToken(node.token, header.substr(kBearer.size()));
  if (sound) return OkStatus();
  node.log->Event(LogLevel::kWarning, "denied", {{"peer", context.peer()}});
  return Denied(header.empty() ? "this node asks for a token (--token-file or SLUICE_TOKEN), none was shown"
                               : "the token that was shown is not this node's");
}

ServedSession::~ServedSession() {
  state_.reset();
  place_.reset();
}

Status ServedSession::Run() {
  SLUICE_RETURN_IF_ERROR(CheckCaller(node_, context_));
  Status status;
  {
    const auto slow = node_.watchdog->After(node_.limits.handshake_seconds, [this] { context_.TryCancel(); });
    Result<wire::Hello> hello = ReadHello();
    SLUICE_RETURN_IF_ERROR(hello.status());
    hello_ = std::move(*hello);
  }
  status = Begin(hello_);
  if (status.ok()) status = Serve();
  node_.log->Event(
      status.ok() ? LogLevel::kInfo : LogLevel::kWarning, "session_ends",
      {{"session", hello_.session().substr(0, kLoggedId)}, {"frames", frames_}, {"status", status.ToString()}});
  return status;
}

Result<wire::Hello> ServedSession::ReadHello() {
  wire::Request request;
  if (!stream_.Read(&request)) return Unavailable("no Hello came in time");
  if (!request.has_hello()) return InvalidArgument("the first message is not a Hello");
  return std::move(*request.mutable_hello());
}

Result<const LinkCodec*> ServedSession::CodecFor(const wire::Hello& hello) const {
  std::string names;
  for (const LinkCodec* codec : node_.codecs) {
    if (hello.codec().identity() == codec->identity()) return codec;
    names += (names.empty() ? "" : ", ") + DescribeCodec(codec->name(), codec->identity());
  }
  // With a single codec the whole Hello is compared, so that the first thing that differs is named.
  if (node_.codecs.size() == 1) return node_.codecs.front();
  return Mismatch(fmt::format("codec: this node has {}, the peer {}", names,
                              DescribeCodec(hello.codec().name(), hello.codec().identity())));
}

Status ServedSession::Begin(const wire::Hello& hello) {
  const StageInfo& info = node_.runner->info();
  SLUICE_ASSIGN_OR_RETURN(codec_, CodecFor(hello));
  SLUICE_RETURN_IF_ERROR(CheckHello(hello, info, *codec_, node_.limits));
  SLUICE_ASSIGN_OR_RETURN(auto place,
                          node_.registry->Admit(hello.session(), hello.attempt(), MemoryOf(hello, info, node_.limits),
                                                [this](Status why) { End(std::move(why)); }));
  place_.emplace(std::move(place));
  SLUICE_ASSIGN_OR_RETURN(state_, node_.runner->NewState(hello.positions()));
  SLUICE_ASSIGN_OR_RETURN(PointVerdicts verdicts, JudgeRequirement(*codec_, hello.requirement()));
  receiver_.emplace(*codec_, std::move(verdicts));
  window_ = node_.limits.window;
  if (node_.next == nullptr) {
    const auto& choice = hello.sampling();
    SLUICE_ASSIGN_OR_RETURN(
        sampler_, node_.runner->NewSampler({choice.temperature(), choice.top_k(), choice.top_p(), choice.seed()}));
  } else {
    SLUICE_ASSIGN_OR_RETURN(LinkSender sender, LinkSender::Make(*node_.next->codec));
    sender_.emplace(std::move(sender));
    SLUICE_ASSIGN_OR_RETURN(auto next,
                            LinkStream::Open(node_.next->peer, ForwardedHello(hello, info, *node_.next->codec),
                                             node_.next->patience, *node_.watchdog));
    const std::lock_guard<std::mutex> lock(mutex_);
    next_ = std::move(next);
    window_ = std::min(window_, next_->welcome().window());
  }
  node_.log->Event(LogLevel::kInfo, "session_begins",
                   {{"session", hello.session()}, {"attempt", hello.attempt()}, {"peer", context_.peer()}});
  return SendWelcome();
}

Status ServedSession::SendWelcome() {
  const StageInfo& info = node_.runner->info();
  wire::Reply reply;
  wire::Welcome& welcome = *reply.mutable_welcome();
  welcome.set_version(kProtocolVersion);
  welcome.set_capabilities(kCapabilities);
  welcome.set_window(window_);
  wire::Stage& own = *welcome.add_stages();
  own.set_node(node_.name);
  own.mutable_layers()->set_begin(info.begin);
  own.mutable_layers()->set_end(info.end);
  own.mutable_layers()->set_total(info.total);
  own.set_codec(codec_->name());
  if (next_) welcome.mutable_stages()->MergeFrom(next_->welcome().stages());
  return Write(reply);
}

Status ServedSession::Serve() {
  double seconds = node_.limits.session_seconds;
  if (hello_.deadline_ms() > 0) seconds = std::min(seconds, static_cast<double>(hello_.deadline_ms()) / 1000);
  deadline_ = node_.watchdog->After(
      seconds, [this, seconds] { End(TimedOut(fmt::format("the session's {:g} s are over", seconds))); });
  node_.metrics->BeginSession();
  Result<std::thread> answers = StartThread([this] { AnswerAll(); });
  Result<std::thread> acks = next_ ? StartThread([this] { ReturnAcks(); }) : std::thread();
  Status status = answers.ok() ? acks.status() : answers.status();
  if (status.ok()) status = ReadFrames();
  if (!status.ok()) End(status);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    reading_ = false;
    changed_.notify_all();
  }
  DropIdle();
  if (answers.ok()) {
    answers->join();
  } else {
    AnswerAll();  // the failure alone
  }
  if (acks.ok() && acks->joinable()) acks->join();
  deadline_.Drop();
  for (Pending& left : pending_) left.result.wait();  // the jobs use the state
  node_.metrics->EndSession();
  return ended();
}

bool ServedSession::MayWait() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return owed_ > 0 || !reading_;
}

// While the node owes an answer, the peer has a reason to be silent: a frame drops the alarm, and the Ack that leaves
// nothing owed sets it again.
void ServedSession::WatchIdle() {
  const std::lock_guard<std::mutex> lock(idle_mutex_);
  idle_.Drop();
  if (MayWait()) return;
  idle_ = node_.watchdog->After(node_.limits.idle_seconds, [this] {
    if (!MayWait()) End(Unavailable(fmt::format("nothing came for {:g} s", node_.limits.idle_seconds)));
  });
}

void ServedSession::DropIdle() {
  const std::lock_guard<std::mutex> lock(idle_mutex_);
  idle_.Drop();
}

Status ServedSession::ReadFrames() {
  wire::Request request;
  WatchIdle();
  while (stream_.Read(&request)) {
    if (!request.has_frame()) return InvalidArgument("a message after the Hello is not a frame");
    SLUICE_RETURN_IF_ERROR(TakeFrame(std::move(*request.mutable_frame())));
  }
  if (context_.IsCancelled()) return Interrupted("the peer ended the stream");
  return OkStatus();
}

Status ServedSession::CheckFrame(const wire::Frame& frame) {
  if (frame.sequence() != frames_) {
    return InvalidArgument(fmt::format("frame {}, expected number {}", frame.sequence(), frames_));
  }
  if (frame.tokens() < 1 || frame.tokens() > hello_.chunk_tokens()) {
    return InvalidArgument(
        fmt::format("frame {}: {} tokens, the Hello said at most {}", frames_, frame.tokens(), hello_.chunk_tokens()));
  }
  if (frame.tokens() > hello_.positions() - positions_) {
    return InvalidArgument(fmt::format("frame {}: {} tokens behind {}, the Hello said at most {}", frames_,
                                       frame.tokens(), positions_, hello_.positions()));
  }
  if (frame.payload().size() > node_.limits.frame_bytes) {
    return InvalidArgument(fmt::format("frame {}: {} bytes, at most {} are taken", frames_, frame.payload().size(),
                                       node_.limits.frame_bytes));
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (owed_ >= window_)
    return InvalidArgument(fmt::format("frame {}: beyond the window of {} frames", frames_, window_));
  ++owed_;
  return OkStatus();
}

Status ServedSession::TakeFrame(wire::Frame frame) {
  SLUICE_RETURN_IF_ERROR(ended());
  SLUICE_RETURN_IF_ERROR(CheckFrame(frame));
  DropIdle();  // the frame is owed by now, so that no Ack before it sets the alarm again
  ++frames_;
  positions_ += frame.tokens();
  const auto start = Clock::now();
  LinkFrame coded{frame.tokens(), frame.stored(), {frame.payload().begin(), frame.payload().end()}};
  Result<Matrix<float>> hidden = receiver_->Pull(coded);
  if (!hidden.ok()) return hidden.status().WithContext(fmt::format("frame {}", frame.sequence()));
  Pending pending{frame.sequence(), frame.tokens(), frame.sample(), frame.prompt(), SecondsSince(start), 0, 0, {}};
  const uint64_t raw = hidden->View().size() * sizeof(float);
  node_.metrics->CountFrame(node_.link, codec_->name(),
                            {PhaseOf(frame.prompt()), Direction::kReceived, frame.tokens(), raw, frame.payload().size(),
                             pending.decode_seconds});
  StageJob job;
  job.state = state_.get();
  job.hidden = std::move(*hidden);
  job.sampler = frame.sample() ? sampler_.get() : nullptr;
  job.log_probability = hello_.log_probabilities();
  job.cancelled = cancelled_;
  pending.result = node_.queue->Submit(std::move(job));
  const std::lock_guard<std::mutex> lock(mutex_);
  pending_.push_back(std::move(pending));
  changed_.notify_all();
  return OkStatus();
}

void ServedSession::AnswerAll() {
  while (true) {
    std::optional<Pending> pending;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [&] { return !pending_.empty() || !reading_ || ended_; });
      if (pending_.empty() && !ended_) break;
      if (!pending_.empty()) {
        pending = std::move(pending_.front());
        pending_.pop_front();
      }
    }
    if (!pending) break;
    const Status status = Answer(std::move(*pending));
    if (!status.ok()) End(status);
  }
  if (next_ && ended().ok()) next_->Done();
  if (!ended().ok()) WriteFailure();
}

Status ServedSession::Answer(Pending pending) {
  // The job uses the session's state: its end is waited for, whatever has happened to the session.
  Result<StageResult> result = pending.result.get();
  SLUICE_RETURN_IF_ERROR(ended());
  SLUICE_RETURN_IF_ERROR(result.status());
  pending.queue_seconds = result->queue_seconds;
  pending.compute_seconds = result->compute_seconds;
  node_.metrics->CountRun(PhaseOf(pending.prompt), pending.queue_seconds, pending.compute_seconds);
  return next_ ? SendOn(std::move(pending), *result) : AnswerToken(pending, *result);
}

Status ServedSession::AnswerToken(const Pending& pending, const StageResult& result) {
  wire::Reply reply;
  wire::Ack& ack = *reply.mutable_ack();
  ack.set_sequence(pending.sequence);
  ack.set_queue_us(Microseconds(pending.queue_seconds));
  ack.set_decode_us(Microseconds(pending.decode_seconds));
  ack.set_compute_us(Microseconds(pending.compute_seconds));
  if (result.token) {
    ack.set_sampled(true);
    ack.set_token(result.token->id);
    ack.set_log_probability(result.token->log_probability);
    ack.set_stop(std::find(hello_.stop().begin(), hello_.stop().end(), result.token->id) != hello_.stop().end());
  }
  return SendAck(reply);
}

Status ServedSession::SendAck(const wire::Reply& reply) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    --owed_;
  }
  SLUICE_RETURN_IF_ERROR(Write(reply));
  WatchIdle();
  return OkStatus();
}

Status ServedSession::SendOn(Pending pending, const StageResult& result) {
  const auto start = Clock::now();
  SLUICE_ASSIGN_OR_RETURN(const LinkFrame coded, sender_->Push(result.hidden.View()));
  const std::string& link = node_.next->peer.target();
  if (coded.stored) node_.metrics->CountBypass(link, "values");
  node_.metrics->CountFrame(link, node_.next->codec->name(),
                            {PhaseOf(pending.prompt), Direction::kSent, pending.tokens,
                             result.hidden.View().size() * sizeof(float), coded.payload.size(), SecondsSince(start)});
  wire::Frame frame;
  frame.set_sequence(pending.sequence);
  frame.set_tokens(coded.tokens);
  frame.set_sample(pending.sample);
  frame.set_prompt(pending.prompt);
  frame.set_stored(coded.stored);
  frame.set_payload(coded.payload.data(), coded.payload.size());
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    sent_on_.push_back(std::move(pending));
  }
  // What broke the stream is what ReturnAcks reads from it.
  (void)next_->Send(frame);
  return OkStatus();
}

void ServedSession::ReturnAcks() {
  while (true) {
    Result<std::optional<wire::Ack>> ack = next_->Receive();
    if (!ack.ok()) return End(ack.status());
    if (!ack->has_value()) break;
    const Status status = ReturnAck(std::move(**ack));
    if (!status.ok()) return End(status);
  }
  bool orderly;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    orderly = !reading_ && sent_on_.empty();
  }
  if (!orderly) End(Unavailable(node_.next->peer.target() + ": the stream ended early"));
}

Status ServedSession::ReturnAck(wire::Ack ack) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (sent_on_.empty() || sent_on_.front().sequence != ack.sequence()) {
      return Corrupt(fmt::format("{}: an Ack of frame {} out of order", node_.next->peer.target(), ack.sequence()));
    }
    const Pending& own = sent_on_.front();
    ack.set_queue_us(ack.queue_us() + Microseconds(own.queue_seconds));
    ack.set_decode_us(ack.decode_us() + Microseconds(own.decode_seconds));
    ack.set_compute_us(ack.compute_us() + Microseconds(own.compute_seconds));
    sent_on_.pop_front();
  }
  wire::Reply reply;
  *reply.mutable_ack() = std::move(ack);
  return SendAck(reply);
}

Status ServedSession::Write(const wire::Reply& reply) {
  const std::lock_guard<std::mutex> lock(write_mutex_);
  const auto slow = node_.watchdog->After(node_.limits.write_seconds, [this] { context_.TryCancel(); });
  if (stream_.Write(reply)) return OkStatus();
  return Interrupted("the peer takes no replies any more");
}

void ServedSession::WriteFailure() {
  const Status why = ended();
  const auto farewell = node_.watchdog->After(kFarewellSeconds, [this] { context_.TryCancel(); });
  wire::Reply reply;
  *reply.mutable_failure() = ToFailure(why, node_.name);
  (void)Write(reply);
  std::unique_lock<std::mutex> lock(mutex_);
  // Until the reading thread is done: the peer hangs up, or the alarm does it.
  changed_.wait(lock, [&] { return !reading_; });
}

void ServedSession::End(Status why) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (ended_) return;
  ended_ = why;
  cancelled_->store(true);
  changed_.notify_all();
  if (next_) next_->Cancel(std::move(why));
}

Status ServedSession::ended() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return ended_.value_or(OkStatus());
}

}  // namespace sluice
