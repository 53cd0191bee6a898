#include "wire/node_server.h"

#include <arpa/inet.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "session.grpc.pb.h"
#include "wire/handshake.h"
#include "wire/session_id.h"
#include "wire/tiny_network_test.h"
#include "wire/wire_status.h"

namespace sluice {
namespace {

// A client that says what it likes.
class RawClient {
 public:
  explicit RawClient(const std::string& address, const std::string& authorization = "")
      : channel_(grpc::CreateChannel(address, grpc::InsecureChannelCredentials())),
        stub_(wire::Link::NewStub(channel_)) {
    if (!authorization.empty()) context_.AddMetadata("authorization", authorization);
    stream_ = stub_->Session(&context_);
  }
  ~RawClient() {
    if (!finished_) {
      context_.TryCancel();
      (void)End();
    }
  }

  bool Say(const wire::Hello& hello) {
    wire::Request request;
    *request.mutable_hello() = hello;
    return stream_->Write(request);
  }
  bool Send(const wire::Frame& frame) {
    wire::Request request;
    *request.mutable_frame() = frame;
    return stream_->Write(request);
  }
  bool Nothing() { return stream_->Write(wire::Request()); }
  wire::Reply Read() {
    wire::Reply reply;
    stream_->Read(&reply);
    return reply;
  }
  /// How the stream ended, after everything that came before.
  Status End() {
    wire::Reply reply;
    Status said;
    while (stream_->Read(&reply)) {
      if (reply.has_failure()) said = FromFailure(reply.failure());
    }
    finished_ = true;
    const Status ended = FromGrpc(stream_->Finish(), "node");
    return said.ok() ? ended : said;
  }

 private:
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<wire::Link::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<wire::Request, wire::Reply>> stream_;
  bool finished_ = false;
};

wire::Hello SoundHello(uint64_t positions = 100) {
  SessionWish wish;
  wish.session = *NewSessionId();
  wish.positions = positions;
  wish.chunk_tokens = 8;
  const TinyNetwork head(0, 3);
  return MakeHello(wish, head.info(), *TinyNetwork::Codec("fp32", 3));
}

wire::Frame SoundFrame(LinkSender& sender, uint64_t sequence, size_t tokens) {
  const LinkFrame coded = *sender.Push(Matrix<float>(tokens, TinyNetwork::kWidth).View());
  wire::Frame frame;
  frame.set_sequence(sequence);
  frame.set_tokens(coded.tokens);
  frame.set_payload(coded.payload.data(), coded.payload.size());
  return frame;
}

class NodeServerTest : public ::testing::Test {
 protected:
  Status EndOf(const wire::Hello& hello) {
    RawClient client(node_.server->address());
    client.Say(hello);
    return client.End();
  }
  void Expect(const wire::Hello& hello, StatusCode code, const std::string& part) {
    const Status status = EndOf(hello);
    EXPECT_EQ(status.code(), code) << status.ToString();
    EXPECT_NE(status.message().find(part), std::string::npos) << status.ToString();
  }
  Status EndAfter(const std::vector<wire::Frame>& frames) {
    RawClient client(node_.server->address());
    client.Say(SoundHello());
    EXPECT_TRUE(client.Read().has_welcome());
    for (const wire::Frame& frame : frames) client.Send(frame);
    return client.End();
  }
  /// An honest session beside whatever else goes on.
  void ExpectSound(double retry_seconds = 0) {
    const HeadRequest request = RequestOf(20, 4);
    const auto outcome =
        TestHead::Connect(3, "fp32", node_.server->address(), {}, retry_seconds).head->Generate(request, nullptr);
    ASSERT_TRUE(outcome.ok()) << outcome.status().ToString();
    EXPECT_EQ(IdsOf(*outcome), TinyNetwork::Uncut(request));
  }

  /// A moment after the streams have ended.
  void ExpectEmpty() const {
    for (int i = 0; i < 500 && node_.server->sessions() > 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_EQ(node_.server->sessions(), 0U);
  }

  static NodeOptions Options() {
    NodeOptions options;
    options.limits.sessions = 4;
    options.limits.handshake_seconds = 0.5;
    options.limits.idle_seconds = 1;
    options.limits.frame_bytes = 1 << 16;
    options.limits.state_bytes = 500 * 4096;
    return options;
  }

  TestNode node_ = TestNode::Serve(3, 6, "fp32", Options());
};

TEST_F(NodeServerTest, RejectsHandshakesThatDoNotFit) {
  wire::Hello hello = SoundHello();
  hello.set_version(2);
  Expect(hello, StatusCode::kUnsupported, "protocol version: this node speaks 1, the peer 2");
  hello = SoundHello();
  hello.set_needed(1ULL << 40);
  Expect(hello, StatusCode::kUnsupported, "capabilities");
  hello = SoundHello();
  hello.set_session("../../etc/passwd");
  Expect(hello, StatusCode::kInvalidArgument, "session");
  hello = SoundHello();
  hello.set_model(std::string(100'000, 'x'));
  Expect(hello, StatusCode::kInvalidArgument, "model");
  hello = SoundHello();
  hello.set_model(std::string(32, 'x'));
  Expect(hello, StatusCode::kMismatch, "model");
  hello = SoundHello();
  hello.mutable_layers()->set_end(4);
  Expect(hello, StatusCode::kMismatch, "cut");
  hello = SoundHello();
  hello.mutable_layers()->set_total(7);
  Expect(hello, StatusCode::kMismatch, "layers of the model");
  hello = SoundHello();
  hello.set_width(17);
  Expect(hello, StatusCode::kMismatch, "width");
  hello = SoundHello();
  hello.mutable_codec()->set_identity("plain:fp16");
  Expect(hello, StatusCode::kMismatch, "codec");
  hello = SoundHello();
  hello.mutable_codec()->set_profile("another build");
  Expect(hello, StatusCode::kMismatch, "float build");
  hello = SoundHello();
  hello.mutable_codec()->set_name(std::string(300, 'x'));
  Expect(hello, StatusCode::kInvalidArgument, "codec");
  ExpectSound();
}

TEST_F(NodeServerTest, RejectsHandshakesBeyondItsLimits) {
  wire::Hello hello = SoundHello(TinyNetwork::kContext + 1);
  Expect(hello, StatusCode::kInvalidArgument, "positions");
  hello = SoundHello(0);
  Expect(hello, StatusCode::kInvalidArgument, "positions");
  hello = SoundHello();
  hello.set_chunk_tokens(5000);
  Expect(hello, StatusCode::kInvalidArgument, "tokens of a frame");
  hello = SoundHello();
  for (int i = 0; i < 100; ++i) hello.add_stop(i);
  Expect(hello, StatusCode::kInvalidArgument, "stop tokens");
  hello = SoundHello();
  hello.set_requirement(std::string(300, 'x'));
  Expect(hello, StatusCode::kInvalidArgument, "codec");
  hello = SoundHello();
  hello.set_requirement("beauty>=1");
  Expect(hello, StatusCode::kInvalidArgument, "beauty");
  hello = SoundHello();
  hello.set_requirement("ppl<=1.02");
  Expect(hello, StatusCode::kMismatch, "certificate");
  hello = SoundHello();
  hello.set_hops(1000);
  Expect(hello, StatusCode::kInvalidArgument, "chain");
  ExpectSound();
}

TEST_F(NodeServerTest, RejectsFramesThatAreNotWhatTheHelloSaid) {
  const auto codec = TinyNetwork::Codec("fp32", 3);
  const auto end = [&](auto change) {
    LinkSender sender = *LinkSender::Make(*codec);
    wire::Frame frame = SoundFrame(sender, 0, 4);
    change(frame);
    return EndAfter({frame}).code();
  };
  EXPECT_EQ(end([](wire::Frame& f) { f.set_sequence(1); }), StatusCode::kInvalidArgument);
  EXPECT_EQ(end([](wire::Frame& f) { f.set_tokens(0); }), StatusCode::kInvalidArgument);
  EXPECT_EQ(end([](wire::Frame& f) { f.set_tokens(9); }), StatusCode::kInvalidArgument);
  EXPECT_EQ(end([](wire::Frame& f) { f.set_tokens(5); }), StatusCode::kCorrupt);
  EXPECT_EQ(end([](wire::Frame& f) { f.set_stored(true); }), StatusCode::kCorrupt);
  EXPECT_EQ(end([](wire::Frame& f) { f.mutable_payload()->push_back('x'); }), StatusCode::kCorrupt);
  EXPECT_EQ(end([](wire::Frame& f) { f.mutable_payload()->pop_back(); }), StatusCode::kTruncated);
  EXPECT_EQ(end([](wire::Frame& f) { (*f.mutable_payload())[80] ^= 1; }), StatusCode::kCorrupt);
  EXPECT_EQ(end([](wire::Frame& f) { f.set_payload(""); }), StatusCode::kTruncated);
  EXPECT_EQ(end([](wire::Frame& f) { f.set_payload(std::string((1 << 16) + 1, 'x')); }), StatusCode::kInvalidArgument);
  EXPECT_EQ(end([](wire::Frame& f) { f.set_payload(std::string(1 << 20, 'x')); }), StatusCode::kInvalidArgument);
  EXPECT_EQ(end([](wire::Frame& f) { f.set_payload(std::string(2 << 20, 'x')); }), StatusCode::kUnavailable);
  ExpectSound();
}

TEST_F(NodeServerTest, RejectsMoreTokensThanWereAskedFor) {
  const auto codec = TinyNetwork::Codec("fp32", 3);
  LinkSender sender = *LinkSender::Make(*codec);
  RawClient client(node_.server->address());
  client.Say(SoundHello(6));
  ASSERT_TRUE(client.Read().has_welcome());
  client.Send(SoundFrame(sender, 0, 4));
  EXPECT_TRUE(client.Read().has_ack());
  client.Send(SoundFrame(sender, 1, 4));
  EXPECT_EQ(client.End().code(), StatusCode::kInvalidArgument);
}

TEST_F(NodeServerTest, RejectsASecondHelloAndEmptyMessages) {
  RawClient first(node_.server->address());
  first.Nothing();
  EXPECT_EQ(first.End().code(), StatusCode::kInvalidArgument);
  RawClient second(node_.server->address());
  second.Say(SoundHello());
  ASSERT_TRUE(second.Read().has_welcome());
  second.Say(SoundHello());
  EXPECT_EQ(second.End().code(), StatusCode::kInvalidArgument);
}

TEST_F(NodeServerTest, RejectsSessionsBeyondItsRoom) {
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(std::make_unique<RawClient>(node_.server->address()));
    clients.back()->Say(SoundHello());
    EXPECT_TRUE(clients.back()->Read().has_welcome());
  }
  Expect(SoundHello(), StatusCode::kUnavailable, "4 sessions");
  clients.clear();
  ExpectEmpty();
  RawClient large(node_.server->address()), larger(node_.server->address());
  large.Say(SoundHello(TinyNetwork::kContext));
  EXPECT_TRUE(large.Read().has_welcome());
  larger.Say(SoundHello(TinyNetwork::kContext));
  EXPECT_TRUE(larger.Read().has_welcome());
  Expect(SoundHello(TinyNetwork::kContext), StatusCode::kUnavailable, "bytes");
}

TEST_F(NodeServerTest, RejectsClientsThatAreTooSlow) {
  RawClient silent(node_.server->address());
  RawClient idle(node_.server->address());
  idle.Say(SoundHello());
  ASSERT_TRUE(idle.Read().has_welcome());
  EXPECT_FALSE(silent.End().ok());  // cut after handshake_seconds
  const Status ended = idle.End();  // after idle_seconds
  EXPECT_EQ(ended.code(), StatusCode::kUnavailable);
  EXPECT_NE(ended.message().find("nothing came for 1 s"), std::string::npos) << ended.ToString();
  ExpectEmpty();
}

TEST_F(NodeServerTest, RejectsConnectionsThatSayNothing) {
  const std::string& address = node_.server->address();
  const int socket_fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
  ASSERT_EQ(connect(socket_fd, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  const timeval patience{5, 0};
  setsockopt(socket_fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  char buffer[512];
  ssize_t got = 1;
  while (got > 0) got = recv(socket_fd, buffer, sizeof buffer, 0);
  EXPECT_EQ(got, 0);  // closed by the node, before our own patience ended
  close(socket_fd);
  ExpectSound();
}

TEST_F(NodeServerTest, RoundTripsAnHonestSessionAmongHostileOnes) {
  // More than there are threads and sessions: silent ones, empty messages, Hellos that do not fit, messages beyond the
  // longest, and sessions that never say anything more. The honest one tries again until their time is over.
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 64; ++i) {
    clients.push_back(std::make_unique<RawClient>(node_.server->address()));
    wire::Hello hello = SoundHello();
    if (i % 5 == 1) clients.back()->Nothing();
    if (i % 5 == 2) hello.set_requirement(std::string(1000, 'x'));
    if (i % 5 == 3) hello.set_session(std::string(2 << 20, 'f'));
    if (i % 5 >= 2) clients.back()->Say(hello);
  }
  ExpectSound(/*retry_seconds=*/30);
  clients.clear();
  ExpectEmpty();
}

TEST_F(NodeServerTest, RejectsNewSessionsWhileItDrainsAndFinishesTheOld) {
  const HeadRequest request = RequestOf(20, 4);
  TestHead test = TestHead::Connect(3, "fp32", node_.server->address());
  std::thread drain;
  size_t seen = 0;
  const auto outcome = test.head->Generate(request, [&](const SampledToken&) {
    if (++seen == 3) {
      drain = std::thread([&] { EXPECT_TRUE(node_.server->Drain(20)); });
      Status refused;
      // Until the thread has begun a session is taken, or refused for those before it that still end.
      const auto stopping = [&] { return refused.message().find("is stopping") != std::string::npos; };
      for (int i = 0; i < 500 && !stopping(); ++i) {
        RawClient client(node_.server->address());
        client.Say(SoundHello());
        if (!client.Read().has_welcome()) refused = client.End();
        if (!stopping()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
      EXPECT_EQ(refused.code(), StatusCode::kUnavailable);
      EXPECT_TRUE(stopping()) << refused.ToString();
    }
    return true;
  });
  drain.join();
  ASSERT_TRUE(outcome.ok()) << outcome.status().ToString();
  EXPECT_EQ(IdsOf(*outcome), TinyNetwork::Uncut(request));
}

TEST(NodeIdleTest, RegressesSilenceAfterAFrameThatTookLong) {
  SlowNetwork slow(3, 6, /*seconds=*/0.9);
  StageQueue queue(slow);
  WireMetrics metrics;
  const WireLog log;
  NodeOptions options{.listen = "127.0.0.1:0"};
  options.limits.idle_seconds = 0.3;
  options.limits.session_seconds = 5;
  const auto node = NodeServer::Start(slow, queue, TinyNetwork::Codec("fp32", 3), nullptr, options, metrics, log);
  ASSERT_TRUE(node.ok()) << node.status().ToString();
  const auto codec = TinyNetwork::Codec("fp32", 3);
  LinkSender sender = *LinkSender::Make(*codec);
  RawClient client((*node)->address());
  client.Say(SoundHello());
  ASSERT_TRUE(client.Read().has_welcome());
  client.Send(SoundFrame(sender, 0, 4));
  ASSERT_TRUE(client.Read().has_ack()) << "silence while an answer is owed";
  const Status ended = client.End();
  EXPECT_NE(ended.message().find("nothing came for 0.3 s"), std::string::npos) << ended.ToString();
}

TEST(NodeRoleTest, RejectsLayersThatDoNotFitTheRole) {
  TinyNetwork tail(3, 6), middle(2, 4);
  StageQueue tail_queue(tail), middle_queue(middle);
  WireMetrics metrics;
  const WireLog log;
  NodeOptions options;
  options.listen = "127.0.0.1:0";
  EXPECT_EQ(NodeServer::Start(middle, middle_queue, TinyNetwork::Codec("fp32", 2), nullptr, options, metrics, log)
                .status()
                .code(),
            StatusCode::kInvalidArgument);
  options.next = "127.0.0.1:7";
  EXPECT_EQ(NodeServer::Start(tail, tail_queue, TinyNetwork::Codec("fp32", 3), nullptr, options, metrics, log)
                .status()
                .code(),
            StatusCode::kInvalidArgument);
  options.next.clear();
  options.listen = "0.0.0.0:0";
  const Status open =
      NodeServer::Start(tail, tail_queue, TinyNetwork::Codec("fp32", 3), nullptr, options, metrics, log).status();
  EXPECT_EQ(open.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(open.message().find("sluice keys"), std::string::npos);
}

TEST(NodeTokenTest, RejectsCallersWithoutTheToken) {
  NodeOptions options;
  options.trust.token = "s3cret";
  const TestNode node = TestNode::Serve(3, 6, "fp32", options);
  for (const char* shown : {"", "Bearer wrong", "Bearer s3cret ", "s3cret", "Bearer "}) {
    RawClient client(node.server->address(), shown);
    client.Say(SoundHello());
    EXPECT_EQ(client.End().code(), StatusCode::kDenied) << shown;
  }
  TrustOptions trust;
  trust.token = "s3cret";
  EXPECT_TRUE(
      TestHead::Connect(3, "fp32", node.server->address(), trust).head->Generate(RequestOf(9, 1), nullptr).ok());
}

}  // namespace
}  // namespace sluice
