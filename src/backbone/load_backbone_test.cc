// Damaged and foreign model folders: each must be refused with the tensor or file that is wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "backbone/backbone_test_util.h"
#include "base/bytes.h"
#include "base/file.h"

namespace sluice {
namespace {

using testing::HasSubstr;

class LoadBackboneTest : public testing::Test {
 protected:
  void SetUp() override {
    ThrowIfError(SaveBackbone(*TinyModel(TinyLlama()), folder_.path()));
    text_ = ValueOrThrow(ReadFile(Weights()));
  }

  std::filesystem::path Weights() const { return folder_.path() / "model.safetensors"; }

  /// Rewrites the weights with `change` applied to the list of tensors.
  template <typename Change>
  void Rewrite(Change&& change) {
    const auto original = ValueOrThrow(SafetensorsFile::FromBytes(AsBytes(text_)));
    std::vector<TensorView> tensors;
    for (const auto& [name, tensor] : original.tensors()) tensors.push_back(tensor);
    change(tensors);
    ThrowIfError(WriteSafetensors(Weights(), tensors));
  }

  void ExpectRefusal(StatusCode code, const std::string& says, LayerRange range = {}) {
    const auto model = LoadBackbone(folder_.path(), range);
    EXPECT_EQ(model.status().code(), code) << model.status().ToString();
    EXPECT_THAT(model.status().message(), HasSubstr(says));
  }

  TemporaryFolder folder_;
  std::string text_;
};

TensorView& Named(std::vector<TensorView>& tensors, const std::string& name) {
  return *std::find_if(tensors.begin(), tensors.end(), [&](const TensorView& tensor) { return tensor.name == name; });
}

TEST_F(LoadBackboneTest, RejectsAMissingTensorOnlyWhereItIsNeeded) {
  Rewrite([](auto& tensors) {
    std::erase_if(tensors, [](const TensorView& tensor) { return tensor.name == "model.layers.1.mlp.up_proj.weight"; });
  });
  ExpectRefusal(StatusCode::kCorrupt, "\"model.layers.1.mlp.up_proj.weight\" is missing; expected shape [70, 48]");
  EXPECT_TRUE(LoadBackbone(folder_.path(), {0, 1}).ok());
  EXPECT_TRUE(LoadBackbone(folder_.path(), {2, -1}).ok());
}

TEST_F(LoadBackboneTest, RejectsAWrongShape) {
  Rewrite([](auto& tensors) { Named(tensors, "model.layers.0.mlp.down_proj.weight").shape = {70, 48}; });
  ExpectRefusal(StatusCode::kCorrupt, "\"model.layers.0.mlp.down_proj.weight\": expected shape [48, 70], got [70, 48]");
}

TEST_F(LoadBackboneTest, RejectsAWrongType) {
  Rewrite([](auto& tensors) { Named(tensors, "model.norm.weight").dtype = DType::kI32; });
  ExpectRefusal(StatusCode::kCorrupt, "\"model.norm.weight\": expected type F32, F16 or BF16, got I32");
}

TEST_F(LoadBackboneTest, RejectsTruncatedWeights) {
  for (const size_t size : {size_t{0}, size_t{5}, size_t{200}, text_.size() / 2, text_.size() - 1}) {
    ThrowIfError(WriteFileAtomic(Weights(), std::string_view(text_).substr(0, size)));
    ExpectRefusal(StatusCode::kTruncated, "model.safetensors");
  }
}

TEST_F(LoadBackboneTest, RejectsMissingFiles) {
  std::filesystem::remove(Weights());
  ExpectRefusal(StatusCode::kIo, "model.safetensors");
  std::filesystem::remove(folder_.path() / "config.json");
  ExpectRefusal(StatusCode::kIo, "config.json");
}

TEST_F(LoadBackboneTest, RejectsRangesOutsideTheModel) {
  for (const LayerRange range :
       {LayerRange{-1, 2}, LayerRange{2, 1}, LayerRange{0, 4}, LayerRange{4, -1}, LayerRange{0, -2}}) {
    ExpectRefusal(StatusCode::kInvalidArgument, "expected 0 <= begin <= end <= 3", range);
  }
}

TEST_F(LoadBackboneTest, RejectsAnotherArchitecture) {
  auto config = nlohmann::json::parse(ValueOrThrow(ReadFile(folder_.path() / "config.json")));
  config["model_type"] = "falcon";
  config["architectures"] = {"FalconForCausalLM"};
  ThrowIfError(WriteFileAtomic(folder_.path() / "config.json", std::string_view(config.dump())));
  ExpectRefusal(StatusCode::kUnsupported, "FalconForCausalLM");
}

TEST_F(LoadBackboneTest, MatchesWithoutTheFamilysPrefixAndWithBuffersBesides) {
  const std::vector<uint8_t> buffer(16);
  Rewrite([&](auto& tensors) {
    for (TensorView& tensor : tensors) {
      if (tensor.name.starts_with("model.")) tensor.name = tensor.name.substr(6);
    }
    tensors.push_back({"layers.0.self_attn.rotary_emb.inv_freq", DType::kF32, {4}, buffer});
  });
  const auto model = LoadBackbone(folder_.path());
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  const torch::NoGradGuard no_grad;
  const torch::Tensor tokens = RandomTokens(TinyLlama(), 1, 9);
  EXPECT_TRUE(torch::equal((*model)->Logits(tokens), TinyModel(TinyLlama())->Logits(tokens)));
}

TEST_F(LoadBackboneTest, MatchesFromShardsOfWhichOnlyTheNeededAreThere) {
  nlohmann::json index;
  std::vector<TensorView> early, late;
  const auto original = ValueOrThrow(SafetensorsFile::FromBytes(AsBytes(text_)));
  for (const auto& [name, tensor] : original.tensors()) {
    const bool first = name.find("layers.0.") != std::string::npos || name.find("embed_tokens") != std::string::npos;
    (first ? early : late).push_back(tensor);
    index["weight_map"][name] = first ? "early.safetensors" : "late.safetensors";
  }
  std::filesystem::remove(Weights());
  ThrowIfError(WriteSafetensors(folder_.path() / "late.safetensors", late));
  ThrowIfError(WriteFileAtomic(folder_.path() / "model.safetensors.index.json", std::string_view(index.dump())));
  EXPECT_TRUE(LoadBackbone(folder_.path(), {1, -1}).ok());
  ExpectRefusal(StatusCode::kIo, "early.safetensors", {0, 1});
  ThrowIfError(WriteSafetensors(folder_.path() / "early.safetensors", early));
  EXPECT_TRUE(LoadBackbone(folder_.path()).ok());
}

TEST_F(LoadBackboneTest, MatchesHuggingFaceNames) {
  const auto gpt2 = TinyModel(TinyGpt2());
  const auto names = gpt2->named_parameters();
  for (const char* name : {"transformer.wte.weight", "transformer.wpe.weight", "transformer.h.3.attn.c_attn.weight",
                           "transformer.h.0.ln_1.bias", "transformer.h.2.mlp.c_proj.bias", "transformer.ln_f.weight"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
  EXPECT_EQ(names.size(), 2u + 4u * 12u + 2u);
}

TEST_F(LoadBackboneTest, RejectsAnUnwritableFolder) {
  const auto model = TinyModel(TinyGpt2());
  EXPECT_EQ(SaveBackbone(*model, Weights() / "inside_a_file").code(), StatusCode::kIo);
}

}  // namespace
}  // namespace sluice
