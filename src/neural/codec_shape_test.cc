#include "neural/codec_shape.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "neural/learned_codec.h"

namespace sluice {
namespace {

int64_t CountParameters(const CodecConfig& config) {
  int64_t count = 0;
  for (const auto& parameter : LearnedCodec(config)->parameters()) count += parameter.numel();
  return count;
}

TEST(CodecShapeTest, MatchesTheParametersOfTheNetworks) {
  for (const char* preset : {"paper", "fourier", "direct", "paper+"}) {
    for (const CodecMode mode : {CodecMode::kJoint, CodecMode::kFrozen}) {
      CodecConfig config = MakePreset(preset, 64, 8, 256, mode).value();
      EXPECT_EQ(ParameterCount(config), CountParameters(config)) << config.ToJson().dump();
      config.last_mlp = !config.last_mlp;
      EXPECT_EQ(ParameterCount(config), CountParameters(config)) << config.ToJson().dump();
    }
  }
  CodecConfig learned = MakePreset("paper", 64, 8, 256, CodecMode::kFrozen).value();
  learned.transform = TransformKind::kLearned;
  learned.attention = false;
  EXPECT_EQ(ParameterCount(learned), CountParameters(learned));
}

// docs/codec.md: 48.8 M multiply-adds a token at d = 768, without attention's products, and 70 % less of the synthesis
// without its last MLP.
TEST(CodecShapeTest, CostsWhatThePaperCosts) {
  CodecConfig config = CodecConfig::Paper(768, 12, 1, CodecMode::kJoint);
  EXPECT_NEAR(MultiplyAddsPerToken(config), 48.8e6, 0.1e6);
  const double whole = MultiplyAddsPerToken(config);
  config.last_mlp = false;
  EXPECT_NEAR(whole - MultiplyAddsPerToken(config), 2 * 18.87e6, 0.05e6);
}

TEST(CodecShapeTest, CostsAttentionByWhatItLooksAt) {
  CodecConfig config = CodecConfig::Paper(64, 8, 256, CodecMode::kJoint);
  const double causal = MultiplyAddsPerToken(config);
  config.window = 256;
  EXPECT_EQ(MultiplyAddsPerToken(config), causal);
  config.window = 16;
  const double windowed = MultiplyAddsPerToken(config);
  EXPECT_LT(windowed, causal);
  config.attention = false;
  EXPECT_LT(MultiplyAddsPerToken(config), windowed);
  config.attention = true;
  config.window = 0;
  config.causal = false;
  EXPECT_GT(MultiplyAddsPerToken(config), causal);
}

}  // namespace
}  // namespace sluice
