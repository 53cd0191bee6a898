// The networks of the codec: blocks against a reference written with loops, causality, sizes of the paper's shape, and
// the gradient of the whole pass.
#include "neural/learned_codec.h"

#include <gtest/gtest.h>

#include <cmath>

#include "neural/gaussian.h"
#include "neural/gradient_check_test.h"

namespace sluice {
namespace {

using Rows = std::vector<std::vector<double>>;

Rows ToRows(const torch::Tensor& matrix) {
  const auto m = matrix.detach().to(torch::kDouble).contiguous();
  Rows rows(static_cast<size_t>(m.size(0)), std::vector<double>(static_cast<size_t>(m.size(1))));
  for (size_t r = 0; r < rows.size(); ++r) {
    for (size_t c = 0; c < rows[r].size(); ++c) rows[r][c] = m.data_ptr<double>()[r * rows[r].size() + c];
  }
  return rows;
}

// Row-vector times transposed weight [out, in], rows [first, first + count) of it.
std::vector<double> Product(const std::vector<double>& v, const Rows& weight, size_t first, size_t count) {
  std::vector<double> out(count, 0.0);
  for (size_t o = 0; o < count; ++o) {
    for (size_t i = 0; i < v.size(); ++i) out[o] += weight[first + o][i] * v[i];
  }
  return out;
}

std::vector<double> LayerNorm(const std::vector<double>& v, const torch::Tensor& weight) {
  double mean = 0, variance = 0;
  for (double x : v) mean += x / static_cast<double>(v.size());
  for (double x : v) variance += (x - mean) * (x - mean) / static_cast<double>(v.size());
  std::vector<double> out(v.size());
  for (size_t i = 0; i < v.size(); ++i) {
    out[i] = (v[i] - mean) / std::sqrt(variance + 1e-5) * weight[static_cast<int64_t>(i)].item<double>();
  }
  return out;
}

// One sequence through a block, token by token and head by head.
Rows ReferenceBlock(BlockImpl& block, const Rows& u, size_t out_width, size_t heads) {
  const auto parameters = block.named_parameters();
  const size_t n = u[0].size(), tokens = u.size(), head = n / heads;
  Rows a = u;
  if (parameters.contains("qkv.weight")) {
    const Rows qkv = ToRows(parameters["qkv.weight"]), mix = ToRows(parameters["attention_out.weight"]);
    Rows q, k, v;
    for (const auto& row : u) {
      const auto normed = LayerNorm(row, parameters["ln1_weight"]);
      q.push_back(Product(normed, qkv, 0, n));
      k.push_back(Product(normed, qkv, n, n));
      v.push_back(Product(normed, qkv, 2 * n, n));
    }
    for (size_t t = 0; t < tokens; ++t) {
      std::vector<double> gathered(n, 0.0);
      for (size_t h = 0; h < heads; ++h) {
        double total = 0;
        std::vector<double> weight(t + 1, 0.0);
        for (size_t s = 0; s <= t; ++s) {
          for (size_t i = h * head; i < (h + 1) * head; ++i) weight[s] += q[t][i] * k[s][i];
          weight[s] = std::exp(weight[s] / std::sqrt(static_cast<double>(head)));
          total += weight[s];
        }
        for (size_t s = 0; s <= t; ++s) {
          for (size_t i = h * head; i < (h + 1) * head; ++i) gathered[i] += weight[s] / total * v[s][i];
        }
      }
      const auto mixed = Product(gathered, mix, 0, n);
      for (size_t i = 0; i < n; ++i) a[t][i] += mixed[i];
    }
  }
  for (auto& row : a) {
    if (n != out_width) row = Product(row, ToRows(parameters["project.weight"]), 0, out_width);
    if (!parameters.contains("expand.weight")) continue;
    const Rows expand = ToRows(parameters["expand.weight"]);
    auto wide = Product(LayerNorm(row, parameters["ln2_weight"]), expand, 0, expand.size());
    for (double& x : wide) x *= 0.5 * (1 + std::erf(x / std::sqrt(2.0)));
    const auto back = Product(wide, ToRows(parameters["contract.weight"]), 0, out_width);
    for (size_t i = 0; i < out_width; ++i) row[i] += back[i];
  }
  return a;
}

void RandomizeNorms(torch::nn::Module& module) {
  torch::NoGradGuard no_grad;
  for (auto& item : module.named_parameters()) {
    if (item.key().find("ln") != std::string::npos) item.value().uniform_(0.5, 1.5);
  }
}

TEST(BlockTest, MatchesTheReference) {
  torch::manual_seed(2);
  for (const int64_t out : {6, 4, 10}) {
    for (const BlockOptions options :
         {BlockOptions{}, BlockOptions{false, 4}, BlockOptions{true, 0}, BlockOptions{true, 1}}) {
      Block block(6, out, 2, options);
      RandomizeNorms(*block);
      block->to(torch::kDouble);
      const auto u = torch::randn({2, 7, 6}, torch::kDouble) * 2;
      torch::NoGradGuard no_grad;
      const auto got = block(u);
      ASSERT_EQ(got.sizes(), (torch::IntArrayRef{2, 7, out}));
      for (int64_t b = 0; b < 2; ++b) {
        const Rows expected = ReferenceBlock(*block, ToRows(u[b]), static_cast<size_t>(out), 2);
        const Rows rows = ToRows(got[b]);
        for (size_t t = 0; t < rows.size(); ++t) {
          for (size_t i = 0; i < rows[t].size(); ++i) ASSERT_NEAR(rows[t][i], expected[t][i], 1e-11) << t << " " << i;
        }
      }
    }
  }
}

TEST(BlockTest, RejectsHeadsThatDoNotDivideTheWidth) { EXPECT_THROW(Block(6, 6, 4), c10::Error); }

TEST(BlockTest, MatchesTheCausalOrder) {
  torch::manual_seed(3);
  Block block(8, 12, 4);
  torch::NoGradGuard no_grad;
  const auto u = torch::randn({1, 9, 8});
  const auto before = block(u);
  for (int64_t t = 0; t < 9; ++t) {
    auto changed = u.clone();
    changed[0][t] += torch::randn({8});  // not a constant: the norms would not see it
    const auto after = block(changed);
    EXPECT_TRUE(torch::equal(after.slice(1, 0, t), before.slice(1, 0, t))) << t;
    EXPECT_FALSE(torch::equal(after[0][t], before[0][t])) << t;
    EXPECT_FALSE(torch::equal(after[0][8], before[0][8])) << t << ": the past must be seen";
  }
}

// ---- the whole codec

CodecConfig Tiny(CodecMode mode = CodecMode::kFrozen) { return CodecConfig::Paper(8, 2, 64, mode); }

void ExpectCausalOrder(const CodecConfig& config) {
  torch::manual_seed(4);
  LearnedCodec codec(config);
  torch::NoGradGuard no_grad;
  if (config.classes > 0) codec->StartClasses(torch::randn({100, 8}) * 6);
  const auto x = torch::randn({1, 8, 8}) * 6;
  const EncoderOutput before = codec->Analyze(x);
  bool hyper_moved = false;
  for (int64_t t = 0; t < 8; ++t) {
    auto changed = x.clone();
    changed[0][t] += 9 * torch::randn({8});
    const EncoderOutput after = codec->Analyze(changed);
    EXPECT_TRUE(torch::equal(after.hyper.slice(1, 0, t), before.hyper.slice(1, 0, t)));
    EXPECT_TRUE(torch::equal(after.parameters.mean.slice(1, 0, t), before.parameters.mean.slice(1, 0, t)));
    EXPECT_TRUE(torch::equal(after.parameters.sigma.slice(1, 0, t), before.parameters.sigma.slice(1, 0, t)));
    hyper_moved = hyper_moved || !torch::equal(after.hyper, before.hyper);
    auto z = before.hyper.clone();
    z[0][t] += 1;
    const EntropyParameters shifted = codec->Synthesize(z);
    EXPECT_TRUE(torch::equal(shifted.mean.slice(1, 0, t), before.parameters.mean.slice(1, 0, t)));
    EXPECT_FALSE(torch::equal(shifted.mean[0][t], before.parameters.mean[0][t]));
  }
  EXPECT_TRUE(hyper_moved);
}

TEST(LearnedCodecTest, MatchesCausalOrderOfBothNetworks) {
  ExpectCausalOrder(Tiny());
  CodecConfig classed = Tiny();
  classed.classes = 6;
  ExpectCausalOrder(classed);
}

int64_t CountParameters(LearnedCodec codec, const std::string& prefix) {
  int64_t count = 0;
  for (const auto& item : codec->named_parameters())
    count += item.key().rfind(prefix, 0) == 0 ? item.value().numel() : 0;
  return count;
}

TEST(LearnedCodecTest, CostsTheParametersOfThePaper) {
  LearnedCodec codec(CodecConfig::Paper(768, 12, 1024, CodecMode::kJoint));
  EXPECT_EQ(CountParameters(codec, "analysis."), 5'077'848);    // 5.08 M
  EXPECT_EQ(CountParameters(codec, "synthesis."), 21'886'296);  // 21.89 M
  EXPECT_EQ(CountParameters(codec, "synthesis.3.expand") + CountParameters(codec, "synthesis.3.contract"),
            18'874'368);  // 18.87 M
  EXPECT_EQ(CountParameters(codec, "density."), 118 * 24);
  EXPECT_EQ(CountParameters(codec, "transform."), 0);
  EXPECT_EQ(CountParameters(codec, "log_scale"), 0);
}

TEST(LearnedCodecTest, CostsSeventyPercentLessSynthesisWithoutTheLastMlp) {
  CodecConfig config = CodecConfig::Paper(96, 12, 64, CodecMode::kJoint);
  const int64_t with = CountParameters(LearnedCodec(config), "synthesis.");
  config.last_mlp = false;
  const int64_t without = CountParameters(LearnedCodec(config), "synthesis.");
  EXPECT_EQ(with - without, 8 * (2 * 96) * (2 * 96) + 2 * 96);
}

// The pass with every rounding replaced by adding what rounding added at the starting point: smooth, equal there in
// value, and by the straight-through rule equal in gradient.
class Surrogate {
 public:
  Surrogate(const LearnedCodec& codec, torch::Tensor x) : codec_(codec.ptr()), x_(std::move(x)) {
    torch::NoGradGuard no_grad;
    const auto u = codec_->transform()->Forward(x_);
    y_offset_ = codec_->config().residual ? torch::zeros_like(u) : torch::round(u) - u;
    const auto z = Analysis(u + y_offset_);
    z_offset_ = torch::round(z) - z;
    const auto s = u - codec_->Synthesize(z + z_offset_).mean;
    s_offset_ = torch::round(s) - s;
  }

  double operator()() const {
    torch::NoGradGuard no_grad;
    const auto u = codec_->transform()->Forward(x_);
    const auto z = Analysis(u + y_offset_) + z_offset_;
    const EntropyParameters parameters = codec_->Synthesize(z);
    const bool residual = codec_->config().residual;
    const auto s = residual ? u - parameters.mean + s_offset_ : u + y_offset_ - parameters.mean;
    const auto back = codec_->Reconstruct(residual ? s : u + y_offset_, parameters);
    return (codec_->density().Bits(z).sum() + Bits(GaussianLikelihood(s, parameters.sigma)).sum() +
            (back - x_).square().sum())
        .item<double>();
  }

 private:
  // The analysis is private to the codec: the same blocks again, with the codec's own weights.
  torch::Tensor Analysis(torch::Tensor v) const {
    const CodecConfig& config = codec_->config();
    const auto parameters = codec_->named_parameters();
    if (parameters.contains("log_scale")) v = v * torch::exp(-parameters["log_scale"]);
    std::vector<int64_t> widths = config.widths;
    widths.push_back(config.hyper_channels);
    for (size_t i = 0; i < widths.size(); ++i) {
      Block block(v.size(-1), widths[i], config.heads);
      block->to(torch::kDouble);
      for (auto& item : block->named_parameters()) {
        item.value().copy_(parameters["analysis." + std::to_string(i) + "." + item.key()]);
      }
      v = block(v);
    }
    return v;
  }

  std::shared_ptr<LearnedCodecImpl> codec_;
  torch::Tensor x_;
  torch::Tensor y_offset_, z_offset_, s_offset_;
};

// A norm over equal z bends within 0.003: steps must be small against that, and rounding then limits the agreement.
constexpr double kStep = 3e-7;
constexpr double kTolerance = 1e-3;

void CheckWholePass(bool residual) {
  torch::manual_seed(5);
  CodecConfig config = CodecConfig::Paper(4, 2, 8, CodecMode::kFrozen);
  config.widths = {2};
  config.transform = TransformKind::kLearned;
  config.residual = residual;
  config.last_mlp = !residual;
  config.mean_steps = 16;
  LearnedCodec codec(config);
  codec->transform()->Set(torch::randn({4}), torch::randn({4, 4}) * 0.3 + torch::eye(4), torch::full({4}, 2.0));
  codec->SetChannelScale(torch::full({4}, 6.0));
  codec->to(torch::kDouble);
  const auto x = (torch::randn({2, 3, 4}, torch::kDouble) * 2).requires_grad_(true);
  const CodecOutput output = codec->forward(x);
  const Surrogate surrogate(codec, x);
  const auto loss = output.bits_hyper.sum() + output.bits_latent.sum() + (output.reconstruction - x).square().sum();
  ASSERT_NEAR(loss.item<double>(), surrogate(), 1e-9);
  // At the floor of the probability the gradient is a rule, not a derivative; BoundsTest is about that.
  ASSERT_LT(std::max(output.bits_hyper.max().item<double>(), output.bits_latent.max().item<double>()), 25);
  loss.backward();
  ExpectGradientsNear(x.grad(), CentralDifferences(surrogate, x, kStep), kTolerance, "x");
  for (auto& item : codec->named_parameters()) {
    ExpectGradientsNear(item.value().grad(), CentralDifferences(surrogate, item.value(), kStep), kTolerance,
                        item.key());
  }
}

TEST(LearnedCodecTest, DifferentiatesTheWholePassOnTheGrid) { CheckWholePass(false); }
TEST(LearnedCodecTest, DifferentiatesTheWholePassOfResiduals) { CheckWholePass(true); }

TEST(LearnedCodecTest, DifferentiatesTheNetworksAloneInRateOnly) {
  torch::manual_seed(6);
  LearnedCodec codec(Tiny());
  const auto x = torch::randn({1, 4, 8}) * 3;
  const CodecOutput output = codec->RateOnly(x);
  EXPECT_FALSE(output.reconstruction.defined());
  (output.bits_hyper.sum() + output.bits_latent.sum()).backward();
  for (const auto& item : codec->named_parameters()) {
    EXPECT_EQ(item.value().grad().defined(), item.key().rfind("transform.", 0) != 0) << item.key();
  }
  const CodecOutput whole = codec->forward(x);
  EXPECT_TRUE(torch::equal(output.bits_latent, whole.bits_latent));
}

TEST(LearnedCodecTest, RoundTripsTheTransform) {
  for (const TransformKind kind : {TransformKind::kNone, TransformKind::kFixed, TransformKind::kLearned}) {
    torch::manual_seed(7);
    CodecConfig config = Tiny();
    config.transform = kind;
    LearnedCodec codec(config);
    auto axes = std::get<0>(torch::linalg_qr(torch::randn({8, 8})));
    if (kind == TransformKind::kLearned) axes = axes + 0.1 * torch::randn({8, 8});
    codec->transform()->Set(torch::randn({8}), axes, torch::rand({8}) + 0.5);
    torch::NoGradGuard no_grad;
    const auto x = torch::randn({2, 5, 8}) * 10;
    const auto back = codec->transform()->Inverse(codec->transform()->Forward(x));
    EXPECT_LT((back - x).abs().max().item<float>(), 1e-4) << static_cast<int>(kind);
  }
  LearnedCodec joint(Tiny(CodecMode::kJoint));
  const auto x = torch::randn({1, 2, 8});
  EXPECT_TRUE(torch::equal(joint->transform()->Forward(x), x));
  EXPECT_THROW(joint->transform()->Set(torch::zeros({8}), torch::eye(8), torch::ones({8})), c10::Error);
}

}  // namespace
}  // namespace sluice
