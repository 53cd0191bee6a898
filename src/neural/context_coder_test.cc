// Real bytes of a context codec: what goes in comes out, costs what the tables say, and survives a save.
#include "neural/context_coder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "format/temporary_folder.h"
#include "neural/context_kind_test.h"
#include "neural/state_classes.h"

namespace sluice {
namespace {

StoredContext Make(const ContextKind& kind) {
  const ContextIds ids = kind.ids;
  torch::manual_seed(5);
  torch::NoGradGuard no_grad;
  ContextConfig config;
  config.width = 16;
  config.context = 32;
  config.hidden = 20;
  config.id_count = 9;
  SetKind(kind, config);
  config.class_width = 5;
  config.points = 2;
  config.block = 8;
  ContextCodec codec(config);
  ContextTransform transform = codec->Transform();
  transform.axes = torch::randn({2, 8, 8}) + 3 * torch::eye(8);
  transform.order = torch::randperm(16);
  transform.class_axes = torch::randn({5, 16});
  if (ids == ContextIds::kClasses) transform.class_means = torch::randn({9, 5}) * 3;
  if (kind.direct) transform.class_sizes = GroupClasses(transform.class_means, 3, 4);
  codec->Initialize(transform, torch::full({16}, 3.0));
  if (kind.direct) {
    const auto x = torch::randn({400, 16});
    codec->InitializeDirect(x, codec->Transform().Classify(x));
  }
  StoredContext stored;
  stored.network = codec->ToIntegers();
  stored.transform = codec->Transform();
  stored.origin.cut = 1;
  if (ids == ContextIds::kClasses) {
    stored.classes =
        *FitClassTables(stored.transform.Classify(torch::randn({30, 32, 16})), config, stored.transform.class_sizes);
  }
  return stored;
}

class ContextCoderTest : public testing::TestWithParam<ContextKind> {
 protected:
  ContextCoder coder_ = *ContextCoder::Create(Make(GetParam()));
  torch::Tensor x_ = torch::randn({2, 32, 16}) * 0.7;
  torch::Tensor tokens_ = torch::randint(9, {2, 32});
  TemporaryFolder folder_;
};

TEST_P(ContextCoderTest, RoundTripsThroughBytes) {
  for (int point = 0; point < 2; ++point) {
    const auto chunk = coder_.Encode(x_, tokens_, point);
    ASSERT_TRUE(chunk.ok()) << chunk.status().ToString();
    ContextChunk decoded;
    const auto hidden = coder_.Decode(chunk->payload, 2, 32, tokens_, decoded);
    ASSERT_TRUE(hidden.ok()) << hidden.status().ToString();
    EXPECT_EQ(decoded.latent, chunk->latent);
    EXPECT_EQ(decoded.ids, chunk->ids);
    const auto error = coder_.stored().transform.Forward(*hidden) - coder_.stored().transform.Forward(x_);
    EXPECT_LE(error.abs().max().item<double>(), PointStep(point) * 1.01);
    EXPECT_NEAR(8.0 * static_cast<double>(chunk->payload.size()), chunk->id_bits + chunk->latent_bits, 60);
    EXPECT_NEAR(chunk->latent_bits + chunk->id_bits, chunk->estimated_bits, 0.02 * chunk->estimated_bits);
  }
}

TEST_P(ContextCoderTest, RoundTripsThroughFiles) {
  ASSERT_TRUE(SaveContext(coder_.stored(), folder_ / "codec").ok());
  EXPECT_TRUE(IsContextFolder(folder_ / "codec"));
  auto loaded = LoadContext(folder_ / "codec");
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  const auto again = ContextCoder::Create(std::move(*loaded));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->Encode(x_, tokens_, 1)->payload, coder_.Encode(x_, tokens_, 1)->payload);
}

TEST_P(ContextCoderTest, RoundTripsOutliersExactly) {
  auto x = x_.clone();
  x[0][3] *= 1e4;
  const auto chunk = coder_.Encode(x, tokens_, 0);
  ASSERT_TRUE(chunk.ok()) << chunk.status().ToString();
  ContextChunk decoded;
  ASSERT_TRUE(coder_.Decode(chunk->payload, 2, 32, tokens_, decoded).ok());
  EXPECT_EQ(decoded.latent, chunk->latent);
}

TEST_P(ContextCoderTest, RejectsBadInput) {
  auto x = x_.clone();
  x[1][2][3] = NAN;
  const auto status = coder_.Encode(x, tokens_, 0).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(status.ToString().find("row 1, token 2, channel 3"), std::string::npos) << status.ToString();
  EXPECT_EQ(coder_.Encode(x_, tokens_, 2).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(coder_.Encode(x_.slice(2, 0, 15), tokens_, 0).status().code(), StatusCode::kInvalidArgument);
  const bool needs_tokens = GetParam().ids == ContextIds::kTokens;
  EXPECT_EQ(coder_.Encode(x_, {}, 0).ok(), !needs_tokens);
  const auto chunk = coder_.Encode(x_, tokens_, 0);
  std::vector<uint8_t> cut(chunk->payload.begin(), chunk->payload.begin() + 40);
  ContextChunk decoded;
  EXPECT_FALSE(coder_.Decode(cut, 2, 32, tokens_, decoded).ok());
}

TEST_P(ContextCoderTest, RejectsDamagedFiles) {
  ASSERT_TRUE(SaveContext(coder_.stored(), folder_ / "codec").ok());
  auto bytes = *ReadFile(folder_ / "codec" / "codec.safetensors", 1 << 24);
  bytes[bytes.size() / 2] ^= 1;
  ASSERT_TRUE(WriteFileAtomic(folder_ / "codec" / "codec.safetensors", std::string_view(bytes)).ok());
  EXPECT_EQ(LoadContext(folder_ / "codec").status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(LoadContext(folder_ / "nowhere").status().code(), StatusCode::kIo);
  // Refused before gigabytes are allocated for one dense transform of the largest width.
  auto json = nlohmann::ordered_json::parse(*ReadFile(folder_ / "codec" / "codec.json", 1 << 20));
  bytes[bytes.size() / 2] ^= 1;
  ASSERT_TRUE(WriteFileAtomic(folder_ / "codec" / "codec.safetensors", std::string_view(bytes)).ok());
  json["config"]["width"] = 8192;
  json["config"]["block"] = 0;
  ASSERT_TRUE(WriteFileAtomic(folder_ / "codec" / "codec.json", std::string_view(json.dump())).ok());
  const Status large = LoadContext(folder_ / "codec").status();
  EXPECT_EQ(large.code(), StatusCode::kCorrupt);
  EXPECT_NE(large.message().find("more than codec.safetensors holds"), std::string::npos) << large.ToString();
}

INSTANTIATE_TEST_SUITE_P(Kinds, ContextCoderTest,
                         testing::Values(ContextKind{"None", ContextIds::kNone},
                                         ContextKind{"Tokens", ContextIds::kTokens},
                                         ContextKind{"Classes", ContextIds::kClasses},
                                         ContextKind{"Direct", ContextIds::kClasses, true},
                                         ContextKind{"DirectWithoutLatents", ContextIds::kClasses, true, false}),
                         [](const auto& kind) { return std::string(kind.param.name); });

TEST(GroupClassesTest, MatchesEveryClassOnceAndLeavesNoGroupSmall) {
  torch::manual_seed(7);
  // Most classes in one place, so that some group would be empty.
  auto means = torch::cat({torch::randn({30, 4}) * 0.01, torch::randn({10, 4}) * 10});
  const auto before = std::get<0>(means.select(1, 0).sort());
  const auto sizes = GroupClasses(means, 6, 10);
  EXPECT_EQ(sizes.sum().item<int64_t>(), 40);
  EXPECT_GE(sizes.min().item<int64_t>(), 2);
  EXPECT_TRUE(torch::equal(std::get<0>(means.select(1, 0).sort()), before)) << "the same classes in another order";
}

}  // namespace
}  // namespace sluice
