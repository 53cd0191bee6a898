#include "wire/stage_queue.h"

#include <gtest/gtest.h>

#include "wire/tiny_network_test.h"

namespace sluice {
namespace {

StageJob JobOf(StageState& state, std::vector<int64_t> tokens, TokenSampler* sampler = nullptr) {
  StageJob job;
  job.state = &state;
  job.tokens = std::move(tokens);
  job.sampler = sampler;
  return job;
}

TEST(StageQueueTest, MatchesTheNetworkCalledByHand) {
  TinyNetwork network(0, TinyNetwork::kLayers);
  StageQueue queue(network);
  const auto queued = *network.NewState(20), by_hand = *network.NewState(20);
  const auto sampler = *network.NewSampler({});
  const std::vector<int64_t> tokens = {3, 1, 4, 1, 5};
  const auto result = queue.Submit(JobOf(*queued, tokens, sampler.get())).get();
  const Matrix<float> hidden = *network.Run(*by_hand, network.Embed(*by_hand, tokens)->View());
  ASSERT_TRUE(result.ok() && result->token);
  EXPECT_EQ(result->token->id, *(*network.NewSampler({}))->Next(*network.Logits(hidden.row(4))));
}

// A prompt of 3 tokens a chunk may end with a single one, which must not overtake the chunks before it.
TEST(StageQueueTest, RegressesTheOrderOfOneSessionsJobs) {
  TinyNetwork network(0, TinyNetwork::kLayers);
  StageQueue queue(network);
  std::vector<std::unique_ptr<StageState>> states;
  std::vector<std::future<Result<StageResult>>> last;
  for (int session = 0; session < 6; ++session) {
    states.push_back(*network.NewState(20));
    (void)queue.Submit(JobOf(*states.back(), {7, 8, 9}));
    (void)queue.Submit(JobOf(*states.back(), {10, 11, 12}));
    last.push_back(queue.Submit(JobOf(*states.back(), {13})));
  }
  const auto by_hand = *network.NewState(20);
  const std::vector<int64_t> all = {7, 8, 9, 10, 11, 12, 13};
  const Matrix<float> expected = *network.Run(*by_hand, network.Embed(*by_hand, all)->View());
  for (auto& future : last) {
    const auto result = future.get();
    ASSERT_TRUE(result.ok());
    EXPECT_TRUE(std::equal(expected.row(6).begin(), expected.row(6).end(), result->hidden.row(0).begin()));
  }
}

TEST(StageQueueTest, RejectsJobsOfASessionThatHasEnded) {
  TinyNetwork network(0, TinyNetwork::kLayers);
  StageQueue queue(network);
  const auto state = *network.NewState(20);
  StageJob job = JobOf(*state, {1});
  job.cancelled = std::make_shared<std::atomic<bool>>(true);
  EXPECT_EQ(queue.Submit(std::move(job)).get().status().code(), StatusCode::kInterrupted);
  EXPECT_EQ(queue.Submit(JobOf(*state, {TinyNetwork::kVocab})).get().status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace sluice
