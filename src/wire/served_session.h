#ifndef SLUICE_WIRE_SERVED_SESSION_H_
#define SLUICE_WIRE_SERVED_SESSION_H_

#include <grpcpp/server_context.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "session.grpc.pb.h"
#include "wire/link_codec.h"
#include "wire/link_stream.h"
#include "wire/session_registry.h"
#include "wire/stage_queue.h"
#include "wire/wire_log.h"
#include "wire/wire_metrics.h"

namespace sluice {

/// The link that a relay sends on.
struct NextHop {
  LinkPeer peer;
  std::unique_ptr<LinkCodec> codec;
  StreamPatience patience;
};

/// What all sessions of a node share.
struct NodeParts {
  std::string name;
  std::string link;  ///< of the frames that come in, for the metrics: where the node listens
  std::string token;
  WireLimits limits;
  StageRunner* runner = nullptr;
  StageQueue* queue = nullptr;
  std::vector<const LinkCodec*> codecs = {};  ///< of the link that comes in; a Hello chooses one
  const NextHop* next = nullptr;              ///< null: this node is the tail
  SessionRegistry* registry = nullptr;
  WireMetrics* metrics = nullptr;
  const WireLog* log = nullptr;
  Watchdog* watchdog = nullptr;
};

/// Whether the caller has shown the node's token. Errors: Denied.
Status CheckCaller(const NodeParts& node, const grpc::ServerContext& context);

/// One session on a node that serves: its stream's life, from the first byte to the last.
///
/// Threads: the one that calls Run reads and decodes; one answers, which is to sample or to encode and send on; a relay
/// has a third for the answers of the node behind it. The node's queue computes.
class ServedSession {
 public:
  using Stream = grpc::ServerReaderWriter<wire::Reply, wire::Request>;

  ServedSession(const NodeParts& node, grpc::ServerContext& context, Stream& stream)
      : node_(node), context_(context), stream_(stream) {}
  /// Gives the memory back first, then the place that was granted for it, while End may still be called.
  ~ServedSession();
  ServedSession(const ServedSession&) = delete;
  ServedSession& operator=(const ServedSession&) = delete;

  /// Serves until the session ends, and says how.
  Status Run();

 private:
  /// A frame that is being computed.
  struct Pending {
    uint64_t sequence = 0;
    uint32_t tokens = 0;
    bool sample = false;
    bool prompt = false;
    double decode_seconds = 0;
    double queue_seconds = 0;
    double compute_seconds = 0;
    std::future<Result<StageResult>> result;
  };

  Result<wire::Hello> ReadHello();
  Result<const LinkCodec*> CodecFor(const wire::Hello& hello) const;
  Status Begin(const wire::Hello& hello);
  Status SendWelcome();
  Status Serve();
  Status ReadFrames();
  Status TakeFrame(wire::Frame frame);
  Status CheckFrame(const wire::Frame& frame);

  void AnswerAll();
  Status Answer(Pending pending);
  Status AnswerToken(const Pending& pending, const StageResult& result);
  Status SendOn(Pending pending, const StageResult& result);
  void ReturnAcks();
  Status ReturnAck(wire::Ack ack);
  Status SendAck(const wire::Reply& reply);
  Status Write(const wire::Reply& reply);
  void WriteFailure();

  void End(Status why);
  Status ended() const;
  bool MayWait() const;
  void WatchIdle();
  void DropIdle();

  const NodeParts& node_;
  grpc::ServerContext& context_;
  Stream& stream_;
  wire::Hello hello_;
  const LinkCodec* codec_ = nullptr;  // that the Hello chose
  std::optional<SessionRegistry::Place> place_;
  std::unique_ptr<StageState> state_;
  std::unique_ptr<TokenSampler> sampler_;
  std::optional<LinkReceiver> receiver_;
  std::optional<LinkSender> sender_;
  std::unique_ptr<LinkStream> next_;
  uint32_t window_ = 0;
  uint64_t frames_ = 0;
  uint64_t positions_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Pending> pending_;
  std::deque<Pending> sent_on_;  // of a relay: without results, waiting for the next node's Ack
  uint32_t owed_ = 0;            // frames taken and not acknowledged
  bool reading_ = true;
  std::optional<Status> ended_;
  std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  std::mutex write_mutex_;
  std::mutex idle_mutex_;  // never taken by an alarm
  Watchdog::Alarm idle_;   // set while nothing is owed, from the last frame or Ack on
  Watchdog::Alarm deadline_;
};

}  // namespace sluice

#endif  // SLUICE_WIRE_SERVED_SESSION_H_
