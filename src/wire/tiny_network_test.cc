// Real arithmetic in a few lines: what a test compares is the result of thousands of dependent float operations, so a
// frame that is lost, repeated or out of order shows in every token behind it.
#include "wire/tiny_network_test.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <thread>

#include "base/clock.h"

namespace sluice {
namespace {

constexpr float kDecay = 0.75F;

struct TinyState final : StageState {
  uint64_t room = 0, embedded = 0;
  std::vector<std::vector<float>> memory;  // of each layer
  std::vector<uint64_t> positions;
};

class TinySampler final : public TokenSampler {
 public:
  explicit TinySampler(const SamplingChoice& choice) : choice_(choice), random_(choice.seed) {}
  Result<int64_t> Next(std::span<const float> logits) override {
    if (choice_.temperature == 0) return std::max_element(logits.begin(), logits.end()) - logits.begin();
    std::vector<double> weights;
    for (const float logit : logits) weights.push_back(std::exp(logit / choice_.temperature));
    double sum = 0;
    for (const double weight : weights) sum += weight;
    double left = static_cast<double>(random_() >> 11) * 0x1p-53 * sum;
    size_t id = 0;
    while (id + 1 < weights.size() && left >= weights[id]) left -= weights[id++];
    return static_cast<int64_t>(id);
  }

 private:
  SamplingChoice choice_;
  std::mt19937_64 random_;
};

std::vector<float> RandomWeights(uint32_t seed, size_t count, float scale) {
  std::mt19937 random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = scale * (static_cast<float>(random() >> 8) * 0x1p-23F - 1.0F);
  return values;
}

std::vector<float> Product(const std::vector<float>& matrix, std::span<const float> x) {
  std::vector<float> y(matrix.size() / x.size());
  for (size_t i = 0; i < y.size(); ++i) {
    for (size_t j = 0; j < x.size(); ++j) y[i] += matrix[i * x.size() + j] * x[j];
  }
  return y;
}

}  // namespace

TinyNetwork::TinyNetwork(uint32_t begin, uint32_t end, uint32_t seed) {
  info_ = {begin, end, kLayers, kWidth, kContext, Sha256::Of(AsBytes("tiny " + std::to_string(seed))), 4096};
  for (uint32_t layer = 0; layer < kLayers; ++layer) {
    weights_.push_back(RandomWeights(100 * seed + layer, kWidth * kWidth, 0.9F));
    memories_.push_back(RandomWeights(100 * seed + 50 + layer, kWidth * kWidth, 0.6F));
  }
  embedding_ = RandomWeights(100 * seed + 99, kVocab * kWidth, 2.0F);
}

Result<std::unique_ptr<StageState>> TinyNetwork::NewState(uint64_t positions) {
  if (positions > kContext) return InvalidArgument("beyond the context");
  auto state = std::make_unique<TinyState>();
  state->room = positions;
  state->memory.assign(kLayers, std::vector<float>(kWidth));
  state->positions.assign(kLayers, 0);
  return std::unique_ptr<StageState>(std::move(state));
}

Result<std::unique_ptr<TokenSampler>> TinyNetwork::NewSampler(const SamplingChoice& choice) {
  if (!(choice.temperature >= 0)) return InvalidArgument("temperature");
  return std::unique_ptr<TokenSampler>(new TinySampler(choice));
}

Result<Matrix<float>> TinyNetwork::Embed(StageState& state, std::span<const int64_t> tokens) {
  auto& own = static_cast<TinyState&>(state);
  Matrix<float> hidden(tokens.size(), kWidth);
  for (size_t t = 0; t < tokens.size(); ++t) {
    if (tokens[t] < 0 || tokens[t] >= kVocab) return InvalidArgument("a token outside the vocabulary");
    const float angle = 0.1F * static_cast<float>(own.embedded++);
    for (size_t i = 0; i < kWidth; ++i) {
      hidden.row(t)[i] =
          embedding_[static_cast<size_t>(tokens[t]) * kWidth + i] + std::sin(angle * static_cast<float>(i));
    }
  }
  return hidden;
}

Result<Matrix<float>> TinyNetwork::Run(StageState& state, MatrixView<const float> hidden) {
  auto& own = static_cast<TinyState&>(state);
  Matrix<float> out(hidden.rows(), hidden.cols());
  std::copy(hidden.all().begin(), hidden.all().end(), out.data());
  for (uint32_t layer = info_.begin; layer < info_.end; ++layer) {
    for (size_t t = 0; t < out.rows(); ++t) {
      if (++own.positions[layer] > own.room) return InvalidArgument("beyond the state's room");
      std::vector<float>& memory = own.memory[layer];
      const auto now = Product(weights_[layer], out.row(t)), before = Product(memories_[layer], memory);
      for (size_t i = 0; i < kWidth; ++i) {
        memory[i] = kDecay * memory[i] + out.row(t)[i];
        out.row(t)[i] += std::tanh(now[i] + before[i]);
      }
    }
  }
  return out;
}

Result<std::vector<float>> TinyNetwork::Logits(std::span<const float> hidden) { return Product(embedding_, hidden); }

Result<Matrix<float>> SlowNetwork::Run(StageState& state, MatrixView<const float> hidden) {
  ++runs_;
  std::this_thread::sleep_for(DurationOf(seconds_));
  return network_.Run(state, hidden);
}

std::unique_ptr<LinkCodec> TinyNetwork::Codec(const std::string& spec, uint32_t cut, uint32_t seed) {
  auto codec = OpenLinkCodec(spec, {TinyNetwork(0, 0, seed).info().model, kWidth, cut});
  EXPECT_TRUE(codec.ok()) << codec.status().ToString();
  return std::move(*codec);
}

std::vector<int64_t> TinyNetwork::CutRun(const HeadRequest& request, uint32_t cut, const std::string& spec) {
  TinyNetwork head(0, cut), tail(cut, kLayers);
  const auto head_state = *head.NewState(kContext), tail_state = *tail.NewState(kContext);
  const auto sampler = *tail.NewSampler(request.sampling);
  const auto codec = Codec(spec, cut);
  LinkSender sender = *LinkSender::Make(*codec);
  LinkReceiver receiver(*codec);
  const auto run = [&](std::span<const int64_t> tokens) {
    const Matrix<float> sent = *head.Run(*head_state, head.Embed(*head_state, tokens)->View());
    return *tail.Run(*tail_state, receiver.Pull(*sender.Push(sent.View()))->View());
  };
  Matrix<float> last;
  for (size_t begin = 0; begin < request.prompt.size(); begin += request.chunk_tokens) {
    last = run(std::span(request.prompt)
                   .subspan(begin, std::min<size_t>(request.chunk_tokens, request.prompt.size() - begin)));
  }
  std::vector<int64_t> ids;
  while (true) {
    const int64_t id = *sampler->Next(*tail.Logits(last.row(last.rows() - 1)));
    if (std::find(request.stop.begin(), request.stop.end(), id) != request.stop.end()) return ids;
    ids.push_back(id);
    if (ids.size() == request.max_new_tokens) return ids;
    last = run({&id, 1});
  }
}

std::vector<int64_t> TinyNetwork::Uncut(const HeadRequest& request) { return CutRun(request, 0, "fp32"); }

HeadRequest RequestOf(size_t length, uint64_t seed) {
  HeadRequest request;
  std::mt19937_64 random(seed);
  for (size_t i = 0; i < length; ++i) request.prompt.push_back(static_cast<int64_t>(random() % TinyNetwork::kVocab));
  request.sampling = {.temperature = 1.5, .top_k = 0, .top_p = 1, .seed = seed};
  request.max_new_tokens = 24;
  request.chunk_tokens = 8;
  return request;
}

std::vector<int64_t> IdsOf(const HeadOutcome& outcome) {
  std::vector<int64_t> ids;
  for (const SampledToken& token : outcome.tokens) ids.push_back(token.id);
  return ids;
}

TestNode TestNode::Serve(uint32_t begin, uint32_t end, const std::string& spec, NodeOptions options,
                         const std::vector<std::string>& more) {
  TestNode node;
  std::vector<std::unique_ptr<LinkCodec>> codecs;
  for (const std::string& other : more) codecs.push_back(TinyNetwork::Codec(other, begin));
  node.network = std::make_unique<TinyNetwork>(begin, end);
  node.queue = std::make_unique<StageQueue>(*node.network);
  if (options.listen.empty()) options.listen = "127.0.0.1:0";
  auto server = NodeServer::Start(*node.network, *node.queue, TinyNetwork::Codec(spec, begin),
                                  options.next.empty() ? nullptr : TinyNetwork::Codec(spec, end), options,
                                  *node.metrics, *node.log, std::move(codecs));
  EXPECT_TRUE(server.ok()) << server.status().ToString();
  if (server.ok()) node.server = std::move(*server);
  return node;
}

TestHead TestHead::Connect(uint32_t end, const std::string& spec, const std::string& target, const TrustOptions& trust,
                           double retry_seconds, double stall_seconds) {
  TestHead test;
  test.network = std::make_unique<TinyNetwork>(0, end);
  test.queue = std::make_unique<StageQueue>(*test.network);
  test.codec = TinyNetwork::Codec(spec, end);
  test.peer = std::make_unique<LinkPeer>(*LinkPeer::Make(target, trust));
  test.head = std::make_unique<Head>(*test.network, *test.queue, *test.codec, *test.peer,
                                     StreamPatience{5, stall_seconds}, retry_seconds, *test.metrics, *test.log);
  return test;
}

}  // namespace sluice
