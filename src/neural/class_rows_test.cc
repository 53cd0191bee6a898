#include "neural/class_rows.h"

#include <gtest/gtest.h>

#include "neural/learned_codec.h"

namespace sluice {
namespace {

// Three classes in two channels, far apart.
ClassRows ThreeClasses() {
  ClassRows rows(3, 2);
  rows->Start(torch::tensor({{-8.0F, 0.0F}, {8.0F, 0.0F}, {0.0F, 8.0F}}), torch::tensor({0.5F, 2.0F}),
              torch::tensor({5, 2, 0}));
  return rows;
}

TEST(ClassRowsTest, MatchesTheNearestMeanInUnitsOfTheLatents) {
  const ClassRows rows = ThreeClasses();
  const auto u = torch::tensor({{-7.0F, 1.0F}, {1.0F, 30.0F}, {9.0F, -3.0F}, {1.0F, 2.0F}}).unsqueeze(0);
  EXPECT_TRUE(torch::equal(rows->Classify(u, {}), torch::tensor({{0, 2, 1, 2}})));
  // The second channel's unit makes the third mean 800: nothing is near it any more but what is as far.
  const auto scale = torch::tensor({1.0F, 100.0F});
  EXPECT_TRUE(torch::equal(rows->Classify(u, scale), torch::tensor({{0, 1, 1, 1}})));
}

TEST(ClassRowsTest, AddsRowsOfTheClassAndOfTheOneBefore) {
  ClassRows rows = ThreeClasses();
  torch::NoGradGuard no_grad;
  auto previous = rows->named_parameters()["previous"];
  previous.copy_(torch::arange(4).unsqueeze(1) * torch::ones({4, 4}) * 100);
  const auto got = rows->Rows(torch::tensor({{1, 0, 2}, {2, 2, 1}}));
  // The last row of `previous` stands before a chunk, in every row of a batch.
  const auto expected = torch::tensor(
      {{{308.0F, 300.0F, 300.5F, 302.0F}, {92.0F, 100.0F, 100.5F, 102.0F}, {0.0F, 8.0F, 0.5F, 2.0F}},
       {{300.0F, 308.0F, 300.5F, 302.0F}, {200.0F, 208.0F, 200.5F, 202.0F}, {208.0F, 200.0F, 200.5F, 202.0F}}});
  EXPECT_TRUE(torch::allclose(got, expected)) << got;
}

TEST(ClassRowsTest, CostsTheProbabilityOfTheClass) {
  const ClassRows rows = ThreeClasses();
  const auto bits = rows->Bits(torch::tensor({{0, 1, 2}}));
  ASSERT_EQ(bits.sizes(), (torch::IntArrayRef{1, 3, 1}));
  // One is added to the counts 5, 2 and 0, so that no class is free of cost or beyond it.
  EXPECT_TRUE(torch::allclose(torch::exp2(-bits).flatten(), torch::tensor({0.6F, 0.3F, 0.1F}))) << bits;
  EXPECT_TRUE(torch::allclose(rows->Probabilities(), torch::tensor({0.6, 0.3, 0.1}, torch::kDouble)));
}

TEST(ClassRowsTest, DifferentiatesTheRowsThatWereNamedAlone) {
  ClassRows rows = ThreeClasses();
  const auto classes = torch::tensor({{1, 1}});
  (rows->Rows(classes).sum() + rows->Bits(classes).sum()).backward();
  const auto parameters = rows->named_parameters();
  EXPECT_TRUE(torch::equal(parameters["now"].grad().sum(1), torch::tensor({0.0F, 8.0F, 0.0F})));
  EXPECT_TRUE(torch::equal(parameters["previous"].grad().sum(1), torch::tensor({0.0F, 4.0F, 0.0F, 4.0F})));
  const auto logits = parameters["logits"].grad();
  EXPECT_LT(logits[1].item<float>(), 0) << "a class that was named becomes cheaper";
  EXPECT_GT(logits[0].item<float>(), 0);
}

// ---- in the codec

// Tokens of `count` kinds, each with a spread much smaller than the distance between kinds.
torch::Tensor Clustered(int64_t count, int64_t tokens, int64_t width) {
  const auto centers = torch::randn({count, width}) * 40;
  return centers.index_select(0, torch::randint(count, {tokens})) + torch::randn({tokens, width});
}

double BitsPerToken(LearnedCodec& codec, const torch::Tensor& x) {
  torch::NoGradGuard no_grad;
  const CodecOutput output = codec->forward(x.unsqueeze(0));
  return (output.bits_hyper.sum() + output.bits_latent.sum()).item<double>() / static_cast<double>(x.size(0));
}

TEST(LearnedCodecClassesTest, CostsLessWhereStatesHaveClasses) {
  for (const CodecMode mode : {CodecMode::kFrozen, CodecMode::kJoint}) {
    torch::manual_seed(11);
    CodecConfig config = CodecConfig::Paper(16, 2, 512, mode);
    config.residual = true;
    LearnedCodec plain(config);
    config.classes = 64;
    LearnedCodec classed(config);
    const auto x = Clustered(24, 512, 16);
    plain->SetChannelScale(x.std(0, false));
    classed->StartClasses(x);
    const double without = BitsPerToken(plain, x), with = BitsPerToken(classed, x);
    // Naming one of 24 kinds costs under 6 bits and saves log2(40) in each of 16 channels.
    EXPECT_LT(with, without - 40) << static_cast<int>(mode) << ": " << without;
  }
}

TEST(LearnedCodecClassesTest, MatchesTheClampOfClassesThatDoNotExist) {
  torch::manual_seed(12);
  CodecConfig config = CodecConfig::Paper(8, 2, 64, CodecMode::kFrozen);
  config.classes = 5;
  LearnedCodec codec(config);
  codec->StartClasses(Clustered(5, 200, 8));
  torch::NoGradGuard no_grad;
  auto hyper = torch::zeros({1, 3, config.SideSymbols()});
  const auto with_class = [&](float value) {
    hyper.select(2, config.hyper_channels).fill_(value);
    return codec->Synthesize(hyper);
  };
  const auto last = with_class(4), beyond = with_class(1e9F), first = with_class(0), below = with_class(-7);
  EXPECT_TRUE(torch::equal(beyond.mean, last.mean));
  EXPECT_TRUE(torch::equal(below.sigma, first.sigma));
  EXPECT_FALSE(torch::equal(last.mean, first.mean));
}

}  // namespace
}  // namespace sluice
