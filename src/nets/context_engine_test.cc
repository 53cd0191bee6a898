// The engine against itself: all at once, token by token, with every kernel; what it costs, and what it refuses. That
// its integers are those of the definition is tests/parity's matter.
#include "nets/context_engine.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/counting_new.h"
#include "nets/context_sample.h"

namespace sluice {
namespace {

ContextSample Small() {
  ContextSample sample;
  sample.shape = {
      .width = 35, .hidden = 21, .groups = 4, .points = 3, .names = TokenNames::kTokens, .ids = 9, .pair_bits = 5};
  return sample;
}

// What preset `sluice` is made of, and `fast`.
ContextSample Direct(bool latents) {
  ContextSample sample = Small();
  sample.old_shape = false;
  sample.shape.groups = latents ? 4 : 1;
  sample.shape.latents = latents;
  sample.shape.direct = 2;
  sample.shape.scale_units = 6;
  return sample;
}

ContextSample SampleNamed(const std::string& name) {
  if (name == "SixFields") return Small();
  return Direct(name == "Direct");
}

class ContextEngineTest : public testing::TestWithParam<const char*> {
 protected:
  static constexpr size_t kTokens = 200;

  ContextEngineTest() {
    SampleNumbers random(4);
    for (size_t t = 0; t < kTokens; ++t) {
      ids_.push_back(static_cast<int32_t>(random.Next() % 9));
      for (size_t j = 0; j < 35; ++j) latents_.push_back(random.Bell(t % 5 == 0 ? 20000 : 60));
    }
    mean_.resize(latents_.size());
    scale_.resize(latents_.size());
    ContextEngine engine(weights_);
    ContextState state(weights_.shape);
    engine.Predict(1, ids_, latents_, state, mean_, scale_);
  }

  void Step(ContextEngine& engine, ContextState& state, size_t t, std::span<int32_t> mean, std::span<uint8_t> scale) {
    engine.BeginToken(1, ids_[t], state);
    for (size_t g = 0; g < weights_.shape.groups; ++g) {
      const size_t from = weights_.shape.GroupBegin(g), size = weights_.shape.GroupSize(g);
      engine.ParametersOf(g, mean.subspan(from, size), scale.subspan(from, size));
      engine.Absorb(g, std::span(latents_).subspan(t * 35 + from, size));
    }
    engine.EndToken(state);
  }

  std::vector<uint8_t> bytes_ = SampleNamed(GetParam()).Make();
  ContextWeights weights_ = *ContextWeights::FromPack(*Pack::FromBytes(bytes_));
  std::vector<int32_t> ids_, latents_, mean_;
  std::vector<uint8_t> scale_;
};

TEST_P(ContextEngineTest, MatchesTokenByTokenAndInPieces) {
  for (const IntegerKernels& kernels : AllIntegerKernels()) {
    ContextEngine engine(weights_, kernels);
    ContextState state(weights_.shape);
    std::vector<int32_t> mean(mean_.size());
    std::vector<uint8_t> scale(scale_.size());
    size_t t = 0;
    for (; t < 70; ++t)
      Step(engine, state, t, std::span(mean).subspan(t * 35, 35), std::span(scale).subspan(t * 35, 35));
    const size_t from = t * 35;
    engine.Predict(1, std::span(ids_).subspan(t), std::span(latents_).subspan(from), state,
                   std::span(mean).subspan(from), std::span(scale).subspan(from));
    EXPECT_EQ(mean, mean_) << kernels.name;
    EXPECT_EQ(scale, scale_) << kernels.name;
  }
}

TEST_P(ContextEngineTest, MatchesASequenceThatWasTakenBack) {
  ContextEngine engine(weights_);
  ContextState state(weights_.shape, 5);
  std::vector<int32_t> mean(35);
  std::vector<uint8_t> scale(35);
  for (size_t t = 0; t < 30; ++t) Step(engine, state, t, mean, scale);
  for (size_t t = 100; t < 105; ++t) Step(engine, state, t, mean, scale);
  EXPECT_EQ(state.Trim(6).code(), StatusCode::kInvalidArgument);
  ASSERT_TRUE(state.Trim(5).ok());
  EXPECT_EQ(state.tokens(), 30u);
  Step(engine, state, 30, mean, scale);
  EXPECT_EQ(mean, std::vector<int32_t>(mean_.begin() + 30 * 35, mean_.begin() + 31 * 35));
  EXPECT_EQ(state.Trim(2).code(), StatusCode::kInvalidArgument) << "what was taken back once is no history";
}

TEST_P(ContextEngineTest, CostsNoAllocation) {
  ContextEngine engine(weights_);
  ContextState state(weights_.shape, 3);
  std::vector<int32_t> mean(mean_.size());
  std::vector<uint8_t> scale(scale_.size());
  const size_t before = allocations;
  engine.Predict(1, ids_, latents_, state, mean, scale);
  for (size_t t = 0; t < 5; ++t) Step(engine, state, t, std::span(mean).first(35), std::span(scale).first(35));
  ASSERT_TRUE(state.Trim(2).ok());
  EXPECT_EQ(allocations, before);
}

TEST_P(ContextEngineTest, MatchesItsLimitsAfterExtremeLatents) {
  ContextEngine engine(weights_);
  ContextState state(weights_.shape);
  for (size_t i = 0; i < latents_.size(); ++i) latents_[i] = i % 2 == 0 ? INT32_MAX : INT32_MIN;
  engine.Predict(2, ids_, latents_, state, mean_, scale_);
  for (const uint8_t scale : scale_) EXPECT_LE(scale, 133);
}

TEST_P(ContextEngineTest, RejectsPacksOutsideTheLimits) {
  // Every integer tensor, its first value set to something extreme: no such pack may be believed.
  const Pack pack = *Pack::FromBytes(bytes_);
  size_t refused = 0;
  for (const char* name :
       {"shape", "input.shifts", "past.shifts", "output.shifts", "base_bias", "output_bias", "channel_exponent"}) {
    if (!pack.tensors().contains(name)) continue;
    PackWriter writer(pack.info());
    for (const auto& [key, view] : pack.tensors()) {
      std::vector<uint8_t> changed(view.bytes.begin(), view.bytes.end());
      if (key == name) changed[3] = 0x40;
      writer.AddTensor({key, view.dtype, view.shape, changed});
    }
    const auto made = *writer.Serialize();
    EXPECT_EQ(ContextWeights::FromPack(*Pack::FromBytes(made)).status().code(), StatusCode::kCorrupt) << name;
    ++refused;
  }
  EXPECT_EQ(refused, weights_.shape.latents ? 7u : 6u);
}

TEST_P(ContextEngineTest, RejectsShapesThatContradictThemselves) {
  const Pack pack = *Pack::FromBytes(bytes_);
  const auto refuses = [&](size_t field, int32_t value) {
    PackWriter writer(pack.info());
    for (const auto& [key, view] : pack.tensors()) {
      std::vector<uint8_t> changed(view.bytes.begin(), view.bytes.end());
      if (key == "shape") std::memcpy(changed.data() + 4 * field, &value, sizeof value);
      writer.AddTensor({key, view.dtype, view.shape, changed});
    }
    const auto made = *writer.Serialize();
    return ContextWeights::FromPack(*Pack::FromBytes(made)).status().code() == StatusCode::kCorrupt;
  };
  EXPECT_FALSE(refuses(0, 21));
  EXPECT_TRUE(refuses(0, 22)) << "m that the tensors do not have";
  EXPECT_TRUE(refuses(1, 36)) << "more groups than channels";
  EXPECT_TRUE(refuses(4, 10)) << "ids that the tables do not have";
  if (pack.tensors().at("shape").shape[0] == 6) return;
  EXPECT_TRUE(refuses(6, 3)) << "no third direct table";
  EXPECT_TRUE(refuses(7, 2)) << "latents are seen or not";
  EXPECT_TRUE(refuses(8, 22)) << "more units than there are";
  if (weights_.shape.latents) return;
  EXPECT_TRUE(refuses(1, 2)) << "groups that see nothing of each other";
}

INSTANTIATE_TEST_SUITE_P(Shapes, ContextEngineTest, testing::Values("SixFields", "Direct", "DirectWithoutLatents"),
                         [](const auto& parameter) { return std::string(parameter.param); });

TEST(ContextWeightsTest, RejectsWeightsWhoseSumsCouldOverflow) {
  auto sample = Small();
  sample.shape.width = 8192;
  sample.shape.groups = 1;
  sample.block = 1;
  sample.shape.hidden = 5;
  const auto bytes = sample.Make();
  PackWriter writer(Pack::FromBytes(bytes)->info());
  const Pack pack = *Pack::FromBytes(bytes);
  for (const auto& [key, view] : pack.tensors()) {
    std::vector<uint8_t> changed(view.bytes.begin(), view.bytes.end());
    if (key == "input.weights") std::fill(changed.begin(), changed.end(), uint8_t{127});
    writer.AddTensor({key, view.dtype, view.shape, changed});
  }
  const auto made = *writer.Serialize();
  const Status status = ContextWeights::FromPack(*Pack::FromBytes(made)).status();
  EXPECT_EQ(status.code(), StatusCode::kCorrupt);
  EXPECT_NE(status.message().find("32 bits"), std::string::npos) << status.message();
}

}  // namespace
}  // namespace sluice
