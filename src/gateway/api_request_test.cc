#include "gateway/api_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/api_error.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ApiRequest Completion(const std::string& body) {
  auto request = ParseCompletionRequest(body);
  EXPECT_TRUE(request.ok()) << request.status().ToString();
  return request.ok() ? std::move(*request) : ApiRequest{};
}

TEST(ApiRequestTest, MatchesEveryFieldOfACompletion) {
  const ApiRequest request = Completion(R"({"model":"m","prompt":"Once","max_tokens":7,"temperature":0.5,"top_p":0.9,
      "seed":-3,"stop":["a","bc"],"stream":true,"stream_options":{"include_usage":true},"echo":true,"n":1,
      "best_of":1,"logit_bias":{},"frequency_penalty":0,"presence_penalty":0.0,"suffix":null,"user":"me",
      "return_token_ids":true,"a field of tomorrow":[1]})");
  EXPECT_FALSE(request.chat);
  EXPECT_EQ(request.model, "m");
  EXPECT_THAT(request.prompts, ElementsAre(ApiPrompt("Once")));
  EXPECT_EQ(request.max_tokens, 7U);
  EXPECT_EQ(request.temperature, 0.5);
  EXPECT_EQ(request.top_p, 0.9);
  EXPECT_EQ(request.seed, static_cast<uint64_t>(-3));
  EXPECT_THAT(request.stop, ElementsAre("a", "bc"));
  EXPECT_TRUE(request.stream && request.include_usage && request.echo && request.token_ids);
  EXPECT_FALSE(request.log_probabilities);
}

TEST(ApiRequestTest, MatchesTheDefaults) {
  const ApiRequest request = Completion(R"({"prompt":"x","max_tokens":null,"stop":null})");
  EXPECT_EQ(request.max_tokens, 16U);
  EXPECT_EQ(request.temperature, 1);
  EXPECT_EQ(request.top_p, 1);
  EXPECT_FALSE(request.seed.has_value());
  EXPECT_FALSE(request.stream);
}

TEST(ApiRequestTest, MatchesEveryFormOfAPrompt) {
  using Tokens = std::vector<int64_t>;
  EXPECT_THAT(Completion(R"({"prompt":["a","b"]})").prompts, ElementsAre(ApiPrompt("a"), ApiPrompt("b")));
  EXPECT_THAT(Completion(R"({"prompt":[1,22]})").prompts, ElementsAre(ApiPrompt(Tokens{1, 22})));
  EXPECT_THAT(Completion(R"({"prompt":[[1],[2,3]]})").prompts,
              ElementsAre(ApiPrompt(Tokens{1}), ApiPrompt(Tokens{2, 3})));
}

TEST(ApiRequestTest, MatchesAChat) {
  const auto request = ParseChatRequest(R"({"messages":[{"role":"developer","content":"Be brief."},
      {"role":"user","content":[{"type":"text","text":"Hel"},{"type":"text","text":"lo"}],"name":"x"}],
      "max_completion_tokens":5,"max_tokens":9,"logprobs":true,"tools":[],"response_format":{"type":"text"}})");
  ASSERT_TRUE(request.ok()) << request.status().ToString();
  EXPECT_TRUE(request->chat && request->log_probabilities);
  EXPECT_EQ(request->max_tokens, 5U);
  ASSERT_EQ(request->messages.size(), 2U);
  EXPECT_EQ(request->messages[0].role, "system");
  EXPECT_EQ(request->messages[1].content, "Hello");
}

struct BadRequest {
  const char* body;
  const char* param;
  const char* part;
  StatusCode code = StatusCode::kInvalidArgument;
};

void ExpectRefused(const Status& status, const BadRequest& bad) {
  EXPECT_EQ(status.code(), bad.code) << bad.body << status.ToString();
  EXPECT_THAT(status.message(), HasSubstr(bad.part)) << bad.body;
  const ApiError error = FieldErrorOf(status);
  EXPECT_EQ(error.param, bad.param) << bad.body;
  EXPECT_EQ(error.http, 400);
}

TEST(ApiRequestTest, RejectsBadCompletionsByName) {
  constexpr auto kUnsupported = StatusCode::kUnsupported;
  const std::vector<BadRequest> all = {
      {"", "", "not JSON"},
      {"[1]", "", "type array"},
      {"{\"prompt\":\"\xFF\"}", "", "not JSON"},
      {R"({})", "prompt", "missing"},
      {R"({"prompt":7})", "prompt", "got a number"},
      {R"({"prompt":[]})", "prompt", "empty"},
      {R"({"prompt":[1,-2]})", "prompt", "'-2'"},
      {R"({"prompt":[1,1e3]})", "prompt", "is not the id"},
      {R"({"prompt":["a",2]})", "prompt", "got a number"},
      {R"({"prompt":["","","","","","","","","","","","","","","","",""]})", "prompt", "17 prompts, at most 16"},
      {R"({"prompt":"a","max_tokens":"7"})", "max_tokens", "expected an integer, got a string"},
      {R"({"prompt":"a","max_tokens":0})", "max_tokens", "from 1"},
      {R"({"prompt":"a","max_tokens":1.5})", "max_tokens", "expected an integer"},
      {R"({"prompt":"a","max_tokens":-1})", "max_tokens", "got -1"},
      {R"({"prompt":"a","temperature":2.5})", "temperature", "from 0 to 2"},
      {R"({"prompt":"a","temperature":true})", "temperature", "got a boolean"},
      {R"({"prompt":"a","top_p":0})", "top_p", "above 0"},
      {R"({"prompt":"a","seed":"s"})", "seed", "an integer"},
      {R"({"prompt":"a","stop":5})", "stop", "got a number"},
      {R"({"prompt":"a","stop":["1","2","3","4","5"]})", "stop", "5 strings, at most 4"},
      {R"({"prompt":"a","stop":[""]})", "stop", "0 bytes"},
      {R"({"prompt":"a","stream":1})", "stream", "true or false"},
      {R"({"prompt":"a","stream_options":{}})", "stream_options", "\"stream\": true"},
      {R"({"prompt":"a","stream":true,"stream_options":{"include_usage":1}})", "stream_options.include_usage", "true"},
      {R"({"prompt":"a","model":3})", "model", "a string"},
      {R"({"prompt":"a","n":2})", "n", "takes 1 only", kUnsupported},
      {R"({"prompt":"a","best_of":2})", "best_of", "takes 1 only", kUnsupported},
      {R"({"prompt":"a","suffix":"z"})", "suffix", "only", kUnsupported},
      {R"({"prompt":"a","logprobs":2})", "logprobs", "chosen", kUnsupported},
      {R"({"prompt":"a","logprobs":0,"echo":true})", "echo", "not together", kUnsupported},
      {R"({"prompt":"a","logit_bias":{"5":1}})", "logit_bias", "only", kUnsupported},
      {R"({"prompt":"a","frequency_penalty":1})", "frequency_penalty", "0 only", kUnsupported},
      {R"({"prompt":"a","tools":[{"type":"function"}]})", "tools", "only", kUnsupported},
      {R"({"prompt":"a","response_format":{"type":"json_object"}})", "response_format.type", "only", kUnsupported},
  };
  for (const BadRequest& bad : all) ExpectRefused(ParseCompletionRequest(bad.body).status(), bad);
  ExpectRefused(ParseCompletionRequest(std::string(100'000, '[')).status(), {"[[[", "", "too deep"});
}

TEST(ApiRequestTest, RejectsBadChatsByName) {
  constexpr auto kUnsupported = StatusCode::kUnsupported;
  const std::vector<BadRequest> all = {
      {R"({})", "messages", "missing"},
      {R"({"messages":[]})", "messages", "0 messages"},
      {R"({"messages":{}})", "messages", "got an object"},
      {R"({"messages":["hi"]})", "messages[0]", "an object"},
      {R"({"messages":[{"role":"tool","content":"x"}]})", "messages[0].role", "'tool'", kUnsupported},
      {R"({"messages":[{"role":"user"}]})", "messages[0].content", "missing"},
      {R"({"messages":[{"role":"user","content":[{"type":"image_url"}]}]})", "messages[0].content", "image_url",
       kUnsupported},
      {R"({"messages":[{"role":"user","content":"x"}],"suffix":"z"})", "suffix", "only", kUnsupported},
      {R"({"messages":[{"role":"user","content":"x"}],"best_of":2})", "best_of", "1 only", kUnsupported},
      {R"({"messages":[{"role":"user","content":"x"}],"top_logprobs":2})", "top_logprobs", "0 only", kUnsupported},
      {R"({"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function"}]})", "tools", "only", kUnsupported},
      {R"({"messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_object"}})",
       "response_format.type", "only", kUnsupported},
  };
  for (const BadRequest& bad : all) ExpectRefused(ParseChatRequest(bad.body).status(), bad);
}

}  // namespace
}  // namespace sluice
