// The integer network against the float one it was made from, and what it may depend on.
#include "neural/context_network.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "neural/context_codec.h"
#include "neural/context_kind_test.h"
#include "prob/scale_grid.h"

namespace sluice {
namespace {

ContextConfig TinyConfig(const ContextKind& kind) {
  ContextConfig config;
  config.width = 12;
  config.context = 20;
  config.hidden = 15;
  config.groups = 3;
  config.id_count = 7;
  config.pair_bits = kind.ids == ContextIds::kNone ? 0 : 5;
  SetKind(kind, config);
  config.class_width = 4;
  config.points = 3;
  return config;
}

// Parameters of every element of one sequence. Data: latent [T, d], ids [T].
struct Parameters {
  std::vector<int32_t> mean_q4;
  std::vector<uint8_t> scale;
};
Parameters RunAll(const ContextNetwork& network, int point, const std::vector<int32_t>& ids,
                  const std::vector<int32_t>& latent) {
  const auto d = static_cast<size_t>(network.config.width);
  Parameters all{std::vector<int32_t>(latent.size()), std::vector<uint8_t>(latent.size())};
  ContextRun run(network, point);
  for (size_t t = 0; t < ids.size(); ++t) {
    run.BeginToken(ids[t]);
    for (int64_t g = 0; g < network.config.groups; ++g) {
      run.Parameters(g, {all.mean_q4.data() + t * d, d}, {all.scale.data() + t * d, d});
      run.Absorb(g, {latent.data() + t * d, d});
    }
    run.EndToken();
  }
  return all;
}

class ContextNetworkTest : public testing::TestWithParam<ContextKind> {
 protected:
  void SetUp() override {
    torch::manual_seed(3);
    config_ = TinyConfig(GetParam());
    codec_ = ContextCodec(config_);
    torch::NoGradGuard no_grad;
    for (auto& item : codec_->named_parameters()) {
      if (item.key() == "output" || item.key() == "scale_output" || item.key() == "point_bias" ||
          item.key().starts_with("table_direct")) {
        item.value().normal_(0, 0.3);
      }
    }
    ContextTransform transform = codec_->Transform();
    transform.log_gain = torch::linspace(1.5, -0.5, config_.width);
    if (config_.class_groups > 0) transform.class_sizes = torch::tensor({2, 2, 3});
    codec_->Initialize(transform, torch::exp(transform.log_gain));
    x_ = torch::randn({1, 20, config_.width});
    ids_ = torch::randint(7, {1, 20});
  }

  static std::vector<int32_t> Integers(const torch::Tensor& v) {
    const auto whole = v.to(torch::kInt32).contiguous();
    return {whole.data_ptr<int32_t>(), whole.data_ptr<int32_t>() + whole.numel()};
  }

  ContextConfig config_;
  ContextCodec codec_{nullptr};
  torch::Tensor x_, ids_;
};

TEST_P(ContextNetworkTest, MatchesTheFloatNetworkItWasMadeFrom) {
  torch::NoGradGuard no_grad;
  const ContextNetwork network = codec_->ToIntegers();
  ASSERT_TRUE(network.Check().ok()) << network.Check().ToString();
  for (int point = 0; point < 3; ++point) {
    const auto output = codec_->Run(x_, ids_, point);
    const Parameters got = RunAll(network, point, Integers(ids_), Integers(output.latent));
    const auto mean = output.mean.contiguous(), sigma = output.sigma.contiguous();
    // Activations are rounded to 1/64 and a mean sums some ten of them, times the channel's unit of up to 4.
    constexpr double kMeanTolerance = 0.25;
    for (size_t i = 0; i < got.scale.size(); ++i) {
      EXPECT_NEAR(got.mean_q4[i] / 16.0, mean.data_ptr<float>()[i], kMeanTolerance) << point << " " << i;
      EXPECT_NEAR(got.scale[i], ScaleIndex(sigma.data_ptr<float>()[i]), 1) << point << " " << i;
    }
  }
}

TEST_P(ContextNetworkTest, MatchesWhateverComesLater) {
  torch::NoGradGuard no_grad;
  const ContextNetwork network = codec_->ToIntegers();
  auto latent = Integers(codec_->Run(x_, ids_, 0).latent);
  auto ids = Integers(ids_);
  const Parameters before = RunAll(network, 0, ids, latent);
  // Changes the second group of token 9 and everything behind it.
  const size_t changed = 9 * 12 + 4;
  for (size_t i = changed; i < latent.size(); ++i) latent[i] += 3;
  for (size_t t = 10; t < ids.size(); ++t) ids[t] = (ids[t] + 1) % 7;
  const Parameters after = RunAll(network, 0, ids, latent);
  for (size_t i = 0; i < changed + 4; ++i) {
    ASSERT_EQ(before.mean_q4[i], after.mean_q4[i]) << i;
    ASSERT_EQ(before.scale[i], after.scale[i]) << i;
  }
  EXPECT_NE(std::vector(before.mean_q4.begin() + changed + 4, before.mean_q4.end()),
            std::vector(after.mean_q4.begin() + changed + 4, after.mean_q4.end()));
}

TEST_P(ContextNetworkTest, MatchesItselfAfterExtremeLatents) {
  const ContextNetwork network = codec_->ToIntegers();
  std::vector<int32_t> latent(20 * 12);
  for (size_t i = 0; i < latent.size(); ++i) latent[i] = i % 2 == 0 ? INT32_MAX : INT32_MIN;
  const Parameters got = RunAll(network, 2, std::vector<int32_t>(20, 0), latent);
  for (uint8_t scale : got.scale) EXPECT_LT(scale, kScaleCodes);
}

TEST_P(ContextNetworkTest, DifferentiatesEveryParameter) {
  auto x = x_.clone();
  const auto output = codec_->Run(x, ids_, 1);
  (output.bits.sum() + (output.reconstruction - x).square().sum()).backward();
  for (const auto& item : codec_->named_parameters()) {
    ASSERT_TRUE(item.value().grad().defined()) << item.key();
    EXPECT_GT(item.value().grad().abs().sum().item<double>(), 0) << item.key();
  }
}

TEST_P(ContextNetworkTest, RejectsWhatCouldOverflow) {
  ContextNetwork network = codec_->ToIntegers();
  network.past.shifts[3] = 20;
  EXPECT_EQ(network.Check().code(), StatusCode::kInvalidArgument);
  network = codec_->ToIntegers();
  network.base_bias[0] = INT32_MAX;
  EXPECT_EQ(network.Check().code(), StatusCode::kInvalidArgument);
  network = codec_->ToIntegers();
  network.output.values.pop_back();
  EXPECT_EQ(network.Check().code(), StatusCode::kInvalidArgument);
}

TEST_P(ContextNetworkTest, MatchesItsConfigurationThroughJson) {
  const auto again = ContextConfig::FromJson(config_.ToJson());
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(again->ToJson(), config_.ToJson());
}

INSTANTIATE_TEST_SUITE_P(Kinds, ContextNetworkTest,
                         testing::Values(ContextKind{"None", ContextIds::kNone},
                                         ContextKind{"Tokens", ContextIds::kTokens},
                                         ContextKind{"Classes", ContextIds::kClasses},
                                         ContextKind{"Direct", ContextIds::kClasses, true},
                                         ContextKind{"DirectTokens", ContextIds::kTokens, true},
                                         ContextKind{"DirectWithoutLatents", ContextIds::kClasses, true, false}),
                         [](const auto& kind) { return std::string(kind.param.name); });

TEST(ContextConfigTest, CostsWhatTheBudgetAllowsAtGpt2Width) {
  constexpr double kBlock = 12.0 * 768 * 768;
  EXPECT_LE(ContextMultiplyAdds(*MakeContextPreset("sluice", 768, 1024)), 0.3 * kBlock);
  EXPECT_LE(ContextMultiplyAdds(*MakeContextPreset("fast", 768, 1024)), 0.1 * kBlock);
}

TEST(ContextConfigTest, CostsNoMoreThanItsTablesMay) {
  ContextConfig config = *MakeContextPreset("sluice", 768, 1024);
  EXPECT_EQ(config.direct, 2);
  config.id_count = 50257;  // 77 MB for a table of rows of GPT-2's tokens
  EXPECT_EQ(MostDirect(config), 0);
  config.width = 256;
  EXPECT_EQ(MostDirect(config), 1);
}

TEST(ContextConfigTest, MatchesWhatCodecsMeantBeforeThereWereDirectRows) {
  ContextConfig config = *MakeContextPreset("fast", 64, 512);
  config.id_count = 1024;
  nlohmann::json stored = config.ToJson();
  for (const char* name : {"direct", "latents", "scale_hidden", "class_groups"}) stored.erase(name);
  const auto old = ContextConfig::FromJson(stored);
  ASSERT_TRUE(old.ok()) << old.status().ToString();
  EXPECT_EQ(old->direct, 0);
  EXPECT_TRUE(old->latents);
  EXPECT_EQ(old->ScaleUnits(), old->hidden);
}

TEST(ContextConfigTest, RejectsWrongSwitches) {
  ContextConfig config = *MakeContextPreset("sluice", 64, 512);
  EXPECT_TRUE(config.Set("hidden=32").ok());
  EXPECT_EQ(config.Set("hidden=wide").code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(config.Set("width=3").code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(config.Set("colour=blue").code(), StatusCode::kUnsupported);
  EXPECT_TRUE(config.Set("ids=none").ok());
  EXPECT_EQ(config.Validate().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(MakeContextPreset("paper", 64, 512).status().code(), StatusCode::kInvalidArgument);
  for (const char* wrong : {"latents=false", "direct=3", "class_groups=1", "class_groups=4096", "scale_hidden=-1"}) {
    ContextConfig changed = *MakeContextPreset("sluice", 64, 512);
    ASSERT_TRUE(changed.Set(wrong).ok()) << wrong;
    EXPECT_EQ(changed.Validate().code(), StatusCode::kInvalidArgument) << wrong;
  }
}

}  // namespace
}  // namespace sluice
