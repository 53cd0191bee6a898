// A gateway on a real socket, with the shipped tokenizer. What continues a prompt is a script: it recites a text, token
// by token, at the pace that a test needs.
#include "gateway/gateway.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>

#include "base/clock.h"
#include "base/file.h"
#include "wire/keys/trial_keys.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using ::testing::HasSubstr;

constexpr char kRecited[] = "the quick brown fox 😀 jumps over the lazy dog";

class GatewayTest : public ::testing::Test {
 protected:
  GatewayTest() {
    model_.name = "tiny";
    model_.tokenizer = tokenizer_.get();
    model_.encoder = &encoder_;
    model_.context = 256;
    model_.vocabulary = tokenizer_->vocab_size();
    model_.stop_tokens = {2};
    model_.go_on = [this](const auto& request, const auto& on_token) { return Recite(request, on_token); };
    options_.listen = "127.0.0.1:0";
  }

  Result<HeadOutcome> Recite(const HeadRequest& request, const std::function<bool(const SampledToken&)>& on_token) {
    last_ = request;
    HeadOutcome outcome;
    for (const int32_t id : ids_) {
      if (outcome.tokens.size() == fail_after_) return failure_;
      if (outcome.tokens.size() == request.max_new_tokens) return outcome;
      std::this_thread::sleep_for(std::chrono::milliseconds(pace_ms_));
      if (request.give_up()) return Interrupted("given up");
      outcome.tokens.push_back({id, -0.5});
      ++recited_;
      if (!on_token(outcome.tokens.back())) return outcome;
    }
    outcome.stopped = true;
    return outcome;
  }

  void Start() {
    auto gateway = Gateway::Start(model_, options_, metrics_, log_);
    ASSERT_TRUE(gateway.ok()) << gateway.status().ToString();
    gateway_ = std::move(*gateway);
  }
  int Port() const { return std::stoi(gateway_->address().substr(gateway_->address().rfind(':') + 1)); }

  struct Reply {
    int http = 0;
    std::string body;
    httplib::Headers headers;
    Json json() const { return Json::parse(body, nullptr, false); }
  };
  Reply Post(const std::string& path, const std::string& body, const httplib::Headers& headers = {},
             const char* type = "application/json") const {
    httplib::Client client("127.0.0.1", Port());
    const auto result = client.Post(path, headers, body, type);
    return result ? Reply{result->status, result->body, result->headers} : Reply{};
  }
  Reply Get(const std::string& path, const httplib::Headers& headers = {}) const {
    httplib::Client client("127.0.0.1", Port());
    const auto result = client.Get(path, headers);
    return result ? Reply{result->status, result->body, result->headers} : Reply{};
  }
  /// The events of a stream, without the last one, which is checked.
  static std::vector<Json> Events(const std::string& body) {
    std::vector<Json> events;
    size_t at = 0;
    for (size_t end; (end = body.find("\n\n", at)) != std::string::npos; at = end + 2) {
      EXPECT_EQ(body.compare(at, 6, "data: "), 0) << body;
      events.push_back(Json::parse(body.substr(at + 6, end - at - 6), nullptr, false));
    }
    EXPECT_EQ(at, body.size());
    EXPECT_TRUE(body.ends_with("data: [DONE]\n\n")) << body;
    if (!events.empty()) events.pop_back();
    return events;
  }
  /// A connection of our own, for what no client library would do.
  int Connect() const {
    const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(Port()));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return socket;
  }
  static void Send(int socket, const std::string& text) {
    EXPECT_EQ(send(socket, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  static std::string ReadAll(int socket) {
    std::string all;
    std::array<char, 4096> buffer{};
    for (ssize_t count; (count = recv(socket, buffer.data(), buffer.size(), 0)) > 0;) {
      all.append(buffer.data(), static_cast<size_t>(count));
    }
    return all;
  }
  static std::string RawPost(const std::string& body) {
    return "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  /// That many clients whose requests do not go on.
  std::vector<int> ConnectAndStall(int count) const {
    std::vector<int> sockets;
    for (int i = 0; i < count; ++i) {
      sockets.push_back(Connect());
      Send(sockets.back(), "POST /v1/completions HTTP/1.1\r\nHost:");
    }
    return sockets;
  }
  static bool WaitFor(const std::function<bool()>& holds) {
    const auto end = Clock::now() + std::chrono::seconds(60);
    while (!holds()) {
      if (Clock::now() > end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
  }
  bool WaitForActive(size_t count) const {
    return WaitFor([&] { return gateway_->active() == count; });
  }

  const std::unique_ptr<Tokenizer> tokenizer_ =
      std::move(*LoadTokenizer(fs::path(SLUICE_SOURCE_DIR) / "models/default"));
  const PromptEncoder encoder_ =
      std::move(*PromptEncoder::Make(*tokenizer_, fs::path(SLUICE_SOURCE_DIR) / "models/default", "plain"));
  std::vector<int32_t> ids_ = *tokenizer_->Encode(kRecited);
  std::atomic<size_t> recited_ = 0;  // tokens, of all requests
  int pace_ms_ = 0;
  size_t fail_after_ = SIZE_MAX;
  Status failure_ = OkStatus();
  HeadRequest last_;
  GatewayModel model_;
  GatewayOptions options_;
  WireMetrics metrics_;
  WireLog log_;
  std::unique_ptr<Gateway> gateway_;
};

TEST_F(GatewayTest, MatchesTheSameCompletionWholeAndStreamed) {
  Start();
  const std::string fields = R"("prompt":"Once","max_tokens":100,"seed":7,"temperature":0.5,"top_p":0.9)";
  const Reply whole = Post("/v1/completions", "{" + fields + R"(,"logprobs":0,"return_token_ids":true})");
  ASSERT_EQ(whole.http, 200) << whole.body;
  const Json choice = whole.json()["choices"][0];
  EXPECT_EQ(choice["text"], kRecited);
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(choice["token_ids"], ids_);
  EXPECT_EQ(choice["logprobs"]["token_logprobs"].size(), ids_.size());
  EXPECT_EQ(whole.json()["usage"]["completion_tokens"], ids_.size());
  EXPECT_EQ(whole.json()["usage"]["prompt_tokens"], last_.prompt.size());
  EXPECT_EQ(last_.sampling.seed, 7U);
  EXPECT_EQ(last_.sampling.temperature, 0.5);
  EXPECT_EQ(last_.sampling.top_p, 0.9);

  const Reply stream = Post("/v1/completions", "{" + fields + R"(,"stream":true,"logprobs":0,"return_token_ids":true,
      "stream_options":{"include_usage":true}})");
  EXPECT_EQ(stream.http, 200);
  EXPECT_EQ(stream.headers.find("Content-Type")->second, "text/event-stream");
  std::string text;
  std::vector<int32_t> ids;
  const std::vector<Json> events = Events(stream.body);
  ASSERT_GT(events.size(), 5U);
  for (size_t i = 0; i + 1 < events.size(); ++i) {
    EXPECT_TRUE(events[i]["usage"].is_null());
    EXPECT_EQ(events[i]["id"], events[0]["id"]);
    const Json part = events[i]["choices"][0];
    text += part["text"];
    for (const Json& id : part["token_ids"]) ids.push_back(id);
    EXPECT_EQ(part["finish_reason"].is_null(), i + 2 < events.size());
  }
  EXPECT_EQ(text, choice["text"]);
  EXPECT_EQ(ids, ids_);
  EXPECT_EQ(events.back()["choices"], Json::array());
  EXPECT_EQ(events.back()["usage"], whole.json()["usage"]);
}

TEST_F(GatewayTest, MatchesLimitsStopsAndEchoes) {
  Start();
  const auto choice = [&](const std::string& fields) {
    return Post("/v1/completions", "{" + fields + "}").json()["choices"][0];
  };
  const Json length = choice(R"("prompt":"Once","max_tokens":3,"return_token_ids":true)");
  EXPECT_EQ(length["finish_reason"], "length");
  EXPECT_EQ(length["token_ids"].size(), 3U);
  const Json stop = choice(R"("prompt":"Once","max_tokens":100,"stop":["zz","😀 ju"])");
  EXPECT_EQ(stop["text"], "the quick brown fox ");
  EXPECT_EQ(stop["finish_reason"], "stop");
  EXPECT_EQ(choice(R"("prompt":"Once","max_tokens":100,"echo":true,"stop":" quick")")["text"], "Oncethe");
  const Reply many = Post("/v1/completions", R"({"prompt":["a",[5,6,7]],"max_tokens":2,"echo":true})");
  ASSERT_EQ(many.json()["choices"].size(), 2U);
  EXPECT_EQ(many.json()["choices"][1]["index"], 1);
  EXPECT_EQ(last_.prompt, (std::vector<int64_t>{5, 6, 7})) << "token ids are taken as they are";
  EXPECT_EQ(many.json()["usage"]["completion_tokens"], 4);
}

TEST_F(GatewayTest, MatchesTheSameChatWholeAndStreamed) {
  Start();
  const std::string fields = R"("model":"tiny","messages":[{"role":"user","content":"Hi"}])";
  const Reply whole = Post("/v1/chat/completions", "{" + fields + R"(,"logprobs":true})");
  ASSERT_EQ(whole.http, 200) << whole.body;
  const Json choice = whole.json()["choices"][0];
  EXPECT_EQ(choice["message"]["role"], "assistant");
  EXPECT_EQ(choice["message"]["content"], kRecited);
  EXPECT_EQ(choice["logprobs"]["content"].size(), ids_.size());
  EXPECT_EQ(last_.prompt, *encoder_.Chat(std::vector<ChatMessage>{{"user", "Hi"}}));
  const std::vector<Json> events = Events(Post("/v1/chat/completions", "{" + fields + R"(,"stream":true})").body);
  ASSERT_GT(events.size(), 3U);
  EXPECT_EQ(events[0]["object"], "chat.completion.chunk");
  EXPECT_EQ(events[0]["choices"][0]["delta"]["role"], "assistant");
  std::string text;
  for (const Json& event : events) text += event["choices"][0]["delta"].value("content", "");
  EXPECT_EQ(text, kRecited);
  EXPECT_EQ(events.back()["choices"][0]["finish_reason"], "stop");
}

TEST_F(GatewayTest, RejectsWithTheRightCodeAndName) {
  options_.limits.new_tokens = 200;
  options_.limits.prompt_tokens = 20;
  options_.limits.body_bytes = 2000;
  Start();
  const auto refused = [&](const std::string& body, int http, const char* param, const char* code,
                           const char* path = "/v1/completions") {
    const Reply reply = Post(path, body);
    const Json error = reply.json()["error"];
    EXPECT_EQ(reply.http, http) << body << reply.body;
    EXPECT_EQ(error["param"].is_null() ? "" : error["param"].get<std::string>(), param) << reply.body;
    EXPECT_EQ(error["code"].is_null() ? "" : error["code"].get<std::string>(), code) << reply.body;
    EXPECT_FALSE(error["message"].get<std::string>().empty());
  };
  refused("{", 400, "", "");
  refused(R"({"prompt":"a","max_tokens":"x"})", 400, "max_tokens", "");
  refused(R"({"prompt":"a","n":3})", 400, "n", "unsupported_value");
  refused(R"({"prompt":"a","model":"gpt-4"})", 404, "model", "model_not_found");
  refused(R"({"prompt":"a","max_tokens":201})", 400, "max_tokens", "");
  refused(R"({"prompt":[9000]})", 400, "prompt", "");
  refused(R"({"prompt":[]})", 400, "prompt", "");
  refused(R"({"prompt":[[]]})", 400, "prompt", "");
  refused("{\"prompt\":" + Json(std::vector<int>(100, 5)).dump() + ",\"max_tokens\":157}", 400, "prompt",
          "context_length_exceeded");
  refused("{\"prompt\":" + Json(std::vector<int>(21, 5)).dump() + "}", 400, "prompt", "");
  refused("{\"prompt\":\"" + std::string(3000, 'a') + "\"}", 413, "", "");
  refused("{}", 404, "", "", "/v1/embeddings");
  EXPECT_EQ(Post("/v1/completions", "prompt=a", {}, "application/x-www-form-urlencoded").http, 415);
  EXPECT_EQ(Post("/v1/completions", "x", {{"Content-Encoding", "gzip"}}).http, 415);
  EXPECT_TRUE(WaitForActive(0));
}

TEST_F(GatewayTest, RejectsBodiesThatAreSentInChunksBeyondTheLimit) {
  options_.limits.body_bytes = 1000;
  Start();
  const int socket = Connect();
  Send(socket,
       "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
       "Transfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 10; ++i)
    (void)send(socket, ("100\r\n" + std::string(256, ' ') + "\r\n").c_str(), 263, MSG_NOSIGNAL);
  EXPECT_THAT(ReadAll(socket), HasSubstr("413"));
  close(socket);
}

long PeakKiB() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

// Heads, and bodies that no route asks for, are bounded as well: nothing is collected that nobody reads.
TEST_F(GatewayTest, CostsNoMemoryWhenARequestHasNoEnd) {
  options_.limits.body_bytes = 1000;
  Start();
  const std::string piece(4096, 'a');
  const long before = PeakKiB();
  const auto endless = [&](const std::string& head, const std::string& each) {
    const int socket = Connect();
    Send(socket, head);
    size_t sent = 0;
    while (sent < (size_t{64} << 20) && send(socket, each.data(), each.size(), MSG_NOSIGNAL) > 0) sent += each.size();
    close(socket);
  };
  endless("GET /", piece);
  endless("GET /health HTTP/1.1\r\n", "X-" + piece + ": a\r\n");
  endless("PUT /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "1000\r\n" + piece + "\r\n");
  EXPECT_LT(PeakKiB() - before, 16 << 10);
  for (const auto& [method, path, code] : {std::tuple{"PUT", "/x", "404"},
                                           {"DELETE", "/v1/completions", "405"},
                                           {"GET", "/v1/chat/completions", "405"},
                                           {"POST", "/health", "405"}}) {
    const int socket = Connect();
    Send(socket, std::string(method) + " " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
    EXPECT_THAT(ReadAll(socket), HasSubstr(code));
    close(socket);
  }
  EXPECT_EQ(Get("/health").http, 200);
}

TEST_F(GatewayTest, Regresses_TwoGatewaysNeverShareAPort) {
  Start();
  options_.listen = gateway_->address();
  const auto second = Gateway::Start(model_, options_, metrics_, log_);
  EXPECT_EQ(second.status().code(), StatusCode::kIo);
  EXPECT_THAT(second.status().message(), HasSubstr(gateway_->address()));
}

TEST_F(GatewayTest, RejectsBodiesThatComeTooSlowly) {
  options_.patience.request_seconds = 0.5;
  Start();
  const int socket = Connect();
  Send(socket,
       "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{");
  EXPECT_THAT(ReadAll(socket), HasSubstr("408"));
  close(socket);
}

TEST_F(GatewayTest, RejectsWithoutTheToken) {
  options_.token = "secret";
  Start();
  const std::string body = R"({"prompt":"a"})";
  EXPECT_EQ(Post("/v1/completions", body).http, 401);
  EXPECT_EQ(Post("/v1/completions", body, {{"Authorization", "Bearer secre"}}).http, 401);
  EXPECT_EQ(Post("/v1/completions", body, {{"Authorization", "Basic secret"}}).http, 401);
  EXPECT_EQ(Post("/v1/completions", body, {{"Authorization", "bearer secret"}}).http, 200);
  EXPECT_EQ(Get("/metrics").http, 401);
  EXPECT_EQ(Get("/v1/models").http, 401);
  EXPECT_EQ(Get("/v1/models", {{"Authorization", "Bearer secret"}}).json()["data"][0]["id"], "tiny");
  EXPECT_EQ(Get("/health").http, 200);
}

TEST_F(GatewayTest, RejectsAddressesThatAreNotGuarded) {
  const auto refused = [&](const char* part) {
    const auto gateway = Gateway::Start(model_, options_, metrics_, log_);
    EXPECT_EQ(gateway.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(gateway.status().message(), HasSubstr(part));
  };
  options_.listen = "0.0.0.0:0";
  refused("without keys");
  options_.trust.plaintext = true;
  refused("without a token");
  options_.listen = "here";
  refused("HOST:PORT");
}

TEST_F(GatewayTest, RejectsWhatFailsBehindItWithItsCode) {
  Start();
  const std::string body = R"({"prompt":"a"})", stream = R"({"prompt":"a","stream":true})";
  fail_after_ = 0;
  failure_ = Unavailable("node x: nobody is there");
  EXPECT_EQ(Post("/v1/completions", body).http, 503);
  EXPECT_EQ(Post("/v1/completions", stream).http, 503) << "known before the status line";
  failure_ = TimedOut("late");
  EXPECT_EQ(Post("/v1/completions", body).http, 504);
  fail_after_ = 3;
  const Reply late = Post("/v1/completions", stream);
  EXPECT_THAT(late.body, HasSubstr("\"error\""));
  EXPECT_THAT(late.body, ::testing::Not(HasSubstr("[DONE]")));
  EXPECT_TRUE(WaitForActive(0));
}

TEST_F(GatewayTest, CostsNothingOnceAClientIsGone) {
  pace_ms_ = 200;
  Start();
  for (const char* stream : {"true", "false"}) {
    const int socket = Connect();
    Send(socket, RawPost(std::string(R"({"prompt":"a","max_tokens":100,"stream":)") + stream + "}"));
    ASSERT_TRUE(WaitForActive(1));
    close(socket);
    const size_t at_the_end = recited_;
    EXPECT_TRUE(WaitForActive(0));
    EXPECT_LT(recited_ - at_the_end, 10U);  // two seconds at this pace
  }
  EXPECT_THAT(Get("/metrics").body, HasSubstr("sluice_http_cancelled_total 2\n"));
}

TEST_F(GatewayTest, RejectsMoreThanItsSessions) {
  options_.sessions = 2;
  pace_ms_ = 100;
  Start();
  std::vector<int> sockets;
  for (int i = 0; i < 2; ++i) {
    sockets.push_back(Connect());
    Send(sockets.back(), RawPost(R"({"prompt":"a","max_tokens":100})"));
  }
  ASSERT_TRUE(WaitForActive(2));
  const Reply third = Post("/v1/completions", R"({"prompt":"a"})");
  EXPECT_EQ(third.http, 429);
  EXPECT_EQ(third.headers.count("Retry-After"), 1U);
  for (const int socket : sockets) close(socket);
}

// Connections are taken in the order in which they were made, so the one after the last thread is turned away, however
// slow the machine.
TEST_F(GatewayTest, RejectsMoreConnectionsThanItHasThreads) {
  options_.connections = 3;
  options_.patience.request_seconds = 600;
  Start();
  const std::vector<int> sockets = ConnectAndStall(3);
  EXPECT_EQ(Get("/health").http, 503) << "all threads are taken";
  for (const int socket : sockets) close(socket);
  int refused = 1;
  Reply metrics;
  EXPECT_TRUE(WaitFor([&] {
    metrics = Get("/metrics");
    if (metrics.http == 503) ++refused;
    return metrics.http == 200;
  }));
  EXPECT_THAT(metrics.body, HasSubstr(fmt::format("sluice_http_refused_connections_total {}\n", refused)));
}

TEST_F(GatewayTest, RejectsSlowClients) {
  options_.connections = 3;
  options_.patience.request_seconds = 0.5;
  Start();
  const std::vector<int> sockets = ConnectAndStall(3);
  for (const int socket : sockets) {
    EXPECT_TRUE(WaitFor([&] { return send(socket, "x", 1, MSG_NOSIGNAL) < 0; })) << "a byte now and then keeps it in";
    close(socket);
  }
  EXPECT_TRUE(WaitFor([&] { return Get("/health").http == 200; }));
}

TEST_F(GatewayTest, MatchesTheWholeAnswerOfRunningRequestsWhenItDrains) {
  pace_ms_ = 20;
  Start();
  Reply reply;
  std::thread client([&] { reply = Post("/v1/completions", R"({"prompt":"a","max_tokens":100,"stream":true})"); });
  ASSERT_TRUE(WaitForActive(1));
  std::thread drain([&] { EXPECT_TRUE(gateway_->Drain(30)); });
  EXPECT_TRUE(WaitFor([&] { return Get("/health").http == 503; }));
  EXPECT_EQ(Post("/v1/completions", R"({"prompt":"a"})").http, 503);
  drain.join();
  gateway_.reset();
  client.join();
  EXPECT_EQ(Events(reply.body).back()["choices"][0]["finish_reason"], "stop");
}

TEST_F(GatewayTest, RejectsToWaitForEverWhenItDrains) {
  pace_ms_ = 100;
  Start();
  Reply reply;
  std::thread client([&] { reply = Post("/v1/completions", R"({"prompt":"a","max_tokens":100})"); });
  ASSERT_TRUE(WaitForActive(1));
  EXPECT_FALSE(gateway_->Drain(0.2));
  client.join();
  EXPECT_EQ(reply.http, 503);
}

TEST_F(GatewayTest, RoundTripsOverTls) {
  const fs::path folder = fs::path(::testing::TempDir()) / "gateway_keys";
  fs::remove_all(folder);
  ASSERT_TRUE(MakeTrialKeys(folder, {{"head", {}}}, 1).ok());
  options_.trust = *TrustFromFolder(folder / "head");
  Start();
  httplib::SSLClient client("127.0.0.1", Port());
  client.set_ca_cert_path((folder / "head/ca.pem").c_str());
  client.enable_server_certificate_verification(true);
  const auto reply =
      client.Post("/v1/completions", R"({"prompt":"a","max_tokens":100,"stream":true})", "application/json");
  ASSERT_TRUE(reply) << to_string(reply.error());
  EXPECT_EQ(reply->status, 200);
  EXPECT_GT(Events(reply->body).size(), 5U);
  httplib::SSLClient old("127.0.0.1", Port());
  old.enable_server_certificate_verification(false);
  SSL_CTX_set_max_proto_version(old.ssl_context(), TLS1_2_VERSION);
  EXPECT_FALSE(old.Get("/health"));
  EXPECT_EQ(Get("/health").http, 0) << "no plain HTTP there";
  fs::remove_all(folder);
}

TEST_F(GatewayTest, MatchesItsCountersWithItsRequests) {
  Start();
  Post("/v1/completions", R"({"prompt":"a","max_tokens":5})");
  Post("/v1/completions", "{");
  const std::string text = Get("/metrics").body;
  EXPECT_THAT(text, HasSubstr("sluice_http_requests_total{route=\"/v1/completions\",code=\"200\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("sluice_http_requests_total{route=\"/v1/completions\",code=\"400\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("sluice_http_tokens_total{kind=\"completion\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("sluice_sessions 0\n")) << "the link's counters too";
}

}  // namespace
}  // namespace sluice
