// The log of frames is the session: whoever has it can make every node's state again. So a fault is not repaired in
// place, it is outlived: the stream is thrown away, and a new one gets the log from its beginning. The nodes keep
// nothing for a session whose stream is gone, and need no agreement about who had seen what. It costs the computation
// of the history once more, without waiting for the network between its frames, which the window keeps in flight.
//
// A single thread sends (Pump), a second one receives while an attempt lasts. The first frame does not wait for the
// Welcome: it saves every session a round trip, and a node that refuses the Hello never looks at what follows it.
//
// A session whose last frame is acknowledged has all that it came for. What happens to its stream from then on is worth
// a line in the log, and never a replay.
#include "wire/replay_link.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/clock.h"
#include "base/thread.h"
#include "wire/wire_status.h"

namespace sluice {
namespace {

constexpr double kFirstPauseSeconds = 0.1;
constexpr double kLongestPauseSeconds = 2;
constexpr auto kAskInterval = std::chrono::milliseconds(100);

Phase PhaseOf(const wire::Frame& frame) { return frame.prompt() ? Phase::kPrefill : Phase::kDecode; }

}  // namespace

ReplayLink::ReplayLink(const LinkPeer& peer, wire::Hello hello, ReplayOptions options, WireMetrics& metrics,
                       const WireLog& log, Watchdog& watchdog)
    : peer_(peer),
      hello_(std::move(hello)),
      options_(std::move(options)),
      metrics_(metrics),
      log_(log),
      watchdog_(watchdog),
      deadline_(options_.deadline_seconds > 0
                    ? watchdog_.After(options_.deadline_seconds, [this] { Abandon(TimeOver()); })
                    : Watchdog::Alarm()) {
  Result<std::thread> pump = StartThread([this] { Pump(); });
  if (pump.ok()) {
    pump_ = std::move(*pump);
  } else {
    Abandon(pump.status());
  }
}

ReplayLink::~ReplayLink() {
  Abandon(Interrupted("the session was abandoned"));
  if (pump_.joinable()) pump_.join();
}

Status ReplayLink::TimeOver() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return TimedOut(fmt::format("the session's {:g} s are over{}", options_.deadline_seconds,
                              lost_.ok() ? "" : "; last: " + lost_.message()));
}

double ReplayLink::SecondsLeft() const { return options_.deadline_seconds - SecondsSince(start_); }

void ReplayLink::Wait(const std::function<bool()>& ready) {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!changed_.wait_for(lock, kAskInterval, [&] { return failed_ || ready(); })) {
    if (!options_.give_up || !options_.give_up()) continue;
    lock.unlock();
    Abandon(Interrupted("the session was stopped while it waited"));
    return;
  }
}

Result<wire::Welcome> ReplayLink::WaitWelcome() {
  Wait([&] { return welcome_.has_value(); });
  const std::lock_guard<std::mutex> lock(mutex_);
  if (failed_) return *failed_;
  return *welcome_;
}

uint64_t ReplayLink::Push(LinkFrame frame, Phase phase, bool sample) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Sent sent;
  sent.frame.set_sequence(frames_.size());
  sent.frame.set_tokens(frame.tokens);
  sent.frame.set_sample(sample);
  sent.frame.set_stored(frame.stored);
  sent.frame.set_prompt(phase == Phase::kPrefill);
  sent.frame.set_payload(frame.payload.data(), frame.payload.size());
  wire_bytes_ += frame.payload.size();
  frames_.push_back(std::move(sent));
  changed_.notify_all();
  return frames_.size() - 1;
}

Result<wire::Ack> ReplayLink::WaitAck(uint64_t sequence) {
  Wait([&] { return acks_.size() > sequence; });
  const std::lock_guard<std::mutex> lock(mutex_);
  if (acks_.size() > sequence) return acks_[sequence];
  return *failed_;
}

bool ReplayLink::Finished() const { return closing_ && acks_.size() == frames_.size(); }

Status ReplayLink::Close() {
  bool lost;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closing_ = true;
    // A stream that is broken, or that repeats what has been answered, has nothing left to give.
    lost = Finished() && (broken_ || acked_ < frames_.size());
    changed_.notify_all();
  }
  if (lost) Abandon(Unavailable(peer_.target() + ": the stream was lost after the last answer"));
  Wait([&] { return ended_; });
  const std::lock_guard<std::mutex> lock(mutex_);
  return failed_.value_or(OkStatus());
}

void ReplayLink::Abandon(Status why) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (ended_ || failed_) return;
  if (stream_ != nullptr) stream_->Cancel(why);
  failed_ = std::move(why);
  changed_.notify_all();
}

Status ReplayLink::ended() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return failed_.value_or(OkStatus());
}

uint32_t ReplayLink::resumes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return resumes_;
}

uint64_t ReplayLink::wire_bytes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return wire_bytes_;
}

void ReplayLink::Pump() {
  for (uint32_t attempt = 0;; ++attempt) {
    const Status status = Attempt(attempt);
    if (status.ok()) {
      const std::lock_guard<std::mutex> lock(mutex_);
      ended_ = true;
      return changed_.notify_all();
    }
    if (!WaitToRetry(status, attempt)) {
      if (status.code() != StatusCode::kInterrupted) metrics_.CountError(status.code());
      return;
    }
  }
}

bool ReplayLink::WaitToRetry(const Status& status, uint32_t attempt) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (failed_) return false;
  const double without = SecondsSince(progress_);
  const bool retry = MayRetry(status) && !Finished();
  if (!retry || without > options_.retry_seconds) {
    failed_ = retry ? status.WithContext(fmt::format("given up after {:.0f} s without progress", without)) : status;
    changed_.notify_all();
    return false;
  }
  lost_ = status;
  log_.Event(
      LogLevel::kWarning, "link_lost",
      {{"session", hello_.session()}, {"link", peer_.target()}, {"attempt", attempt}, {"error", status.ToString()}});
  const double pause =
      std::min(kFirstPauseSeconds * static_cast<double>(1U << std::min(attempt, 8U)), kLongestPauseSeconds);
  changed_.wait_for(lock, std::chrono::duration<double>(pause), [&] { return failed_.has_value(); });
  return !failed_;
}

Status ReplayLink::Attempt(uint32_t attempt) {
  wire::Hello hello = hello_;
  hello.set_attempt(attempt);
  if (options_.deadline_seconds > 0) {
    if (SecondsLeft() <= 0) return TimeOver();
    hello.set_deadline_ms(static_cast<uint64_t>(SecondsLeft() * 1000) + 1);
  }
  const auto stream = LinkStream::Begin(peer_, hello, options_.patience, watchdog_);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (failed_) return *failed_;
    stream_ = stream.get();
    window_ = 1;
    acked_ = 0;
    broken_ = false;
    broken_why_ = OkStatus();
  }
  Result<std::thread> receiver = StartThread([&] { ReceiveAll(*stream, attempt); });
  if (receiver.ok()) {
    SendAll(*stream);
    receiver->join();
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  stream_ = nullptr;
  return receiver.ok() ? broken_why_ : receiver.status();
}

void ReplayLink::SendAll(LinkStream& stream) {
  for (uint64_t next = 0;;) {
    const wire::Frame* frame = nullptr;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [&] {
        return broken_ || failed_ || (next < frames_.size() && next - acked_ < window_) ||
               (closing_ && next == frames_.size());
      });
      if (broken_ || failed_) return;
      if (next == frames_.size()) break;
      frames_[next].time = Clock::now();
      frame = &frames_[next].frame;  // a deque's elements stay where they are
    }
    const auto start = Clock::now();
    if (!stream.Send(*frame).ok()) return;  // why, the receiver learns
    log_.Event(LogLevel::kDebug, "frame_sent",
               {{"session", hello_.session()}, {"sequence", next}, {"seconds", SecondsSince(start)}});
    ++next;
  }
  stream.Done();
}

void ReplayLink::TakeWelcome(const wire::Welcome& welcome, uint32_t attempt) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (welcome_ && !frames_.empty()) {
    ++resumes_;
    metrics_.CountResume(peer_.target());
    log_.Event(
        LogLevel::kInfo, "session_resumed",
        {{"session", hello_.session()}, {"link", peer_.target()}, {"attempt", attempt}, {"frames", frames_.size()}});
  }
  if (!welcome_) welcome_ = welcome;
  window_ = welcome.window();
  changed_.notify_all();
}

void ReplayLink::ReceiveAll(LinkStream& stream, uint32_t attempt) {
  Status why = stream.WaitWelcome();
  if (why.ok()) TakeWelcome(stream.welcome(), attempt);
  while (why.ok()) {
    Result<std::optional<wire::Ack>> ack = stream.Receive();
    if (!ack.ok()) {
      why = ack.status();
      break;
    }
    if (!ack->has_value()) {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!closing_ || acked_ < frames_.size()) why = Unavailable(peer_.target() + ": the stream ended early");
      break;
    }
    why = Record(**ack);
    if (!why.ok()) stream.Cancel(why);
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  broken_ = true;
  broken_why_ = why;
  changed_.notify_all();
}

Status ReplayLink::Record(const wire::Ack& ack) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (ack.sequence() != acked_ || acked_ >= frames_.size()) {
    return Corrupt(fmt::format("{}: an Ack of frame {}, expected {}", peer_.target(), ack.sequence(), acked_));
  }
  const Sent& sent = frames_[acked_];
  if (ack.sampled() != sent.frame.sample()) {
    return Corrupt(
        fmt::format("{}: the Ack of frame {} {} a token", peer_.target(), acked_, ack.sampled() ? "has" : "lacks"));
  }
  metrics_.CountRoundTrip(peer_.target(), PhaseOf(sent.frame), SecondsSince(sent.time));
  if (acked_ < acks_.size()) {
    SLUICE_RETURN_IF_ERROR(CheckReplay(acks_[acked_], ack));
  } else {
    acks_.push_back(ack);
    progress_ = Clock::now();
  }
  ++acked_;
  changed_.notify_all();
  return OkStatus();
}

Status ReplayLink::CheckReplay(const wire::Ack& before, const wire::Ack& again) const {
  if (before.token() == again.token() && before.stop() == again.stop()) return OkStatus();
  const auto samples = std::count_if(acks_.begin(), acks_.begin() + static_cast<std::ptrdiff_t>(before.sequence()),
                                     [](const wire::Ack& ack) { return ack.sampled(); });
  return Mismatch(
      fmt::format("{}: after a fault the nodes went another way: new token {} was {}, in the replay it is {}; the "
                  "tokens before it are "
                  "equal",
                  peer_.target(), samples, before.token(), again.token()));
}

}  // namespace sluice
