// The server around the sessions: what a peer may do before it has said Hello is limited here, by settings of gRPC:
// time for the TLS and HTTP/2 handshakes, idle connections, streams of one connection, the size of a message, and
// threads, of which a stream takes one and which are refused when they run out.
#include "wire/node_server.h"

#include <fmt/format.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <algorithm>

#include "wire/link_probe.h"
#include "wire/served_session.h"
#include "wire/wire_status.h"

namespace sluice {
namespace {

constexpr int kSpareThreads = 32;
constexpr int kServerKeepaliveMs = 20'000;
constexpr int kLeastPingGapMs = 5'000;
constexpr double kEndSeconds = 5;

/// As gRPC takes them; more than 24 days are as many as it can count.
int Milliseconds(double seconds) { return static_cast<int>(std::clamp(seconds * 1000, 0.0, 2147483647.0)); }

class GrpcNode final : public NodeServer, public wire::Link::Service {
 public:
  GrpcNode(StageRunner& runner, StageQueue& queue, std::vector<std::unique_ptr<LinkCodec>> codecs, NodeOptions options,
           WireMetrics& metrics, const WireLog& log)
      : options_(std::move(options)), codecs_(std::move(codecs)), registry_(options_.limits) {
    parts_.name = options_.name;
    parts_.token = options_.trust.token;
    parts_.limits = options_.limits;
    parts_.runner = &runner;
    parts_.queue = &queue;
    for (const auto& codec : codecs_) parts_.codecs.push_back(codec.get());
    parts_.registry = &registry_;
    parts_.metrics = &metrics;
    parts_.log = &log;
    parts_.watchdog = &watchdog_;
  }

  ~GrpcNode() override {
    if (!server_) return;
    registry_.Drain();
    registry_.EndAll(Unavailable("this node stops"));
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(2));
    server_->Wait();
  }

  Status Connect(std::unique_ptr<LinkCodec> next_codec) {
    SLUICE_ASSIGN_OR_RETURN(LinkPeer peer, LinkPeer::Make(options_.next, options_.trust));
    next_ = std::make_unique<NextHop>(NextHop{std::move(peer), std::move(next_codec), options_.patience});
    parts_.next = next_.get();
    return OkStatus();
  }

  Status Listen() {
    SilenceMessages();
    SLUICE_ASSIGN_OR_RETURN(const auto credentials, ServerTrust(options_.trust, options_.listen));
    const WireLimits& limits = options_.limits;
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort(options_.listen, credentials, &port);
    builder.RegisterService(this);
    builder.SetMaxReceiveMessageSize(static_cast<int>(LongestMessage()));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, static_cast<int>(limits.sessions) + 1);
    builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, Milliseconds(limits.handshake_seconds));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, Milliseconds(limits.idle_seconds));
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kServerKeepaliveMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kServerKeepaliveMs);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kLeastPingGapMs);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    grpc::ResourceQuota quota("sluice");
    quota.SetMaxThreads(static_cast<int>(limits.sessions) + kSpareThreads);
    builder.SetResourceQuota(quota);
    server_ = builder.BuildAndStart();
    if (!server_ || port == 0) return IoError(fmt::format("{}: cannot be listened on", options_.listen));
    address_ = fmt::format("{}:{}", options_.listen.substr(0, options_.listen.rfind(':')), port);
    parts_.link = address_;
    return OkStatus();
  }

  grpc::Status Session(grpc::ServerContext* context, ServedSession::Stream* stream) override {
    const Status status = ServedSession(parts_, *context, *stream).Run();
    if (!status.ok() && status.code() != StatusCode::kInterrupted) parts_.metrics->CountError(status.code());
    return ToGrpc(status, options_.name);
  }

  grpc::Status Probe(grpc::ServerContext* context, const wire::ProbeRequest*, wire::ProbeReply* reply) override {
    const Status status = CheckCaller(parts_, *context);
    if (!status.ok()) parts_.metrics->CountError(status.code());
    for (const auto& codec : codecs_) {
      if (status.ok()) reply->add_codecs(codec->identity());
    }
    return ToGrpc(status, options_.name);
  }

  const std::string& address() const override { return address_; }
  size_t sessions() const override { return registry_.size(); }

  bool Drain(double seconds) override {
    registry_.Drain();
    if (registry_.WaitEmpty(seconds)) return true;
    registry_.EndAll(Unavailable("this node stops"));
    registry_.WaitEmpty(kEndSeconds);
    return false;
  }

 private:
  /// No codec needs twice the floats, so a node of a small model takes in small messages only; but probes.
  uint64_t LongestMessage() const {
    uint32_t tokens = 0;
    for (const auto& codec : codecs_) tokens = std::max(tokens, codec->longest_chunk());
    tokens = std::min(tokens, options_.limits.chunk_tokens);
    const uint64_t payload = uint64_t{2} * tokens * parts_.runner->info().width * sizeof(float);
    const uint64_t longest = std::max<uint64_t>(std::min(payload, options_.limits.frame_bytes), kMostProbeBytes);
    return std::min<uint64_t>(longest + kMessageSlack, INT32_MAX);
  }

  NodeOptions options_;
  std::vector<std::unique_ptr<LinkCodec>> codecs_;
  std::unique_ptr<NextHop> next_;
  SessionRegistry registry_;
  Watchdog watchdog_;
  NodeParts parts_;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

Status CheckRole(const StageInfo& info, const LinkCodec& codec, const LinkCodec* next_codec, const std::string& next) {
  const std::string layers = fmt::format("layers {}:{} of {}", info.begin, info.end, info.total);
  if (info.tail() && !next.empty()) return InvalidArgument(layers + " end the model: no next node can follow");
  if (!info.tail() && (next.empty() || next_codec == nullptr)) {
    return InvalidArgument(layers + " do not end the model: a next node is needed (--next HOST:PORT)");
  }
  const auto fits = [&](const LinkCodec& link, uint32_t cut) {
    if (link.cut() < 0 || link.cut() == cut) return OkStatus();
    return Mismatch(fmt::format("codec {} was made for cut {}, this link's is {}", link.name(), link.cut(), cut));
  };
  SLUICE_RETURN_IF_ERROR(fits(codec, info.begin));
  return info.tail() ? OkStatus() : fits(*next_codec, info.end);
}

}  // namespace

Result<std::unique_ptr<NodeServer>> NodeServer::Start(StageRunner& runner, StageQueue& queue,
                                                      std::unique_ptr<LinkCodec> codec,
                                                      std::unique_ptr<LinkCodec> next_codec, NodeOptions options,
                                                      WireMetrics& metrics, const WireLog& log,
                                                      std::vector<std::unique_ptr<LinkCodec>> more) {
  PrepareGrpc();
  more.insert(more.begin(), std::move(codec));
  for (const auto& one : more) {
    SLUICE_RETURN_IF_ERROR(CheckRole(runner.info(), *one, next_codec.get(), options.next));
  }
  auto node = std::make_unique<GrpcNode>(runner, queue, std::move(more), std::move(options), metrics, log);
  if (!runner.info().tail()) SLUICE_RETURN_IF_ERROR(node->Connect(std::move(next_codec)));
  SLUICE_RETURN_IF_ERROR(node->Listen());
  return std::unique_ptr<NodeServer>(std::move(node));
}

}  // namespace sluice
