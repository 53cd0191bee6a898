#include "backbone/backbone.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backbone/backbone_test_util.h"
#include "backbone/lm_score.h"
#include "base/file.h"

namespace sluice {
namespace {

using testing::HasSubstr;

// One row at a time goes through other BLAS routines than many rows do, which sum in another order.
constexpr double kRowTolerance = 2e-5;

double Difference(const torch::Tensor& a, const torch::Tensor& b) { return (a - b).abs().max().item<double>(); }

class BackboneTest : public testing::TestWithParam<BackboneConfig> {
 protected:
  std::shared_ptr<Backbone> model_ = TinyModel(GetParam());
  torch::NoGradGuard no_grad_;
};

std::string FamilyOf(const testing::TestParamInfo<BackboneConfig>& info) {
  return std::string(BackboneFamilyName(info.param.family));
}
INSTANTIATE_TEST_SUITE_P(Tiny, BackboneTest, testing::Values(TinyGpt2(), TinyLlama()), FamilyOf);

TEST_P(BackboneTest, MatchesUncutBitForBitAtEveryCut) {
  for (const int64_t count : {1, 2, 37}) {
    for (const int64_t batch : {1, 3}) {
      const torch::Tensor tokens = RandomTokens(GetParam(), batch, count);
      const torch::Tensor uncut = model_->Logits(tokens);
      for (int64_t k = 0; k <= GetParam().layers; ++k) {
        EXPECT_TRUE(torch::equal(model_->Tail(model_->Head(tokens, k), k), uncut)) << "cut " << k << ", T " << count;
      }
    }
  }
}

TEST_P(BackboneTest, MatchesUncutBitForBitWhenEachSideLoadsItsOwnLayers) {
  const TemporaryFolder folder;
  ASSERT_TRUE(SaveBackbone(*model_, folder.path()).ok());
  const torch::Tensor tokens = RandomTokens(GetParam(), 2, 30);
  const torch::Tensor uncut = model_->Logits(tokens);
  for (int64_t k = 0; k <= GetParam().layers; ++k) {
    const auto head = LoadBackbone(folder.path(), {0, k});
    const auto tail = LoadBackbone(folder.path(), {k, -1});
    ASSERT_TRUE(head.ok()) << head.status().ToString();
    ASSERT_TRUE(tail.ok()) << tail.status().ToString();
    KvCache head_cache(GetParam(), 2), tail_cache(GetParam(), 2);
    EXPECT_TRUE(torch::equal((*tail)->Tail((*head)->Head(tokens, k), k), uncut)) << "cut " << k;
    EXPECT_TRUE(torch::equal((*tail)->Tail((*head)->Head(tokens, k, &head_cache), k, &tail_cache), uncut))
        << "cut " << k;
  }
}

TEST_P(BackboneTest, MatchesFullRunStepByStepWithCache) {
  const torch::Tensor tokens = RandomTokens(GetParam(), 2, 40);
  const torch::Tensor full = model_->Logits(tokens);
  KvCache cache(GetParam(), 2);
  std::vector<torch::Tensor> pieces;
  int64_t at = 0;
  for (const int64_t count : {7, 1, 1, 13, 2, 1, 15}) {
    pieces.push_back(model_->Logits(tokens.narrow(1, at, count), &cache));
    at += count;
    EXPECT_EQ(cache.length(), at);
  }
  EXPECT_LE(Difference(torch::cat(pieces, 1), full), kRowTolerance * full.abs().max().item<double>());
  EXPECT_EQ(cache.bytes(),
            GetParam().layers * 2 * 2 * GetParam().kv_heads * GetParam().context * GetParam().head_dim * 4);
}

TEST_P(BackboneTest, MatchesEachRowOfABatchAlone) {
  const torch::Tensor tokens = RandomTokens(GetParam(), 5, 21);
  const torch::Tensor together = model_->Logits(tokens);
  for (int64_t row = 0; row < 5; ++row) {
    EXPECT_LE(Difference(model_->Logits(tokens.narrow(0, row, 1)), together.narrow(0, row, 1)),
              kRowTolerance * together.abs().max().item<double>());
  }
}

TEST_P(BackboneTest, MatchesWhateverComesLater) {
  torch::Tensor tokens = RandomTokens(GetParam(), 1, 30);
  const torch::Tensor before = model_->Logits(tokens);
  tokens[0][20] = (tokens[0][20] + 1) % GetParam().vocab;
  const torch::Tensor after = model_->Logits(tokens);
  EXPECT_TRUE(torch::equal(before.narrow(1, 0, 20), after.narrow(1, 0, 20)));
  EXPECT_GT(Difference(before.narrow(1, 20, 1), after.narrow(1, 20, 1)), 1e-3);
}

TEST_P(BackboneTest, MatchesInBlocksOfQueries) {
  BackboneConfig longer = GetParam();
  longer.context = 700;
  const auto model = TinyModel(longer);
  const torch::Tensor tokens = RandomTokens(longer, 1, 600);
  const torch::Tensor whole = model->Logits(tokens);
  KvCache cache(longer, 1);
  const torch::Tensor first = model->Logits(tokens.narrow(1, 0, 590), &cache);
  const torch::Tensor last = model->Logits(tokens.narrow(1, 590, 10), &cache);
  EXPECT_LE(Difference(torch::cat({first, last}, 1), whole), kRowTolerance * whole.abs().max().item<double>());
}

TEST_P(BackboneTest, RoundTripsThroughAFolder) {
  const TemporaryFolder folder;
  ASSERT_TRUE(SaveBackbone(*model_, folder.path()).ok());
  const auto loaded = LoadBackbone(folder.path());
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  EXPECT_EQ((*loaded)->config(), model_->config());
  const auto expected = model_->named_parameters();
  const auto got = (*loaded)->named_parameters();
  ASSERT_EQ(got.size(), expected.size());
  for (const auto& item : expected) EXPECT_TRUE(torch::equal(got[item.key()], item.value())) << item.key();
}

TEST_P(BackboneTest, RoundTripsThroughHalfPrecision) {
  const TemporaryFolder folder;
  ASSERT_TRUE(SaveBackbone(*model_, folder.path(), StoredType::kFloat16).ok());
  const auto loaded = LoadBackbone(folder.path());
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  for (const auto& item : model_->named_parameters()) {
    EXPECT_TRUE(
        torch::equal((*loaded)->named_parameters()[item.key()], item.value().to(torch::kHalf).to(torch::kFloat)));
  }
  model_->parameters()[0].fill_(70000.0f);
  const Status refused = SaveBackbone(*model_, folder.path(), StoredType::kFloat16);
  EXPECT_EQ(refused.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(refused.message(), HasSubstr("70000"));
}

TEST_P(BackboneTest, CostsOnlyTheTensorsOfTheRange) {
  const TemporaryFolder folder;
  ASSERT_TRUE(SaveBackbone(*model_, folder.path()).ok());
  const auto middle = ValueOrThrow(LoadBackbone(folder.path(), {1, 2}));
  for (const auto& item : middle->named_parameters()) EXPECT_THAT(item.key(), HasSubstr(".1."));
  EXPECT_FALSE(middle->TokenEmbeddings().defined());
  const auto with_table = ValueOrThrow(LoadBackbone(folder.path(), {1, 2}, {.embeddings = true}));
  EXPECT_TRUE(torch::equal(with_table->TokenEmbeddings(), model_->TokenEmbeddings()));
  const auto tail = ValueOrThrow(LoadBackbone(folder.path(), {2, -1}));
  EXPECT_EQ(tail->TokenEmbeddings().defined(), GetParam().tied);
  EXPECT_EQ(SaveBackbone(*tail, folder.path() / "part").code(), StatusCode::kInvalidArgument);
}

TEST_P(BackboneTest, DifferentiatesLikeFiniteDifferences) {
  const torch::AutoGradMode grad(true);
  model_->to(torch::kDouble);
  const torch::Tensor tokens = RandomTokens(GetParam(), 2, 9);
  const torch::Tensor start = model_->Head(tokens, 1).detach();
  const auto loss = [&](const torch::Tensor& hidden) { return NextTokenNats(model_->Tail(hidden, 1), tokens).mean(); };
  const torch::Tensor hidden = start.clone().set_requires_grad(true);
  loss(hidden).backward();
  const torch::Tensor direction = torch::randn_like(start);
  const double step = 1e-5;
  const double numeric = (loss(start + step * direction) - loss(start - step * direction)).item<double>() / (2 * step);
  EXPECT_NEAR((hidden.grad() * direction).sum().item<double>(), numeric, 1e-7 * std::max(1.0, std::abs(numeric)));
}

TEST_P(BackboneTest, DifferentiatesEveryParameterOfAFreshModel) {
  const torch::AutoGradMode grad(true);
  const auto fresh = ValueOrThrow(CreateBackbone(GetParam(), 1));
  const torch::Tensor tokens = RandomTokens(GetParam(), 2, 12);
  NextTokenNats(fresh->Logits(tokens), tokens).mean().backward();
  for (const auto& item : fresh->named_parameters()) {
    ASSERT_TRUE(item.value().grad().defined()) << item.key();
    EXPECT_GT(item.value().grad().abs().max().item<double>(), 0.0) << item.key();
  }
}

TEST_P(BackboneTest, MatchesItselfFromTheSameSeed) {
  const auto same = TinyModel(GetParam()), other = TinyModel(GetParam(), 8);
  const torch::Tensor tokens = RandomTokens(GetParam(), 1, 8);
  EXPECT_TRUE(torch::equal(same->Logits(tokens), model_->Logits(tokens)));
  EXPECT_FALSE(torch::equal(other->Logits(tokens), model_->Logits(tokens)));
}

TEST_P(BackboneTest, RejectsBadRuns) {
  const auto refusal = [&](auto&& work) { return CatchTorch(work).status().ToString(); };
  torch::Tensor tokens = RandomTokens(GetParam(), 2, 6);
  tokens[1][4] = GetParam().vocab;
  EXPECT_THAT(refusal([&] { return model_->Logits(tokens); }),
              HasSubstr("InvalidArgument: token " + std::to_string(GetParam().vocab) + " at row 1, position 4"));
  tokens[1][4] = -3;
  EXPECT_THAT(refusal([&] { return model_->Logits(tokens); }), HasSubstr("token -3 at row 1, position 4"));
  EXPECT_THAT(refusal([&] { return model_->Logits(RandomTokens(GetParam(), 1, GetParam().context + 1)); }),
              HasSubstr("do not fit the context"));
  EXPECT_THAT(refusal([&] {
                return model_->Logits(torch::zeros({1, 0}, torch::kLong));
              }),
              HasSubstr("at least one token"));
  EXPECT_THAT(refusal([&] { return model_->Logits(torch::zeros({1, 2})); }), HasSubstr("expected int64"));
  EXPECT_THAT(refusal([&] {
                return model_->Tail(torch::zeros({1, 2, GetParam().width + 1}), 1);
              }),
              HasSubstr("entering layer 1: expected [B, T, "));
  EXPECT_THAT(refusal([&] { return model_->Head(RandomTokens(GetParam(), 1, 4), GetParam().layers + 1); }),
              HasSubstr("are asked for"));
  EXPECT_THAT(refusal([&] {
                return model_->Tail(torch::zeros({1, 2, GetParam().width}), -1);
              }),
              HasSubstr("are asked for"));
}

TEST_P(BackboneTest, RejectsLayersThatAreNotLoaded) {
  const TemporaryFolder folder;
  ASSERT_TRUE(SaveBackbone(*model_, folder.path()).ok());
  const auto head = ValueOrThrow(LoadBackbone(folder.path(), {0, 1}));
  const auto tail = ValueOrThrow(LoadBackbone(folder.path(), {1, -1}));
  const torch::Tensor tokens = RandomTokens(GetParam(), 1, 4);
  EXPECT_THAT(CatchTorch([&] { return head->Logits(tokens); }).status().message(), HasSubstr("layers [0, 1)"));
  EXPECT_THAT(CatchTorch([&] { return head->Unembed(head->Head(tokens, 1)); }).status().message(),
              HasSubstr("output matrix are not loaded"));
  EXPECT_THAT(CatchTorch([&] { return tail->Head(tokens, 1); }).status().message(),
              HasSubstr("embeddings are not loaded"));
}

TEST_P(BackboneTest, RejectsMisusedCaches) {
  EXPECT_THROW(KvCache(GetParam(), 0), StatusException);
  EXPECT_THROW(KvCache(GetParam(), 1, GetParam().context + 1), StatusException);
  KvCache small(GetParam(), 1, 8);
  EXPECT_THAT(CatchTorch([&] { return model_->Logits(RandomTokens(GetParam(), 1, 9), &small); }).status().message(),
              HasSubstr("capacity 8"));
  KvCache single(GetParam(), 1);
  EXPECT_THAT(CatchTorch([&] { return model_->Logits(RandomTokens(GetParam(), 2, 3), &single); }).status().message(),
              HasSubstr("made for batch 1, got batch 2"));
  const torch::AutoGradMode grad(true);
  KvCache recorded(GetParam(), 1);
  const torch::Tensor hidden = torch::zeros({1, 2, GetParam().width}).set_requires_grad(true);
  EXPECT_THAT(CatchTorch([&] { return model_->Tail(hidden, 0, &recorded); }).status().message(),
              HasSubstr("gradients"));
}

}  // namespace
}  // namespace sluice
