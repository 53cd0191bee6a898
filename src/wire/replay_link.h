#ifndef SLUICE_WIRE_REPLAY_LINK_H_
#define SLUICE_WIRE_REPLAY_LINK_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "wire/link_codec.h"
#include "wire/link_stream.h"
#include "wire/wire_log.h"
#include "wire/wire_metrics.h"

namespace sluice {

struct ReplayOptions {
  StreamPatience patience;
  double retry_seconds = 60;    ///< of trying again without any progress, then the session fails
  double deadline_seconds = 0;  ///< of the whole session, then it fails as TimedOut; 0: none
  /// Asked again and again while the session waits: true ends it as Interrupted. May be null.
  std::function<bool()> give_up = nullptr;
};

/// A session's link as a head uses it: frames go in, acknowledgements come out, and when a node or a wire dies in
/// between, the session is begun again and every frame sent so far is sent again, in the same order and with the same
/// bytes. The nodes behind it then compute what they did before, and draw the same tokens; each token that comes a
/// second time is compared with the first.
/// Threads: one for Push and WaitAck.
class ReplayLink {
 public:
  /// Starts connecting. `peer`, `metrics`, `log` and `watchdog` outlive it. `hello` without attempt and deadline.
  ReplayLink(const LinkPeer& peer, wire::Hello hello, ReplayOptions options, WireMetrics& metrics, const WireLog& log,
             Watchdog& watchdog);
  /// Ends the session, whatever is under way.
  ~ReplayLink();

  /// The nodes' first answer. Errors: as WaitAck.
  Result<wire::Welcome> WaitWelcome();
  /// Hands over the next frame and gives its sequence number; never blocks.
  uint64_t Push(LinkFrame frame, Phase phase, bool sample);
  /// Errors: what ended the session: a refusal; Unavailable when trying again did not help; Mismatch when a replay gave
  /// another token, naming the first; TimedOut.
  Result<wire::Ack> WaitAck(uint64_t sequence);
  /// No frame will follow: waits until all are acknowledged and the stream has ended. Once all are, nothing is sent
  /// again: a fault, or no end within stall_seconds, is reported. Errors: as WaitAck.
  Status Close();
  /// Ends the session now: waiting calls return with `why`.
  void Abandon(Status why);
  /// What has ended the session; Ok while it goes on. Never blocks.
  Status ended() const;

  uint32_t resumes() const;
  uint64_t wire_bytes() const;  ///< of all frames, each counted once

 private:
  struct Sent {
    wire::Frame frame;
    Clock::time_point time;
  };

  void Pump();
  Status Attempt(uint32_t attempt);
  void SendAll(LinkStream& stream);
  void ReceiveAll(LinkStream& stream, uint32_t attempt);
  void TakeWelcome(const wire::Welcome& welcome, uint32_t attempt);
  Status Record(const wire::Ack& ack);
  Status CheckReplay(const wire::Ack& before, const wire::Ack& again) const;
  void Wait(const std::function<bool()>& ready);
  bool WaitToRetry(const Status& status, uint32_t attempt);
  bool Finished() const;  // under the lock
  Status TimeOver() const;
  double SecondsLeft() const;

  const LinkPeer& peer_;
  const wire::Hello hello_;
  const ReplayOptions options_;
  WireMetrics& metrics_;
  const WireLog& log_;
  Watchdog& watchdog_;
  const Clock::time_point start_ = Clock::now();

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Sent> frames_;
  std::vector<wire::Ack> acks_;           // each recorded once
  std::optional<wire::Welcome> welcome_;  // of the first attempt
  std::optional<Status> failed_;
  Clock::time_point progress_ = start_;
  uint64_t wire_bytes_ = 0;
  uint32_t resumes_ = 0;
  bool closing_ = false;
  bool ended_ = false;
  // Of the attempt under way.
  LinkStream* stream_ = nullptr;
  uint64_t window_ = 1;  // frames that may be without an Ack: one until the Welcome says more
  uint64_t acked_ = 0;
  bool broken_ = false;
  Status broken_why_;
  Status lost_;  // the fault of the attempt before
  Watchdog::Alarm deadline_;
  std::thread pump_;
};

}  // namespace sluice

#endif  // SLUICE_WIRE_REPLAY_LINK_H_
