#ifndef SLUICE_WIRE_LINK_STREAM_H_
#define SLUICE_WIRE_LINK_STREAM_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "session.grpc.pb.h"
#include "wire/trust.h"
#include "wire/watchdog.h"

namespace sluice {

/// The node behind a link: where it listens, and the connection to it, which comes and goes by itself.
class LinkPeer {
 public:
  /// Errors: those of ClientTrust.
  static Result<LinkPeer> Make(std::string target, const TrustOptions& trust);

  /// Makes the connection, if there is none, so that a session need not wait for it: the time that took, or nothing
  /// when it was not made within `seconds` or `give_up` said so. A session connects by itself and says what is wrong.
  std::optional<double> Connect(double seconds, const std::function<bool()>& give_up) const;

  const std::string& target() const { return target_; }
  const std::string& token() const { return token_; }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

 private:
  std::string target_;
  std::string token_;
  std::shared_ptr<grpc::Channel> channel_;
};

struct StreamPatience {
  double handshake_seconds = 10;  ///< to connect and agree
  double stall_seconds = 20;      ///< for an Ack, while one is owed, and for the end of the stream after Done
};

/// The sending side of one stream: one attempt at a session. Errors of all calls: what the peer says, as FromGrpc; what
/// Cancel was given; Unavailable when the peer is too slow.
/// Threads: one for Send and Done, one for WaitWelcome and Receive, any for Cancel.
class LinkStream {
 public:
  /// Connects and says Hello. `peer` and `watchdog` outlive it. One frame may be sent before the Welcome is there.
  static std::unique_ptr<LinkStream> Begin(const LinkPeer& peer, const wire::Hello& hello,
                                           const StreamPatience& patience, Watchdog& watchdog);
  /// Waits for the Welcome, once, before the first Receive.
  Status WaitWelcome();
  /// Begin and WaitWelcome.
  static Result<std::unique_ptr<LinkStream>> Open(const LinkPeer& peer, const wire::Hello& hello,
                                                  const StreamPatience& patience, Watchdog& watchdog);
  /// Cancels what still runs.
  ~LinkStream();

  /// After WaitWelcome.
  const wire::Welcome& welcome() const { return welcome_; }
  Status Send(const wire::Frame& frame);
  /// No frame will follow.
  void Done();
  /// The next Ack; nothing after the last one.
  Result<std::optional<wire::Ack>> Receive();
  /// Ends the stream: the other calls return with `why`.
  void Cancel(Status why);

 private:
  LinkStream(const LinkPeer& peer, const StreamPatience& patience, Watchdog& watchdog)
      : peer_(peer), patience_(patience), watchdog_(watchdog) {}
  void Start(const wire::Hello& hello);
  Status Finish();
  void Owe(int change);
  void WatchPeer();

  const LinkPeer& peer_;
  StreamPatience patience_;
  Watchdog& watchdog_;
  grpc::ClientContext context_;
  std::unique_ptr<wire::Link::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<wire::Request, wire::Reply>> stream_;
  wire::Welcome welcome_;
  bool finished_ = false;
  std::mutex reason_mutex_;  // never held while an alarm is set
  Status reason_;
  std::mutex alarm_mutex_;
  Watchdog::Alarm alarm_;
  int owed_ = 0;
  bool welcomed_ = false;
  bool done_ = false;
};

}  // namespace sluice

#endif  // SLUICE_WIRE_LINK_STREAM_H_
