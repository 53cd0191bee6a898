// What training stores against what is deployed: the definition of the integer network, run by plain loops, and the
// engine that runs it from a pack with every kernel give the same integers, and frames bring them back.
#include <gtest/gtest.h>

#include <cmath>

#include "codec/context_frames.h"
#include "nets/context_engine.h"
#include "neural/context_coder.h"
#include "neural/context_export.h"
#include "neural/state_classes.h"

namespace sluice {
namespace {

struct Case {
  ContextIds ids;
  int64_t width, hidden, groups, block;
  int64_t direct = 0, class_groups = 0;
  bool latents = true;
};

StoredContext Make(const Case& c) {
  torch::manual_seed(11);
  torch::NoGradGuard no_grad;
  ContextConfig config;
  config.width = c.width;
  config.context = 32;
  config.hidden = c.hidden;
  config.groups = c.groups;
  config.block = c.block;
  config.ids = c.ids;
  config.id_count = c.ids == ContextIds::kNone ? 0 : 13;
  config.pair_bits = c.ids == ContextIds::kTokens || c.direct > 0 ? 6 : 0;
  config.direct = c.direct;
  config.class_groups = c.class_groups;
  config.latents = c.latents;
  if (c.direct > 0) config.scale_hidden = 16;
  config.class_width = 5;
  config.points = 5;
  ContextCodec codec(config);
  for (auto& item : codec->named_parameters()) {
    if (item.key() == "output" || item.key() == "scale_output" || item.key() == "point_bias" ||
        item.key() == "table_pair" || item.key().starts_with("table_direct")) {
      item.value().normal_(0, 0.3);
    }
  }
  ContextTransform transform = codec->Transform();
  const int64_t block = c.block > 0 ? c.block : c.width;
  transform.axes = torch::randn({c.width / block, block, block}) / std::sqrt(block) + 3 * torch::eye(block);
  transform.order = torch::randperm(c.width);
  transform.log_gain = torch::linspace(1.5, -1.5, c.width);
  transform.class_axes = torch::randn({5, c.width});
  if (c.ids == ContextIds::kClasses) transform.class_means = torch::randn({13, 5}) * 3;
  if (c.class_groups > 0) transform.class_sizes = GroupClasses(transform.class_means, c.class_groups, 4);
  codec->Initialize(transform, torch::exp(transform.log_gain * 3));
  StoredContext stored;
  stored.network = codec->ToIntegers();
  stored.transform = codec->Transform();
  stored.origin.cut = 1;
  if (c.ids == ContextIds::kClasses) {
    stored.classes = *FitClassTables(stored.transform.Classify(torch::randn({30, 32, c.width})), config,
                                     stored.transform.class_sizes);
  }
  return stored;
}

struct Integers {
  std::vector<int32_t> ids, latents, mean_q4;
  std::vector<uint8_t> scales;
};

// What the definition says of a sequence of latents, some of them extreme.
Integers Define(const ContextNetwork& network, int point, size_t tokens) {
  const auto d = static_cast<size_t>(network.config.width);
  Integers all;
  ContextRun run(network, point);
  for (size_t t = 0; t < tokens; ++t) {
    const auto n = static_cast<int32_t>(network.config.id_count);
    const int32_t id = n == 0 ? 0 : static_cast<int32_t>(torch::randint(n, {1}).item<int64_t>());
    if (n > 0) all.ids.push_back(id);
    const auto drawn = torch::round(torch::randn({network.config.width}) * (t % 7 == 0 ? 300 : 4));
    for (size_t j = 0; j < d; ++j) all.latents.push_back(static_cast<int32_t>(drawn.data_ptr<float>()[j]));
    if (t % 11 == 5) all.latents[t * d + t % d] = t % 2 == 0 ? INT32_MAX : INT32_MIN;
    std::vector<int32_t> mean(d);
    std::vector<uint8_t> scale(d);
    run.BeginToken(id);
    for (int64_t g = 0; g < network.config.groups; ++g) {
      run.Parameters(g, mean, scale);
      run.Absorb(g, {all.latents.data() + t * d, d});
    }
    run.EndToken();
    all.mean_q4.insert(all.mean_q4.end(), mean.begin(), mean.end());
    all.scales.insert(all.scales.end(), scale.begin(), scale.end());
  }
  return all;
}

class ParityTest : public testing::TestWithParam<Case> {
 protected:
  StoredContext stored_ = Make(GetParam());
  std::vector<uint8_t> bytes_ = *PackContext(stored_);
  Pack pack_ = *Pack::FromBytes(bytes_);
};

TEST_P(ParityTest, MatchesTheDefinitionWithEveryKernel) {
  constexpr size_t kTokens = 150;  // more than two blocks
  const auto weights = ContextWeights::FromPack(pack_);
  ASSERT_TRUE(weights.ok()) << weights.status().ToString();
  const ContextShape& shape = weights->shape;
  for (int point = 0; point < 5; ++point) {
    const Integers want = Define(stored_.network, point, kTokens);
    for (const IntegerKernels& kernels : AllIntegerKernels()) {
      ContextEngine engine(*weights, kernels);
      std::vector<int32_t> mean(want.mean_q4.size());
      std::vector<uint8_t> scale(mean.size());
      ContextState state(shape);
      engine.Predict(point, want.ids, want.latents, state, mean, scale);
      ASSERT_EQ(mean, want.mean_q4) << kernels.name << " " << point;
      ASSERT_EQ(scale, want.scales) << kernels.name << " " << point;
      ContextState stepped(shape);
      for (size_t t = 0; t < kTokens; ++t) {
        engine.BeginToken(point, want.ids.empty() ? 0 : want.ids[t], stepped);
        for (size_t g = 0; g < shape.groups; ++g) {
          const size_t at = t * shape.width + shape.GroupBegin(g), size = shape.GroupSize(g);
          engine.ParametersOf(g, std::span(mean).subspan(at, size), std::span(scale).subspan(at, size));
          engine.Absorb(g, std::span(want.latents).subspan(at, size));
        }
        engine.EndToken(stepped);
      }
      ASSERT_EQ(mean, want.mean_q4) << kernels.name << " " << point;
      ASSERT_EQ(scale, want.scales) << kernels.name << " " << point;
    }
  }
}

TEST_P(ParityTest, MatchesTheHiddenStatesOfTheTrainedCodec) {
  const Case c = GetParam();
  auto codec = PackCodec::Make(*Pack::FromBytes(bytes_));
  ASSERT_TRUE(codec.ok()) << codec.status().ToString();
  const auto x = torch::randn({1, 40, c.width}) * 0.4;
  const auto tokens = torch::randint(13, {1, 40});
  const auto known = tokens.to(torch::kInt32).contiguous();
  const ContextCoder coder = *ContextCoder::Create(stored_);
  for (int point = 0; point < 5; ++point) {
    const auto encoder = (*codec)->NewEncoder();
    const auto decoder = (*codec)->NewDecoder();
    const std::span<const int32_t> ids(known.data_ptr<int32_t>(), 40);
    ASSERT_TRUE(encoder->SetPoint(point).ok() && encoder->SetTokens(ids).ok() && decoder->SetTokens(ids).ok());
    StreamWriter writer = *StreamWriter::ToMemory((*codec)->Header(DType::kF32));
    const Status pushed = encoder->Push({x.data_ptr<float>(), 40, static_cast<size_t>(c.width)}, 1, writer);
    ASSERT_TRUE(pushed.ok()) << pushed.ToString();
    ASSERT_TRUE(writer.Finish().ok());
    const auto stream = writer.Take();
    StreamReader reader = *StreamReader::FromBytes(stream);
    const auto frame = reader.Next();
    ASSERT_TRUE(frame.ok() && frame->has_value());
    const auto hidden = decoder->Pull(**frame, reader);
    ASSERT_TRUE(hidden.ok()) << hidden.status().ToString();
    const auto chunk = coder.Encode(x, tokens, point);
    ASSERT_TRUE(chunk.ok());
    // Floats differ in their last bits, so a value on an edge may round the other way: not here.
    ContextChunk decoded;
    const auto want = coder.Decode(chunk->payload, 1, 40, tokens, decoded);
    ASSERT_TRUE(want.ok());
    const auto got = torch::from_blob(const_cast<float*>(hidden->data()), {1, 40, c.width});
    // In the tails, where an untrained network leaves many values, centroids in float are noise.
    const auto error = (got - *want).abs().mean().item<double>();
    EXPECT_LT(error, 0.02 * want->abs().mean().item<double>()) << point;
    EXPECT_NEAR(8.0 * static_cast<double>((*frame)->sections[0].size()), chunk->id_bits + chunk->latent_bits, 48);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, ParityTest,
    testing::Values(Case{ContextIds::kNone, 12, 10, 3, 0}, Case{ContextIds::kTokens, 64, 37, 5, 16},
                    Case{ContextIds::kClasses, 70, 20, 4, 0}, Case{ContextIds::kClasses, 33, 64, 1, 11},
                    Case{ContextIds::kTokens, 64, 37, 5, 16, 1}, Case{ContextIds::kClasses, 70, 20, 4, 0, 2, 4},
                    Case{ContextIds::kClasses, 64, 48, 1, 16, 2, 3, false}));

}  // namespace
}  // namespace sluice
