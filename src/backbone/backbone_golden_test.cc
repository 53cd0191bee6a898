// Every directory of references is run through this build: hidden states before each layer, logits, loss, and the far
// side of a cut handed a state that no head of ours produced.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "backbone/backbone_test_util.h"
#include "backbone/generate.h"
#include "backbone/lm_score.h"
#include "base/file.h"

namespace sluice {
namespace {

// A float32 implementation against float64 references; every wrong convention tried moves the logits by more.
constexpr double kTolerance = 2e-5;

std::vector<std::filesystem::path> GoldenDirectories() {
  std::vector<std::filesystem::path> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(GoldenFolder(), error)) {
    if (std::filesystem::exists(entry.path() / "config.json") &&
        std::filesystem::exists(entry.path() / "golden.safetensors")) {
      found.push_back(entry.path());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

void ExpectNear(const torch::Tensor& got, const SafetensorsFile& golden, const std::string& name) {
  const torch::Tensor expected = ReadTensor(golden, name);
  ASSERT_EQ(got.sizes(), expected.sizes()) << name;
  const double scale = std::max(1.0, expected.abs().max().item<double>());
  EXPECT_LE((got - expected).abs().max().item<double>(), kTolerance * scale) << name;
}

class BackboneGoldenTest : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(BackboneGoldenTest, Golden) {
  const torch::NoGradGuard no_grad;
  const auto golden = SafetensorsFile::Open(GetParam() / "golden.safetensors");
  ASSERT_TRUE(golden.ok()) << golden.status().ToString();
  const auto loaded = LoadBackbone(GetParam());
  if (loaded.status().code() == StatusCode::kUnsupported) GTEST_SKIP() << "NOT COVERED: " << loaded.status().message();
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  Backbone& model = **loaded;
  const torch::Tensor tokens = ReadTensor(*golden, "input_ids");

  for (int64_t k = 0; k <= model.config().layers; ++k) {
    ExpectNear(model.Head(tokens, k), *golden, fmt::format("hidden.{}", k));
  }
  const torch::Tensor logits = model.Logits(tokens);
  ExpectNear(logits, *golden, "logits");
  ExpectNear(NextTokenNats(logits, tokens).mean().view({1}), *golden, "loss");

  const int64_t cut = ReadTensor(*golden, "split.k").item<int64_t>();
  const auto tail = LoadBackbone(GetParam(), {cut, -1});
  ASSERT_TRUE(tail.ok()) << tail.status().ToString();
  const torch::Tensor sent = ReadTensor(*golden, "split.hidden");
  ExpectNear((*tail)->Layers(sent, cut, model.config().layers), *golden, "split.last");
  ExpectNear((*tail)->Tail(sent, cut), *golden, "split.logits");
}

std::string DirectoryName(const testing::TestParamInfo<std::filesystem::path>& info) {
  std::string name = info.param.filename().string();
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(BackboneTest, BackboneGoldenTest, testing::ValuesIn(GoldenDirectories()), DirectoryName);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(BackboneGoldenTest);

/// The real model among the references.
class BackboneStoriesTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto folder = GoldenFolder() / "stories260K";
    if (!std::filesystem::exists(folder / "config.json")) GTEST_SKIP() << "no " << folder;
    model_ = ValueOrThrow(LoadBackbone(folder));
    golden_.emplace(ValueOrThrow(SafetensorsFile::Open(folder / "golden.safetensors")));
  }

  std::shared_ptr<Backbone> model_;
  std::optional<SafetensorsFile> golden_;
};

TEST_F(BackboneStoriesTest, GoldenCrossEntropyOfRealText) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor tokens = ReadTensor(*golden_, "ce_input_ids");
  EXPECT_NEAR(NextTokenNats(model_->Logits(tokens), tokens).mean().item<double>(), 1.43046, 5e-5);
}

TEST_F(BackboneStoriesTest, GoldenGreedyIdsWithAndWithoutCache) {
  const torch::Tensor all = ReadTensor(*golden_, "greedy_ids");
  const std::vector<int64_t> ids(all.data_ptr<int64_t>(), all.data_ptr<int64_t>() + all.numel());
  const std::vector<int64_t> prompt(ids.begin(), ids.begin() + 5), expected(ids.begin() + 5, ids.end());
  GenerateOptions options;
  options.sampling.temperature = 0;
  options.max_new_tokens = static_cast<int64_t>(expected.size());

  KvCache cache(model_->config(), 1);
  const auto cached =
      Generate([&](const torch::Tensor& tokens) { return model_->Logits(tokens, &cache); }, prompt, options);
  ASSERT_TRUE(cached.ok()) << cached.status().ToString();
  EXPECT_EQ(*cached, expected);

  torch::Tensor so_far = torch::empty({1, 0}, torch::kLong);
  const auto uncached = Generate(
      [&](const torch::Tensor& tokens) {
        so_far = torch::cat({so_far, tokens}, 1);
        return model_->Logits(so_far);
      },
      prompt, options);
  ASSERT_TRUE(uncached.ok()) << uncached.status().ToString();
  EXPECT_EQ(*uncached, expected);
}

}  // namespace
}  // namespace sluice
