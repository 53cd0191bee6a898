#ifndef SLUICE_WIRE_TINY_NETWORK_TEST_H_
#define SLUICE_WIRE_TINY_NETWORK_TEST_H_

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "wire/head_session.h"
#include "wire/node_server.h"

namespace sluice {

/// A small network that is run for real, without a training framework: layers of tanh(W x + sum over the positions
/// before of decay^age W' x), in floats, with a state of what came before. Every token depends on every earlier one.
class TinyNetwork final : public StageRunner {
 public:
  static constexpr uint32_t kLayers = 6, kWidth = 16, kVocab = 61;
  static constexpr uint64_t kContext = 200;

  /// Layers [begin, end). `seed` makes other weights.
  TinyNetwork(uint32_t begin, uint32_t end, uint32_t seed = 1);

  const StageInfo& info() const override { return info_; }
  Result<std::unique_ptr<StageState>> NewState(uint64_t positions) override;
  Result<std::unique_ptr<TokenSampler>> NewSampler(const SamplingChoice& choice) override;
  Result<Matrix<float>> Embed(StageState& state, std::span<const int64_t> tokens) override;
  Result<Matrix<float>> Run(StageState& state, MatrixView<const float> hidden) override;
  Result<std::vector<float>> Logits(std::span<const float> hidden) override;

  /// The codec of the link that enters layer `cut`.
  static std::unique_ptr<LinkCodec> Codec(const std::string& spec, uint32_t cut, uint32_t seed = 1);
  /// The same text by one network without any link.
  static std::vector<int64_t> Uncut(const HeadRequest& request);
  /// The same through the codec of one cut, in one process.
  static std::vector<int64_t> CutRun(const HeadRequest& request, uint32_t cut, const std::string& spec);

 private:
  StageInfo info_;
  std::vector<std::vector<float>> weights_, memories_;  // of each layer, [d * d]
  std::vector<float> embedding_;                        // [V * d]
};

/// A TinyNetwork that takes its time over each run.
class SlowNetwork final : public StageRunner {
 public:
  SlowNetwork(uint32_t begin, uint32_t end, double seconds) : network_(begin, end), seconds_(seconds) {}

  const StageInfo& info() const override { return network_.info(); }
  Result<std::unique_ptr<StageState>> NewState(uint64_t positions) override { return network_.NewState(positions); }
  Result<std::unique_ptr<TokenSampler>> NewSampler(const SamplingChoice& choice) override {
    return network_.NewSampler(choice);
  }
  Result<Matrix<float>> Embed(StageState& state, std::span<const int64_t> tokens) override {
    return network_.Embed(state, tokens);
  }
  Result<Matrix<float>> Run(StageState& state, MatrixView<const float> hidden) override;
  Result<std::vector<float>> Logits(std::span<const float> hidden) override { return network_.Logits(hidden); }

  int runs() const { return runs_; }

 private:
  TinyNetwork network_;
  double seconds_;
  std::atomic<int> runs_ = 0;
};

/// A prompt of `length` tokens and a seeded sampling.
HeadRequest RequestOf(size_t length, uint64_t seed);
std::vector<int64_t> IdsOf(const HeadOutcome& outcome);

/// A node with everything it needs.
struct TestNode {
  std::unique_ptr<TinyNetwork> network;
  std::unique_ptr<StageQueue> queue;
  std::unique_ptr<WireMetrics> metrics = std::make_unique<WireMetrics>();
  std::unique_ptr<WireLog> log = std::make_unique<WireLog>();
  std::unique_ptr<NodeServer> server;

  /// Layers [begin, end); a relay when `next` is not empty.
  static TestNode Serve(uint32_t begin, uint32_t end, const std::string& spec, NodeOptions options = {},
                        const std::vector<std::string>& more = {});
};

/// A head that is connected to `target`.
struct TestHead {
  std::unique_ptr<TinyNetwork> network;
  std::unique_ptr<StageQueue> queue;
  std::unique_ptr<LinkCodec> codec;
  std::unique_ptr<LinkPeer> peer;
  std::unique_ptr<WireMetrics> metrics = std::make_unique<WireMetrics>();
  std::unique_ptr<WireLog> log = std::make_unique<WireLog>();
  std::unique_ptr<Head> head;

  static TestHead Connect(uint32_t end, const std::string& spec, const std::string& target,
                          const TrustOptions& trust = {}, double retry_seconds = 0, double stall_seconds = 20);
};

}  // namespace sluice

#endif  // SLUICE_WIRE_TINY_NETWORK_TEST_H_
