// A thin skin over gRPC's blocking stream. What it adds is an end to every wait: gRPC would sit out a peer that is
// reachable and silent. An alarm is set while an Ack or the end is owed, and cancels the stream; the reason is kept,
// since gRPC itself only says "cancelled".
#include "wire/link_stream.h"

#include <fmt/format.h>
#include <grpcpp/create_channel.h>

#include <chrono>

#include "base/clock.h"
#include "wire/limits.h"
#include "wire/wire_status.h"

namespace sluice {
namespace {

constexpr int kKeepaliveMs = 10'000;
// The least time that a connection gets to be made: two round trips by satellite and a lost packet or two.
constexpr int kConnectMs = 10'000;
constexpr int kFirstReconnectMs = 100;
constexpr int kLastReconnectMs = 1'000;
constexpr std::chrono::milliseconds kConnectPoll{50};

grpc::ChannelArguments ChannelSettings() {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kFirstReconnectMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kLastReconnectMs);
  // Acks are a few bytes; what a hostile server sends beyond is not taken in.
  arguments.SetMaxReceiveMessageSize(static_cast<int>(kMessageSlack));
  arguments.SetMaxSendMessageSize(-1);
  // Proxies of the environment are for browsers.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return arguments;
}

}  // namespace

Result<LinkPeer> LinkPeer::Make(std::string target, const TrustOptions& trust) {
  SilenceMessages();
  SLUICE_ASSIGN_OR_RETURN(const auto credentials, ClientTrust(trust, target));
  LinkPeer peer;
  peer.channel_ = grpc::CreateCustomChannel(target, credentials, ChannelSettings());
  peer.target_ = std::move(target);
  peer.token_ = trust.token;
  return peer;
}

std::optional<double> LinkPeer::Connect(double seconds, const std::function<bool()>& give_up) const {
  const auto start = Clock::now();
  const auto passed = [&] { return SecondsSince(start); };
  while (passed() < seconds && !(give_up && give_up())) {
    if (channel_->WaitForConnected(std::chrono::system_clock::now() + kConnectPoll)) return passed();
    if (channel_->GetState(false) == GRPC_CHANNEL_TRANSIENT_FAILURE) break;
  }
  return std::nullopt;
}

std::unique_ptr<LinkStream> LinkStream::Begin(const LinkPeer& peer, const wire::Hello& hello,
                                              const StreamPatience& patience, Watchdog& watchdog) {
  std::unique_ptr<LinkStream> stream(new LinkStream(peer, patience, watchdog));
  stream->Start(hello);
  return stream;
}

Result<std::unique_ptr<LinkStream>> LinkStream::Open(const LinkPeer& peer, const wire::Hello& hello,
                                                     const StreamPatience& patience, Watchdog& watchdog) {
  std::unique_ptr<LinkStream> stream = Begin(peer, hello, patience, watchdog);
  SLUICE_RETURN_IF_ERROR(stream->WaitWelcome());
  return stream;
}

void LinkStream::Start(const wire::Hello& hello) {
  if (!peer_.token().empty()) context_.AddMetadata("authorization", "Bearer " + peer_.token());
  const double seconds = patience_.handshake_seconds;
  alarm_ = watchdog_.After(seconds, [this, seconds] {
    Cancel(Unavailable(fmt::format("{}: no answer to the handshake for {:g} s", peer_.target(), seconds)));
  });
  stub_ = wire::Link::NewStub(peer_.channel());
  stream_ = stub_->Session(&context_);
  wire::Request request;
  *request.mutable_hello() = hello;
  stream_->Write(request);  // a failure shows when the answer is read
}

Status LinkStream::WaitWelcome() {
  wire::Reply reply;
  const bool read = stream_->Read(&reply);
  {
    const std::lock_guard<std::mutex> lock(alarm_mutex_);
    welcomed_ = true;
    alarm_.Drop();
    if (read) WatchPeer();
  }
  if (!read) {
    const Status status = Finish();
    return status.ok() ? Unavailable(peer_.target() + ": the stream ended without an answer") : status;
  }
  if (reply.has_failure()) return FromFailure(reply.failure());
  if (!reply.has_welcome()) return Corrupt(peer_.target() + ": the first reply is not a Welcome");
  welcome_ = std::move(*reply.mutable_welcome());
  if (welcome_.window() == 0) return Corrupt(peer_.target() + ": a window of 0 frames");
  return OkStatus();
}

LinkStream::~LinkStream() {
  if (finished_) return;
  Cancel(Interrupted("the session is over"));
  wire::Reply reply;
  while (stream_->Read(&reply)) {
  }
  (void)Finish();
}

void LinkStream::Owe(int change) {
  const std::lock_guard<std::mutex> lock(alarm_mutex_);
  owed_ += change;
  if (!welcomed_ || (change > 0 && owed_ > change)) return;
  WatchPeer();
}

void LinkStream::WatchPeer() {
  alarm_.Drop();
  if (owed_ <= 0 && !done_) return;
  const double seconds = patience_.stall_seconds;
  const char* missing = owed_ > 0 ? "a frame was not acknowledged" : "the stream was not ended";
  alarm_ = watchdog_.After(seconds, [this, seconds, missing] {
    Cancel(Unavailable(fmt::format("{}: {} for {:g} s", peer_.target(), missing, seconds)));
  });
}

Status LinkStream::Send(const wire::Frame& frame) {
  wire::Request request;
  *request.mutable_frame() = frame;
  Owe(1);
  if (stream_->Write(request)) return OkStatus();
  return Unavailable(peer_.target() + ": the stream broke while a frame was sent");
}

void LinkStream::Done() {
  {
    const std::lock_guard<std::mutex> lock(alarm_mutex_);
    done_ = true;
    if (welcomed_ && owed_ <= 0) WatchPeer();
  }
  stream_->WritesDone();
}

Result<std::optional<wire::Ack>> LinkStream::Receive() {
  wire::Reply reply;
  if (!stream_->Read(&reply)) {
    SLUICE_RETURN_IF_ERROR(Finish());
    return std::optional<wire::Ack>();
  }
  if (reply.has_failure()) return FromFailure(reply.failure());
  if (!reply.has_ack()) return Corrupt(peer_.target() + ": expected an Ack, got another reply");
  Owe(-1);
  return std::optional<wire::Ack>(reply.ack());
}

Status LinkStream::Finish() {
  finished_ = true;
  const grpc::Status ended = stream_->Finish();
  const std::lock_guard<std::mutex> lock(reason_mutex_);
  if (!reason_.ok()) return reason_;
  return FromGrpc(ended, peer_.target());
}

void LinkStream::Cancel(Status why) {
  {
    const std::lock_guard<std::mutex> lock(reason_mutex_);
    if (reason_.ok()) reason_ = std::move(why);
  }
  context_.TryCancel();
}

}  // namespace sluice
