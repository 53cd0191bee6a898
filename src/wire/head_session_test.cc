#include "wire/head_session.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <functional>
#include <thread>

#include "base/clock.h"
#include "base/file.h"
#include "codec/certified_sample.h"
#include "wire/handshake.h"
#include "wire/tiny_network_test.h"

namespace sluice {
namespace {

TEST(HeadSessionTest, MatchesTheUncutRunOverOneToFourNodes) {
  const HeadRequest request = RequestOf(37, 5);
  const std::vector<int64_t> expected = TinyNetwork::Uncut(request);
  const TestNode tail = TestNode::Serve(5, 6, "fp32");
  const TestNode third = TestNode::Serve(3, 5, "fp32", {.next = tail.server->address()});
  const TestNode second = TestNode::Serve(2, 3, "fp32", {.next = third.server->address()});
  const TestNode whole = TestNode::Serve(2, 6, "fp32");
  const std::vector<std::pair<uint32_t, std::string>> chains = {{5, tail.server->address()},
                                                                {3, third.server->address()},
                                                                {2, second.server->address()},
                                                                {2, whole.server->address()}};
  for (const auto& [end, target] : chains) {
    const auto outcome = TestHead::Connect(end, "fp32", target).head->Generate(request, nullptr);
    ASSERT_TRUE(outcome.ok()) << outcome.status().ToString();
    EXPECT_EQ(IdsOf(*outcome), expected) << "head of " << end << " layers";
    EXPECT_EQ(outcome->resumes, 0U);
  }
}

TEST(HeadSessionTest, MatchesTheCutRunThroughLossyCodecs) {
  const HeadRequest request = RequestOf(40, 9);
  for (const char* spec : {"fp16", "int8", "q80", "int4"}) {
    const TestNode tail = TestNode::Serve(3, 6, spec);
    const auto outcome = TestHead::Connect(3, spec, tail.server->address()).head->Generate(request, nullptr);
    ASSERT_TRUE(outcome.ok()) << outcome.status().ToString();
    EXPECT_EQ(IdsOf(*outcome), TinyNetwork::CutRun(request, 3, spec)) << spec;
    EXPECT_LT(outcome->wire_bytes, outcome->raw_bytes);
  }
}

TEST(HeadSessionTest, MatchesEachOtherWhateverElseIsServed) {
  const TestNode tail = TestNode::Serve(4, 6, "fp32");
  const TestNode relay = TestNode::Serve(2, 4, "fp32", {.next = tail.server->address()});
  TestHead test = TestHead::Connect(2, "fp32", relay.server->address());
  std::vector<std::vector<int64_t>> got(8);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < got.size(); ++i) {
    threads.emplace_back([&, i] {
      const auto outcome = test.head->Generate(RequestOf(20 + 7 * i, i), nullptr);
      if (outcome.ok()) got[i] = IdsOf(*outcome);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], TinyNetwork::Uncut(RequestOf(20 + 7 * i, i))) << i;
  EXPECT_EQ(tail.server->sessions(), 0U);
}

TEST(HeadSessionTest, CostsNoWaitToReportThatNobodyListens) {
  const TestNode tail = TestNode::Serve(3, 6, "fp16");
  const auto peer = LinkPeer::Make(tail.server->address(), {});
  ASSERT_TRUE(peer.ok()) << peer.status().ToString();
  const auto connected = peer->Connect(10, nullptr);
  ASSERT_TRUE(connected.has_value());
  EXPECT_LT(*connected, 10);
  EXPECT_TRUE(peer->Connect(1, nullptr).has_value()) << "the connection is kept";
  const auto nobody = LinkPeer::Make("127.0.0.1:1", {});
  ASSERT_TRUE(nobody.ok()) << nobody.status().ToString();
  EXPECT_FALSE(nobody->Connect(3600, nullptr).has_value());
  EXPECT_FALSE(nobody->Connect(3600, [] { return true; }).has_value());
}

// A node that does not answer the Hello before it has seen a frame.
class LateWelcome final : public wire::Link::Service {
 public:
  grpc::Status Session(grpc::ServerContext*, grpc::ServerReaderWriter<wire::Reply, wire::Request>* stream) override {
    wire::Request hello, frame;
    if (!stream->Read(&hello) || !stream->Read(&frame)) return {grpc::StatusCode::INTERNAL, "no frame"};
    wire::Reply welcome, ack;
    welcome.mutable_welcome()->set_window(1);
    ack.mutable_ack()->set_sampled(true);
    ack.mutable_ack()->set_stop(true);
    stream->Write(welcome);
    stream->Write(ack);
    while (stream->Read(&frame)) {  // the head is the one that ends a session
    }
    return grpc::Status::OK;
  }
};

// A server of any service, on loopback.
struct RawServer {
  explicit RawServer(grpc::Service& service) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service);
    server = builder.BuildAndStart();
    address = "127.0.0.1:" + std::to_string(port);
  }

  std::unique_ptr<grpc::Server> server;
  std::string address;
};

TEST(HeadSessionTest, CostsNoRoundTripBeforeTheFirstFrame) {
  LateWelcome node;
  const RawServer server(node);
  const HeadRequest request = RequestOf(8, 5);  // one chunk
  const auto outcome = TestHead::Connect(2, "fp32", server.address).head->Generate(request, nullptr);
  ASSERT_TRUE(outcome.ok()) << outcome.status().ToString();
  EXPECT_TRUE(outcome->stopped);
  EXPECT_EQ(outcome->resumes, 0U);
}

// A node that answers every frame with token 1, whatever the time, and leaves the end of a session to `last`.
class Answers final : public wire::Link::Service {
 public:
  using Stream = grpc::ServerReaderWriter<wire::Reply, wire::Request>;
  using Last = std::function<grpc::Status(grpc::ServerContext& context, Stream& stream)>;

  /// `most`: of frames that are answered, in all sessions, before the rest is left to `last`.
  Answers(uint64_t most, Last last) : most_(most), last_(std::move(last)) {}

  grpc::Status Session(grpc::ServerContext* context, Stream* stream) override {
    ++sessions;
    wire::Request request;
    wire::Reply welcome;
    welcome.mutable_welcome()->set_window(4);
    if (!stream->Read(&request)) return {grpc::StatusCode::INTERNAL, "no Hello"};
    stream->Write(welcome);
    while (answered_ < most_ && stream->Read(&request)) {
      ++answered_;
      wire::Reply reply;
      reply.mutable_ack()->set_sequence(request.frame().sequence());
      reply.mutable_ack()->set_sampled(request.frame().sample());
      if (request.frame().sample()) reply.mutable_ack()->set_token(1);
      stream->Write(reply);
    }
    return last_(*context, *stream);
  }

  std::atomic<int> sessions = 0;

 private:
  std::atomic<uint64_t> answered_ = 0;
  uint64_t most_;
  Last last_;
};

// A prompt of one chunk and as many tokens.
HeadRequest ShortRequest(uint64_t tokens) {
  HeadRequest request = RequestOf(8, 5);
  request.max_new_tokens = tokens;
  return request;
}

TEST(HeadSessionTest, RegressesAReplayOfASessionThatIsDone) {
  Answers node(UINT64_MAX, [](auto&, auto&) { return grpc::Status(grpc::StatusCode::UNAVAILABLE, "it fell over"); });
  const RawServer server(node);
  TestHead test = TestHead::Connect(2, "fp32", server.address, {}, /*retry_seconds=*/2);
  const auto outcome = test.head->Generate(ShortRequest(5), nullptr);
  ASSERT_TRUE(outcome.ok()) << outcome.status().ToString();
  EXPECT_EQ(IdsOf(*outcome), std::vector<int64_t>(5, 1));
  EXPECT_EQ(node.sessions, 1);
  EXPECT_EQ(outcome->resumes, 0U);
}

TEST(HeadSessionTest, RegressesTheWaitForAReplayThatNobodyNeeds) {
  // The stream is lost with the last answer, and the one that replaces it answers nothing.
  std::atomic<bool> lost = false;
  Answers node(2, [&](grpc::ServerContext& context, Answers::Stream&) {
    if (!lost.exchange(true)) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "it fell over");
    while (!context.IsCancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return grpc::Status::CANCELLED;
  });
  const RawServer server(node);
  TestHead test = TestHead::Connect(2, "fp32", server.address, {}, /*retry_seconds=*/3, /*stall_seconds=*/3);
  const auto start = Clock::now();
  size_t seen = 0;
  const auto outcome = test.head->Generate(ShortRequest(2), [&](const SampledToken&) {
    const bool last = ++seen == 2;
    while (last && node.sessions < 2 && SecondsSince(start) < 1) std::this_thread::yield();  // until the replay begins
    return true;
  });
  ASSERT_TRUE(outcome.ok()) << outcome.status().ToString();
  EXPECT_EQ(outcome->tokens.size(), 2U);
  EXPECT_LT(SecondsSince(start), 2.5);
}

TEST(HeadSessionTest, RegressesTheEndlessWaitForTheEndOfASession) {
  Answers node(UINT64_MAX, [](grpc::ServerContext& context, Answers::Stream&) {
    const auto start = Clock::now();
    while (!context.IsCancelled() && SecondsSince(start) < 5)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return grpc::Status::OK;
  });
  const RawServer server(node);
  TestHead test = TestHead::Connect(2, "fp32", server.address, {}, /*retry_seconds=*/0, /*stall_seconds=*/0.5);
  const auto start = Clock::now();
  const auto outcome = test.head->Generate(ShortRequest(3), nullptr);
  ASSERT_TRUE(outcome.ok()) << outcome.status().ToString();
  EXPECT_LT(SecondsSince(start), 3);
}

// How a session ends whose head takes 50 ms a run and is alone with its deadline of 0.3 s, since the node does not look
// at that of its Hello.
void ExpectTimedOut(HeadRequest request) {
  Answers node(UINT64_MAX, [](auto&, auto&) { return grpc::Status::OK; });
  const RawServer server(node);
  SlowNetwork slow(0, 2, /*seconds=*/0.05);
  StageQueue queue(slow);
  const TestHead test = TestHead::Connect(2, "fp32", server.address);
  Head head(slow, queue, *test.codec, *test.peer, {}, /*retry_seconds=*/0, *test.metrics, *test.log);
  request.deadline_seconds = 0.3;
  const Status status = head.Generate(request, nullptr).status();
  EXPECT_EQ(status.code(), StatusCode::kTimedOut) << status.ToString();
  EXPECT_NE(status.message().find("the session's 0.3 s are over"), std::string::npos) << status.ToString();
  EXPECT_LT(slow.runs(), 15);
}

TEST(HeadSessionTest, RegressesADeadlineThatPassesWhileThePromptIsSent) {
  ExpectTimedOut(RequestOf(160, 5));  // 20 chunks, one second
}

TEST(HeadSessionTest, RegressesADeadlineThatPassesBetweenTokens) { ExpectTimedOut(ShortRequest(20)); }

TEST(HeadSessionTest, MatchesGreedyTokensAndGivesTheirProbabilities) {
  HeadRequest request = RequestOf(10, 3);
  request.sampling.temperature = 0;
  request.log_probabilities = true;
  const TestNode tail = TestNode::Serve(3, 6, "fp32");
  const auto outcome = TestHead::Connect(3, "fp32", tail.server->address()).head->Generate(request, nullptr);
  ASSERT_TRUE(outcome.ok()) << outcome.status().ToString();
  EXPECT_EQ(IdsOf(*outcome), TinyNetwork::Uncut(request));
  // The likeliest of V tokens has at least the probability 1 / V.
  for (const SampledToken& token : outcome->tokens) {
    EXPECT_LE(token.log_probability, 0);
    EXPECT_GE(token.log_probability, -std::log(static_cast<double>(TinyNetwork::kVocab)));
  }
}

TEST(HeadSessionTest, MatchesTheCutRunUpToAStopToken) {
  HeadRequest request = RequestOf(10, 3);
  const auto all = TinyNetwork::Uncut(request);
  request.stop = {all[6]};
  const TestNode tail = TestNode::Serve(3, 6, "fp32");
  const auto outcome = TestHead::Connect(3, "fp32", tail.server->address()).head->Generate(request, nullptr);
  ASSERT_TRUE(outcome.ok()) << outcome.status().ToString();
  EXPECT_EQ(IdsOf(*outcome), TinyNetwork::Uncut(request));
  EXPECT_TRUE(outcome->stopped);
}

TEST(HeadSessionTest, RoundTripsValuesThatTheCodecCannotTake) {
  const auto codec = TinyNetwork::Codec("int8", 3);
  LinkSender sender = *LinkSender::Make(*codec);
  LinkReceiver receiver(*codec);
  Matrix<float> odd(2, TinyNetwork::kWidth);
  odd.row(1)[3] = INFINITY;
  const Result<LinkFrame> frame = sender.Push(odd.View());
  ASSERT_TRUE(frame.ok());
  EXPECT_TRUE(frame->stored);
  EXPECT_EQ(receiver.Pull(*frame)->row(1)[3], INFINITY);
  LinkFrame damaged = *frame;
  damaged.payload[5] ^= 1;
  EXPECT_EQ(receiver.Pull(damaged).status().code(), StatusCode::kCorrupt);
  damaged.payload.pop_back();
  EXPECT_EQ(receiver.Pull(damaged).status().code(), StatusCode::kCorrupt);
  Matrix<float> plain(1, TinyNetwork::kWidth);
  const Result<LinkFrame> next = sender.Push(plain.View());
  EXPECT_FALSE(next->stored);
  EXPECT_TRUE(receiver.Pull(*next).ok());
}

TEST(HeadSessionTest, RejectsTheOperatingPointThatIsBelowTheRequirement) {
  const std::string pack = testing::TempDir() + "certified_link.pack";
  ASSERT_TRUE(WriteFileAtomic(pack, CertifiedSample(TinyNetwork::kWidth, 3)).ok());
  const TestNode tail = TestNode::Serve(3, 6, pack);
  HeadRequest request = RequestOf(10, 1);
  request.requirement = "ppl<=1.025";
  const auto run = [&](const std::string& spec) {
    return TestHead::Connect(3, spec, tail.server->address()).head->Generate(request, nullptr).status();
  };
  EXPECT_TRUE(run(pack).ok()) << "point 0";
  EXPECT_TRUE(run(pack + "@1").ok());
  EXPECT_EQ(run(pack + "@2").code(), StatusCode::kMismatch);
  EXPECT_NE(run(pack + "@2").message().find("\"p2\": ppl<=1.025 is required, certified is 1.0300"), std::string::npos);
  // The node judges what the Hello says, and every frame.
  const auto codec = TinyNetwork::Codec(pack + "@2", 3);
  const TinyNetwork head(0, 3);
  SessionWish wish;
  wish.session = std::string(32, 'a');
  wish.positions = 5;
  wish.requirement = request.requirement;
  const TinyNetwork stage(3, 6);
  wire::Hello hello = MakeHello(wish, head.info(), *codec);
  EXPECT_EQ(hello.codec().point(), 2u);
  EXPECT_EQ(CheckHello(hello, stage.info(), *codec, {}).code(), StatusCode::kMismatch);
  hello.mutable_codec()->set_point(1);
  EXPECT_TRUE(CheckHello(hello, stage.info(), *codec, {}).ok());
  for (const uint32_t point : {3u, 0xffffffffu}) {
    hello.mutable_codec()->set_point(point);
    EXPECT_EQ(CheckHello(hello, stage.info(), *codec, {}).code(), StatusCode::kMismatch) << point;
  }
  LinkSender sender = *LinkSender::Make(*codec);
  LinkReceiver receiver(*codec, *JudgeRequirement(*codec, request.requirement));
  const Matrix<float> hidden(4, TinyNetwork::kWidth);
  EXPECT_EQ(receiver.Pull(*sender.Push(hidden.View())).status().code(), StatusCode::kMismatch);
}

TEST(HeadSessionTest, RejectsWhatDoesNotFitByName) {
  const TestNode tail = TestNode::Serve(3, 6, "fp16");
  const auto refusal = [&](uint32_t end, const std::string& spec, const HeadRequest& request) {
    return TestHead::Connect(end, spec, tail.server->address()).head->Generate(request, nullptr).status();
  };
  const HeadRequest request = RequestOf(10, 1);
  EXPECT_EQ(refusal(2, "fp16", request).code(), StatusCode::kMismatch);
  EXPECT_NE(refusal(2, "fp16", request).message().find("cut: this node has layers 3:6"), std::string::npos);
  EXPECT_NE(refusal(3, "int8", request).message().find("codec: this node has fp16"), std::string::npos);
  HeadRequest certified = request;
  certified.requirement = "ppl<=1.02";
  EXPECT_NE(refusal(3, "fp16", certified).message().find("certificate: codec fp16 has none"), std::string::npos);
  HeadRequest hot = request;
  hot.sampling.temperature = -1;
  EXPECT_EQ(refusal(3, "fp16", hot).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(refusal(3, "fp16", RequestOf(0, 1)).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(refusal(3, "fp16", RequestOf(TinyNetwork::kContext, 1)).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(tail.server->sessions(), 0U);
}

TEST(HeadSessionTest, RejectsToWaitForANodeWhenItIsStopped) {
  HeadRequest request = RequestOf(10, 1);
  request.give_up = [] { return true; };
  const auto outcome = TestHead::Connect(3, "fp32", "127.0.0.1:9", {}, 1000).head->Generate(request, nullptr);
  EXPECT_EQ(outcome.status().code(), StatusCode::kInterrupted);
}

TEST(HeadSessionTest, RejectsASessionWhoseTimeIsOver) {
  HeadRequest request = RequestOf(10, 1);
  request.deadline_seconds = 0.5;
  const auto outcome = TestHead::Connect(3, "fp32", "127.0.0.1:9", {}, 1000).head->Generate(request, nullptr);
  EXPECT_EQ(outcome.status().code(), StatusCode::kTimedOut);
}

TEST(HeadSessionTest, RejectsAnAbsentNodeAfterItsPatience) {
  const auto outcome = TestHead::Connect(3, "fp32", "127.0.0.1:9").head->Generate(RequestOf(10, 1), nullptr);
  EXPECT_EQ(outcome.status().code(), StatusCode::kUnavailable);
}

TEST(HeadSessionTest, MatchesTheUndisturbedRunAfterTheTailIsReplaced) {
  HeadRequest request = RequestOf(30, 11);
  request.max_new_tokens = 40;
  const auto expected = TinyNetwork::Uncut(request);
  TestNode tail = TestNode::Serve(4, 6, "fp32");
  const std::string address = tail.server->address();
  const TestNode relay = TestNode::Serve(2, 4, "fp32", {.next = address});
  TestHead test = TestHead::Connect(2, "fp32", relay.server->address(), {}, 20);
  size_t seen = 0;
  const auto outcome = test.head->Generate(request, [&](const SampledToken&) {
    if (++seen == 17) {
      tail.server.reset();
      tail = TestNode::Serve(4, 6, "fp32", {.listen = address});
    }
    return true;
  });
  ASSERT_TRUE(outcome.ok()) << outcome.status().ToString();
  EXPECT_EQ(IdsOf(*outcome), expected);
  EXPECT_EQ(seen, expected.size());
  EXPECT_GE(outcome->resumes, 1U);
}

TEST(HeadSessionTest, RejectsAReplayThatGoesAnotherWay) {
  HeadRequest request = RequestOf(30, 11);
  request.max_new_tokens = 40;
  TestNode tail = TestNode::Serve(3, 6, "fp32");
  const std::string address = tail.server->address();
  TestHead test = TestHead::Connect(3, "fp32", address, {}, 20);
  // Same model by name, other weights: what a node that drifts would do.
  class Drifted final : public StageRunner {
   public:
    const StageInfo& info() const override { return named_.info(); }
    Result<std::unique_ptr<StageState>> NewState(uint64_t n) override { return real_.NewState(n); }
    Result<std::unique_ptr<TokenSampler>> NewSampler(const SamplingChoice& c) override { return real_.NewSampler(c); }
    Result<Matrix<float>> Embed(StageState& s, std::span<const int64_t> t) override { return real_.Embed(s, t); }
    Result<Matrix<float>> Run(StageState& s, MatrixView<const float> h) override { return real_.Run(s, h); }
    Result<std::vector<float>> Logits(std::span<const float> h) override { return real_.Logits(h); }

   private:
    TinyNetwork named_{3, 6}, real_{3, 6, 2};
  };
  Drifted drifted;
  StageQueue queue(drifted);
  WireMetrics metrics;
  const WireLog log;
  std::unique_ptr<NodeServer> other;
  size_t seen = 0;
  const auto outcome = test.head->Generate(request, [&](const SampledToken&) {
    if (++seen == 5) {
      tail.server.reset();
      other =
          *NodeServer::Start(drifted, queue, TinyNetwork::Codec("fp32", 3), nullptr, {.listen = address}, metrics, log);
    }
    return true;
  });
  EXPECT_EQ(outcome.status().code(), StatusCode::kMismatch);
  EXPECT_NE(outcome.status().message().find("new token"), std::string::npos) << outcome.status().ToString();
  EXPECT_EQ(seen, 5U);
}

TEST(HeadSessionTest, CostsNoStateOnceCancelled) {
  const TestNode tail = TestNode::Serve(4, 6, "fp32");
  const TestNode relay = TestNode::Serve(2, 4, "fp32", {.next = tail.server->address()});
  TestHead test = TestHead::Connect(2, "fp32", relay.server->address());
  const auto outcome = test.head->Generate(RequestOf(30, 2), [](const SampledToken&) { return false; });
  ASSERT_TRUE(outcome.ok());
  EXPECT_TRUE(outcome->cancelled);
  EXPECT_EQ(outcome->tokens.size(), 1U);
  for (int i = 0; i < 500 && tail.server->sessions() + relay.server->sessions() > 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(tail.server->sessions() + relay.server->sessions(), 0U);
}

TEST(HeadSessionTest, CostsAreCountedByPhase) {
  const TestNode tail = TestNode::Serve(3, 6, "fp16");
  TestHead test = TestHead::Connect(3, "fp16", tail.server->address());
  const auto outcome = test.head->Generate(RequestOf(20, 2), nullptr);
  ASSERT_TRUE(outcome.ok());
  const std::string link = "{link=\"" + tail.server->address() + "\",codec=\"fp16\",";
  const std::string sent = test.metrics->Text(), received = tail.metrics->Text();
  EXPECT_NE(sent.find("sluice_tokens_total" + link + "phase=\"prefill\",dir=\"sent\"} 20\n"), std::string::npos)
      << sent;
  EXPECT_NE(sent.find("sluice_tokens_total" + link + "phase=\"decode\",dir=\"sent\"} 23\n"), std::string::npos);
  EXPECT_NE(received.find("sluice_tokens_total" + link + "phase=\"prefill\",dir=\"received\"} 20\n"),
            std::string::npos);
  EXPECT_NE(sent.find("sluice_raw_bytes_total" + link + "phase=\"prefill\",dir=\"sent\"} 1280\n"), std::string::npos);
  EXPECT_NE(sent.find("sluice_rtt_seconds_count{link=\"" + tail.server->address() + "\",phase=\"decode\"} 23\n"),
            std::string::npos);
}

}  // namespace
}  // namespace sluice
