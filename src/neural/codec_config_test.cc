#include "neural/codec_config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace sluice {
namespace {

using Json = nlohmann::json;

CodecConfig Good() { return CodecConfig::Paper(64, 8, 256, CodecMode::kFrozen); }

void ExpectRefused(const Result<CodecConfig>& result, StatusCode code, const std::string& word) {
  ASSERT_FALSE(result.ok()) << word;
  EXPECT_EQ(result.status().code(), code) << result.status().ToString();
  EXPECT_NE(result.status().message().find(word), std::string::npos) << result.status().message();
}

TEST(CodecConfigTest, MatchesThePapersWidths) {
  const CodecConfig small = CodecConfig::Paper(64, 8, 256, CodecMode::kFrozen);
  EXPECT_EQ(small.widths, (std::vector<int64_t>{32, 16, 8}));
  EXPECT_EQ(small.hyper_channels, 8);
  const CodecConfig gpt2 = CodecConfig::Paper(768, 12, 1024, CodecMode::kJoint);
  EXPECT_EQ(gpt2.widths, (std::vector<int64_t>{384, 192, 96}));
  EXPECT_EQ(gpt2.hyper_channels, 24);
  for (const auto& [width, heads] : std::vector<std::pair<int64_t, int64_t>>{{4096, 32}, {1600, 25}, {30, 5}, {7, 7}}) {
    for (const CodecMode mode : {CodecMode::kJoint, CodecMode::kFrozen}) {
      const Status valid = CodecConfig::Paper(width, heads, 128, mode).Validate();
      EXPECT_TRUE(valid.ok()) << width << "/" << heads << ": " << valid.ToString();
    }
  }
}

TEST(CodecConfigTest, MatchesThePapersConventionsInJointMode) {
  const CodecConfig config = CodecConfig::Paper(768, 12, 1024, CodecMode::kJoint);
  EXPECT_FALSE(config.gain);
  EXPECT_FALSE(config.residual);
  EXPECT_FALSE(config.channel_prior);
  EXPECT_EQ(config.transform, TransformKind::kNone);
  EXPECT_EQ(config.sigma, SigmaKind::kLinear);
  EXPECT_EQ(config.mean_steps, 1);
  EXPECT_EQ(config.sigma_floor, 0.11);
}

TEST(CodecConfigTest, RoundTripsThroughJson) {
  CodecConfig config = Good();
  config.widths = {24, 16};
  config.hyper_channels = 16;
  config.transform = TransformKind::kLearned;
  config.gain = false;
  config.residual = true;
  config.mean_steps = 8;
  config.last_mlp = false;
  config.attention = false;
  config.sigma = SigmaKind::kLinear;
  config.channel_prior = false;
  config.sigma_floor = 0.25;
  config.stream_per_token = true;
  config.precision_bits = 12;
  for (const CodecConfig& given : {config, Good(), CodecConfig::Paper(768, 12, 1024, CodecMode::kJoint)}) {
    const auto read = CodecConfig::FromJson(Json::parse(given.ToJson().dump()));
    ASSERT_TRUE(read.ok()) << read.status().ToString();
    EXPECT_EQ(read->ToJson(), given.ToJson());
  }
  EXPECT_EQ(CodecConfig::FromJson(config.ToJson())->transform, TransformKind::kLearned);
  EXPECT_EQ(CodecConfig::FromJson(config.ToJson())->widths, (std::vector<int64_t>{24, 16}));
}

TEST(CodecConfigTest, RoundTripsEverySwitch) {
  const std::vector<std::pair<std::string, Json>> cases = {{"widths=[40,8]", Json{40, 8}},
                                                           {"hyper_channels=16", 16},
                                                           {"transform=learned", "learned"},
                                                           {"transform=none", "none"},
                                                           {"gain=false", false},
                                                           {"residual=true", true},
                                                           {"centroid=true", true},
                                                           {"mean_steps=16", 16},
                                                           {"last_mlp=false", false},
                                                           {"last_mlp_ratio=2", 2},
                                                           {"attention=false", false},
                                                           {"sigma=linear", "linear"},
                                                           {"channel_prior=false", false},
                                                           {"sigma_floor=0.05", 0.05},
                                                           {"stream_per_token=true", true},
                                                           {"precision_bits=16", 16},
                                                           {"density=fourier", "fourier"},
                                                           {"prior=direct", "direct"},
                                                           {"causal=false", false},
                                                           {"window=8", 8},
                                                           {"classes=64", 64}};
  for (const auto& [assignment, expected] : cases) {
    CodecConfig config = Good();
    const std::string field = assignment.substr(0, assignment.find('='));
    ASSERT_NE(config.ToJson()[field], expected) << assignment << " must change something";
    const Status set = config.Set(assignment);
    ASSERT_TRUE(set.ok()) << set.ToString();
    EXPECT_EQ(config.ToJson()[field], expected) << assignment;
    EXPECT_TRUE(config.Validate().ok()) << assignment;
  }
}

TEST(CodecConfigTest, RejectsWrongSwitches) {
  const std::vector<std::pair<std::string, std::string>> cases = {{"gain", "name=value"},
                                                                  {"width=3", "names"},
                                                                  {"speed=3", "stream_per_token"},
                                                                  {"", "name=value"},
                                                                  {"gain=1", "true|false"},
                                                                  {"gain=", "gain"},
                                                                  {"sigma=square", "linear|log"},
                                                                  {"mean_steps=-1", "mean_steps"},
                                                                  {"mean_steps=1.5", "mean_steps"},
                                                                  {"widths=8", "widths"},
                                                                  {"widths=[]", "widths"},
                                                                  {"widths=[8,\"x\"]", "widths"},
                                                                  {"sigma_floor=low", "sigma_floor"},
                                                                  {"transform=true", "transform"},
                                                                  {"precision_bits=99999999999", "precision"}};
  for (const auto& [assignment, word] : cases) {
    CodecConfig config = Good();
    const Json before = config.ToJson();
    const Status set = config.Set(assignment);
    EXPECT_EQ(set.code(), StatusCode::kInvalidArgument) << assignment;
    EXPECT_NE(set.message().find(word), std::string::npos) << set.message();
    EXPECT_EQ(config.ToJson(), before) << assignment;
  }
}

TEST(CodecConfigTest, RejectsFieldsAndValuesByName) {
  const auto with = [](const std::string& field, Json value) {
    Json object = Good().ToJson();
    object[field] = std::move(value);
    return CodecConfig::FromJson(object);
  };
  ExpectRefused(with("flavour", 3), StatusCode::kUnsupported, "flavour");
  ExpectRefused(CodecConfig::FromJson(Json::array()), StatusCode::kInvalidArgument, "object");
  ExpectRefused(CodecConfig::FromJson(Json::object()), StatusCode::kInvalidArgument, "width");
  const std::vector<std::pair<std::string, Json>> wrong = {{"mode", "half"},
                                                           {"mode", 3},
                                                           {"transform", nullptr},
                                                           {"sigma", "LOG"},
                                                           {"gain", "yes"},
                                                           {"width", -64},
                                                           {"width", 64.5},
                                                           {"width", "64"},
                                                           {"width", 0},
                                                           {"width", 1 << 20},
                                                           {"heads", 0},
                                                           {"heads", 65},
                                                           {"heads", 7},
                                                           {"context", 0},
                                                           {"widths", 32},
                                                           {"widths", Json{33}},
                                                           {"widths", Json{0}},
                                                           {"widths", Json{-8}},
                                                           {"hyper_channels", 12},
                                                           {"hyper_channels", 0},
                                                           {"mean_steps", 4},
                                                           {"precision_bits", 9},
                                                           {"precision_bits", 17},
                                                           {"sigma_floor", 0.0},
                                                           {"sigma_floor", 2},
                                                           {"sigma_floor", "0.1"},
                                                           {"preset", 4},
                                                           {"widths", Json(17, 8)},
                                                           {"widths", Json{1 << 29}},
                                                           {"classes", 1},
                                                           {"classes", -2},
                                                           {"classes", 8193}};
  for (const auto& [field, value] : wrong) ExpectRefused(with(field, value), StatusCode::kInvalidArgument, field);
}

TEST(CodecConfigTest, RejectsContradictions) {
  CodecConfig joint = CodecConfig::Paper(64, 8, 256, CodecMode::kJoint);
  ASSERT_TRUE(joint.Validate().ok());
  for (const char* assignment : {"gain=true", "transform=fixed"}) {
    CodecConfig config = joint;
    ASSERT_TRUE(config.Set(assignment).ok());
    EXPECT_EQ(config.Validate().code(), StatusCode::kInvalidArgument);
    EXPECT_NE(config.Validate().message().find("joint"), std::string::npos);
  }
}

TEST(CodecConfigTest, RejectsDirectAccessThatCannotGoTokenByToken) {
  for (const char* assignment :
       {"residual=true", "stream_per_token=true", "attention=false", "causal=false", "window=8", "classes=64"}) {
    CodecConfig config = MakePreset("direct", 64, 8, 256, CodecMode::kFrozen).value();
    ASSERT_TRUE(config.Set(assignment).ok()) << assignment;
    EXPECT_EQ(config.Validate().code(), StatusCode::kInvalidArgument) << assignment;
  }
}

TEST(CodecConfigTest, RejectsUnknownPresetsListingThem) {
  for (const char* name : {"paper", "paper+", "fourier", "direct"}) {
    EXPECT_TRUE(MakePreset(name, 64, 8, 256, CodecMode::kFrozen).ok()) << name;
  }
  ExpectRefused(MakePreset("papyrus", 64, 8, 256, CodecMode::kFrozen), StatusCode::kInvalidArgument, "paper");
}

}  // namespace
}  // namespace sluice
