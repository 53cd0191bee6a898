#include "backbone/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "backbone/tiny_configs.h"
#include "backbone/torch_setup.h"
#include "format/temporary_folder.h"

namespace sluice {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json Gpt2Json() { return json::parse(TinyGpt2().ToJson()); }
json LlamaJson() { return json::parse(TinyLlama().ToJson()); }

struct BadConfig {
  const char* name;
  std::string text;
  StatusCode code;
  const char* says;
};

std::string With(json base, const char* field, json value) {
  base[field] = std::move(value);
  return base.dump();
}
std::string Without(json base, const char* field) {
  base.erase(field);
  return base.dump();
}

std::vector<BadConfig> BadConfigs() {
  const StatusCode invalid = StatusCode::kInvalidArgument, unsupported = StatusCode::kUnsupported;
  return {
      {"NotJson", "{\"model_type\": ", StatusCode::kCorrupt, "not valid JSON"},
      {"NotAnObject", "[1, 2]", StatusCode::kCorrupt, "expected an object, got array"},
      {"NoType", "{}", invalid, "neither \"model_type\" nor \"architectures\""},
      {"UnknownType", "{\"model_type\": \"mamba\"}", unsupported, "\"mamba\""},
      {"NamesWhatIsSupported", "{\"model_type\": \"mamba\"}", unsupported, "gpt2 (GPT2LMHeadModel), llama"},
      {"OtherHead", With(Gpt2Json(), "architectures", {"GPT2ForSequenceClassification"}), unsupported,
       "GPT2ForSequenceClassification"},
      {"ArchitectureOfAnotherType", With(Gpt2Json(), "architectures", {"LlamaForCausalLM"}), unsupported, "Llama"},
      {"ArchitecturesNotAList", With(Gpt2Json(), "architectures", 3), invalid, "\"architectures\""},
      {"MissingField", Without(Gpt2Json(), "n_embd"), invalid, "\"n_embd\" is missing"},
      {"TextForNumber", With(LlamaJson(), "hidden_size", "big"), invalid,
       "\"hidden_size\": expected an integer, got \"big\""},
      {"FractionForInteger", With(LlamaJson(), "hidden_size", 48.5), invalid, "expected an integer, got 48.5"},
      {"NegativeLayers", With(Gpt2Json(), "n_layer", -1), invalid, "layers is -1"},
      {"TooManyLayers", With(Gpt2Json(), "n_layer", 100000), invalid, "from 1 to 1024"},
      {"HugeVocabulary", With(Gpt2Json(), "vocab_size", int64_t{1} << 40), invalid, "vocab is"},
      {"ZeroHeads", With(Gpt2Json(), "n_head", 0), invalid, "heads is 0"},
      {"HeadsThatDoNotDivide", With(Gpt2Json(), "n_head", 7), invalid, "not heads 7"},
      {"GroupsThatDoNotDivide", With(LlamaJson(), "num_key_value_heads", 4), invalid, "not a multiple of kv_heads 4"},
      {"OddHeadDimension", With(LlamaJson(), "head_dim", 7), invalid, "head_dim 7 is odd"},
      {"UnknownActivation", With(LlamaJson(), "hidden_act", "mish"), unsupported, "\"mish\""},
      {"UnknownRopeType", With(LlamaJson(), "rope_scaling", {{"rope_type", "yarn"}, {"factor", 2.0}}), unsupported,
       "\"yarn\""},
      {"RopeScalingNotAnObject", With(LlamaJson(), "rope_scaling", 8), invalid, "\"rope_scaling\": expected an object"},
      {"IncompleteRopeScaling", With(LlamaJson(), "rope_scaling", {{"rope_type", "llama3"}, {"factor", 8.0}}), invalid,
       "original_max_position_embeddings\" is missing"},
      {"OtherAttentionScale", With(Gpt2Json(), "scale_attn_by_inverse_layer_idx", true), unsupported,
       "scale_attn_by_inverse_layer_idx"},
      {"Quantized", With(LlamaJson(), "quantization_config", {{"bits", 4}}), unsupported, "quantization_config"},
      {"EndIdOutside", With(LlamaJson(), "eos_token_id", 5000), invalid, "eos_token_id is 5000"},
      {"EndIdOfText", With(LlamaJson(), "eos_token_id", {1, "x"}), invalid,
       "\"eos_token_id\": expected an integer or a list"},
  };
}

class BackboneConfigBadTest : public testing::TestWithParam<BadConfig> {};

TEST_P(BackboneConfigBadTest, Rejects) {
  const auto config = BackboneConfig::Parse(GetParam().text);
  EXPECT_EQ(config.status().code(), GetParam().code) << config.status().ToString();
  EXPECT_THAT(config.status().message(), HasSubstr(GetParam().says));
}
INSTANTIATE_TEST_SUITE_P(BackboneConfigTest, BackboneConfigBadTest, testing::ValuesIn(BadConfigs()),
                         [](const auto& bad) { return std::string(bad.param.name); });

TEST(BackboneConfigTest, RoundTripsThroughJson) {
  BackboneConfig linear = TinyLlama();
  linear.rope_scaling = {RopeScaling::Kind::kLinear, 4.0};
  linear.attention_bias = true;
  BackboneConfig plain = TinyGpt2();
  plain.activation = Activation::kGeluErf;
  plain.mlp_width = 77;
  plain.eos = {96};
  for (const BackboneConfig& config : {TinyGpt2(), plain, TinyLlama(), linear}) {
    const auto again = BackboneConfig::Parse(config.ToJson());
    ASSERT_TRUE(again.ok()) << again.status().ToString();
    EXPECT_EQ(*again, config);
  }
}

TEST(BackboneConfigTest, MatchesNewerNamesOfRotaryFields) {
  json moved = LlamaJson();
  moved["rope_parameters"] = moved["rope_scaling"];
  moved["rope_parameters"]["rope_theta"] = 500000.0;
  moved.erase("rope_scaling");
  moved.erase("rope_theta");
  BackboneConfig expected = TinyLlama();
  expected.rope_theta = 500000.0;
  EXPECT_EQ(ValueOrThrow(BackboneConfig::Parse(moved.dump())), expected);
}

TEST(BackboneConfigTest, RejectsAnEmptyFolderWithItsName) {
  const TemporaryFolder folder;
  const auto config = BackboneConfig::Load(folder.path());
  EXPECT_EQ(config.status().code(), StatusCode::kIo);
  EXPECT_THAT(config.status().message(), HasSubstr("config.json"));
}

}  // namespace
}  // namespace sluice
