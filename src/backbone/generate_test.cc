#include "backbone/generate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "backbone/backbone_test_util.h"

namespace sluice {
namespace {

using testing::HasSubstr;

std::map<int64_t, int> Draw(const SamplingOptions& options, const std::vector<float>& logits, int times) {
  Sampler sampler = ValueOrThrow(Sampler::Create(options));
  std::map<int64_t, int> counts;
  for (int i = 0; i < times; ++i) ++counts[ValueOrThrow(sampler.Next(logits))];
  return counts;
}

TEST(SamplerTest, MatchesProbabilities) {
  const std::vector<float> logits = {0.0f, 1.0f, -1.0f, 2.0f};
  constexpr int kDraws = 40000;
  for (const double temperature : {0.5, 1.0, 2.0}) {
    auto counts = Draw({.temperature = temperature, .seed = 5}, logits, kDraws);
    double total = 0;
    for (const float logit : logits) total += std::exp(logit / temperature);
    for (size_t id = 0; id < logits.size(); ++id) {
      const double p = std::exp(logits[id] / temperature) / total;
      // Five standard deviations: one failure in a million seeds, and the seed is fixed.
      EXPECT_NEAR(counts[static_cast<int64_t>(id)], kDraws * p, 5 * std::sqrt(kDraws * p * (1 - p))) << temperature;
    }
  }
}

TEST(SamplerTest, MatchesGreedyWithTiesToTheLowerId) {
  EXPECT_EQ(Draw({.temperature = 0}, {1.0f, 3.0f, 3.0f, 2.0f}, 20), (std::map<int64_t, int>{{1, 20}}));
  EXPECT_EQ(Draw({.top_k = 1}, {1.0f, 3.0f, 3.0f, 2.0f}, 20), (std::map<int64_t, int>{{1, 20}}));
}

TEST(SamplerTest, MatchesTopKAndTopP) {
  const std::vector<float> logits = {std::log(0.1f), std::log(0.5f), std::log(0.15f), std::log(0.25f)};
  const auto ids = [&](const SamplingOptions& options) {
    std::vector<int64_t> seen;
    for (const auto& [id, count] : Draw(options, logits, 2000)) seen.push_back(id);
    return seen;
  };
  EXPECT_THAT(ids({.top_k = 2}), testing::ElementsAre(1, 3));
  EXPECT_THAT(ids({.top_k = 100}), testing::ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(ids({.top_p = 0.4}), testing::ElementsAre(1));
  EXPECT_THAT(ids({.top_p = 0.74}), testing::ElementsAre(1, 3));
  EXPECT_THAT(ids({.top_p = 0.76}), testing::ElementsAre(1, 2, 3));
}

TEST(SamplerTest, GoldenDrawsOfASeed) {
  // Fixed by the standard's mt19937_64 and the arithmetic of the header; weights 1, 1/2, 1/4 ... are exact in double.
  Sampler sampler = ValueOrThrow(Sampler::Create({.seed = 42}));
  std::mt19937_64 random(42);
  const std::vector<float> equal(16, 0.0f);
  for (int i = 0; i < 100; ++i) {
    const auto expected = static_cast<int64_t>(static_cast<double>(random() >> 11) * 0x1p-53 * 16.0);
    EXPECT_EQ(ValueOrThrow(sampler.Next(equal)), expected);
  }
}

TEST(SamplerTest, RejectsBadOptionsAndLogits) {
  for (const SamplingOptions& options :
       {SamplingOptions{.temperature = -1}, SamplingOptions{.temperature = NAN}, SamplingOptions{.top_k = -1},
        SamplingOptions{.top_p = 0}, SamplingOptions{.top_p = 1.5}}) {
    EXPECT_EQ(Sampler::Create(options).status().code(), StatusCode::kInvalidArgument);
  }
  Sampler sampler = ValueOrThrow(Sampler::Create({}));
  const std::vector<float> nan = {0, NAN}, infinite = {HUGE_VALF, 0}, none = {-HUGE_VALF, -HUGE_VALF};
  for (const auto& logits : {nan, infinite, none, std::vector<float>{}}) {
    EXPECT_EQ(sampler.Next(logits).status().code(), StatusCode::kInvalidArgument);
  }
}

/// Logits that say "the id after the last one", so that runs are predictable.
torch::Tensor Successor(const torch::Tensor& tokens) {
  torch::Tensor logits = torch::zeros({1, tokens.size(1), 50});
  logits[0][tokens.size(1) - 1][(tokens[0][tokens.size(1) - 1].item<int64_t>() + 1) % 50] = 1;
  return logits;
}

GenerateOptions Greedy(int64_t most) {
  GenerateOptions options;
  options.sampling.temperature = 0;
  options.max_new_tokens = most;
  return options;
}

TEST(GenerateTest, MatchesItsLimits) {
  const std::vector<int64_t> prompt = {3, 7};
  EXPECT_THAT(ValueOrThrow(Generate(Successor, prompt, Greedy(3))), testing::ElementsAre(8, 9, 10));
  GenerateOptions options = Greedy(30);
  options.stop = {40, 12};
  EXPECT_THAT(ValueOrThrow(Generate(Successor, prompt, options)), testing::ElementsAre(8, 9, 10, 11));
  options.context = 4;
  EXPECT_THAT(ValueOrThrow(Generate(Successor, prompt, options)), testing::ElementsAre(8, 9));
  std::vector<int64_t> streamed;
  const auto until_ten = [&](int64_t id) {
    streamed.push_back(id);
    return id != 10;
  };
  EXPECT_THAT(ValueOrThrow(Generate(Successor, prompt, Greedy(30), until_ten)), testing::ElementsAre(8, 9, 10));
  EXPECT_THAT(streamed, testing::ElementsAre(8, 9, 10));
}

TEST(GenerateTest, MatchesCutAndUncut) {
  const auto model = TinyModel(TinyLlama());
  const std::vector<int64_t> prompt = {1, 30, 60};
  GenerateOptions options;
  options.sampling = {.temperature = 0.8, .top_k = 20, .top_p = 0.95, .seed = 11};
  options.max_new_tokens = 40;
  KvCache whole(model->config(), 1), head(model->config(), 1), tail(model->config(), 1);
  const auto uncut =
      Generate([&](const torch::Tensor& tokens) { return model->Logits(tokens, &whole); }, prompt, options);
  const auto cut =
      Generate([&](const torch::Tensor& tokens) { return model->Tail(model->Head(tokens, 2, &head), 2, &tail); },
               prompt, options);
  ASSERT_TRUE(uncut.ok()) << uncut.status().ToString();
  EXPECT_EQ(uncut->size(), 40u);
  EXPECT_EQ(ValueOrThrow(cut), *uncut);
}

TEST(GenerateTest, RejectsPromptsThatCannotBeContinued) {
  EXPECT_EQ(Generate(Successor, {}, Greedy(3)).status().code(), StatusCode::kInvalidArgument);
  GenerateOptions options = Greedy(3);
  options.context = 2;
  const std::vector<int64_t> prompt = {3, 7};
  EXPECT_THAT(Generate(Successor, prompt, options).status().message(), HasSubstr("with a context of 2"));
  const auto model = TinyModel(TinyGpt2());
  const std::vector<int64_t> foreign = {3, 700};
  const auto refused = Generate([&](const torch::Tensor& tokens) { return model->Logits(tokens); }, foreign, Greedy(3));
  EXPECT_EQ(refused.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(refused.status().message(), HasSubstr("token 700 at row 0, position 1"));
}

}  // namespace
}  // namespace sluice
