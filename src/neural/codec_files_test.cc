#include "neural/codec_files.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/file.h"
#include "format/temporary_folder.h"
#include "neural/hyper_tables.h"
#include "neural/tensor_io.h"

namespace sluice {
namespace {

using nlohmann::ordered_json;

LearnedCodec MakeCodec(CodecMode mode = CodecMode::kFrozen) {
  torch::manual_seed(3);
  CodecConfig config = CodecConfig::Paper(8, 2, 32, mode);
  config.classes = mode == CodecMode::kJoint ? 9 : 0;
  LearnedCodec codec(config);
  if (config.classes > 0) codec->StartClasses(torch::randn({200, 8}));
  if (mode == CodecMode::kFrozen) {
    codec->transform()->Set(torch::randn({8}), torch::randn({8, 8}), torch::rand({8}) + 0.5);
  }
  return codec;
}

CodecOrigin Origin() {
  CodecOrigin origin{.model = {}, .cut = 3, .lambda = 2e-4};
  for (size_t i = 0; i < origin.model.size(); ++i) origin.model[i] = static_cast<uint8_t>(7 * i + 1);
  return origin;
}

// A saved codec whose parts a test then damages.
class CodecFilesTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(SaveCodec(MakeCodec(), Origin(), folder_.path()).ok()); }

  ordered_json Description() { return ordered_json::parse(ReadFile(folder_ / "codec.json").value()); }
  void Describe(const ordered_json& json) {
    ASSERT_TRUE(WriteFileAtomic(folder_ / "codec.json", std::string_view(json.dump())).ok());
  }
  void ExpectCode(StatusCode code, const std::string& word) {
    const auto loaded = LoadCodec(folder_.path());
    ASSERT_FALSE(loaded.ok()) << word;
    EXPECT_EQ(loaded.status().code(), code) << loaded.status().ToString();
    EXPECT_NE(loaded.status().message().find(word), std::string::npos) << loaded.status().message();
    EXPECT_NE(loaded.status().message().find(folder_.path().string()), std::string::npos) << loaded.status().message();
  }

  TemporaryFolder folder_;
};

TEST_F(CodecFilesTest, RoundTripsWeightsTablesAndOrigin) {
  for (const CodecMode mode : {CodecMode::kFrozen, CodecMode::kJoint}) {
    LearnedCodec codec = MakeCodec(mode);
    ASSERT_TRUE(SaveCodec(codec, Origin(), folder_.path()).ok());
    EXPECT_TRUE(IsCodecFolder(folder_.path()));
    auto loaded = LoadCodec(folder_.path());
    ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
    EXPECT_EQ(loaded->origin.model, Origin().model);
    EXPECT_EQ(loaded->origin.cut, 3);
    EXPECT_EQ(loaded->origin.lambda, 2e-4);
    EXPECT_EQ(loaded->codec->config().ToJson(), codec->config().ToJson());
    const auto before = NamedState(*codec, ""), after = NamedState(*loaded->codec, "");
    ASSERT_EQ(before.size(), after.size());
    for (size_t i = 0; i < before.size(); ++i) {
      EXPECT_EQ(before[i].first, after[i].first);
      EXPECT_TRUE(torch::equal(before[i].second, after[i].second)) << before[i].first;
      EXPECT_FALSE(after[i].second.requires_grad());
    }
    EXPECT_EQ(loaded->hyper_tables, MakeSideTables(*codec).value());
    EXPECT_EQ(loaded->digest, LoadCodec(folder_.path())->digest);
  }
}

TEST_F(CodecFilesTest, MatchesTheIdentityToTheContent) {
  const auto first = LoadCodec(folder_.path())->digest;
  LearnedCodec codec = MakeCodec();
  {
    torch::NoGradGuard no_grad;
    codec->named_parameters()["log_scale"][0] += 1e-3;
  }
  ASSERT_TRUE(SaveCodec(codec, Origin(), folder_.path()).ok());
  EXPECT_NE(LoadCodec(folder_.path())->digest, first);
  ASSERT_TRUE(SaveCodec(MakeCodec(), Origin(), folder_.path()).ok());
  EXPECT_EQ(LoadCodec(folder_.path())->digest, first);
}

TEST_F(CodecFilesTest, RejectsMissingFiles) {
  std::filesystem::remove(folder_ / "codec.safetensors");
  ExpectCode(StatusCode::kIo, "codec.safetensors");
  std::filesystem::remove(folder_ / "codec.json");
  ExpectCode(StatusCode::kIo, "codec.json");
  EXPECT_FALSE(IsCodecFolder(folder_.path()));
}

TEST_F(CodecFilesTest, RejectsEveryDamagedByteOfTheWeights) {
  const std::string good = ReadFile(folder_ / "codec.safetensors").value();
  for (size_t i = 0; i < good.size(); i += 1 + good.size() / 61) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 4);
    ASSERT_TRUE(WriteFileAtomic(folder_ / "codec.safetensors", std::string_view(bad)).ok());
    ExpectCode(StatusCode::kCorrupt, "hash");
  }
  ASSERT_TRUE(WriteFileAtomic(folder_ / "codec.safetensors", std::string_view(good).substr(0, good.size() / 2)).ok());
  ExpectCode(StatusCode::kCorrupt, "hash");
}

TEST_F(CodecFilesTest, RejectsOtherVersionsAndFields) {
  const ordered_json good = Description();
  const auto with = [&](const char* field, ordered_json value) {
    ordered_json json = good;
    json[field] = std::move(value);
    Describe(json);
  };
  with("version", 2);
  ExpectCode(StatusCode::kUnsupported, "version 2");
  with("format", "something");
  ExpectCode(StatusCode::kCorrupt, "not the description");
  with("cut", -1);
  ExpectCode(StatusCode::kCorrupt, "cut");
  with("model_sha256", "abc");
  ExpectCode(StatusCode::kCorrupt, "model_sha256");
  with("tensors_sha256", std::string(64, 'g'));
  ExpectCode(StatusCode::kCorrupt, "tensors_sha256");
  ordered_json config = good["config"];
  config["colour"] = 1;
  with("config", config);
  ExpectCode(StatusCode::kUnsupported, "colour");
  config = good["config"];
  config["widths"] = {2, 2, 2};  // sound by itself, but not the shape of these weights
  with("config", config);
  ExpectCode(StatusCode::kCorrupt, "expected");
  config["width"] = 16384;  // refused before gigabytes are allocated
  with("config", config);
  ExpectCode(StatusCode::kCorrupt, "parameters");
  // The least of networks around the largest of transforms.
  config["width"] = 65536;
  config["heads"] = config["hyper_channels"] = 1;
  config["widths"] = {1};
  config["attention"] = config["last_mlp"] = false;
  with("config", config);
  ExpectCode(StatusCode::kCorrupt, "parameters");
}

TEST_F(CodecFilesTest, RegressesTheStatusOfFieldsOfAnotherType) {
  const ordered_json good = Description();
  for (const char* field : {"version", "cut", "lambda", "model_sha256", "tensors_sha256", "format", "config"}) {
    ordered_json json = good;
    json[field] = ordered_json::array({1, 2});
    Describe(json);
    ExpectCode(StatusCode::kCorrupt, "codec");
  }
  ordered_json json = good;
  json["config"]["sigma_floor"] = -1;
  Describe(json);
  ExpectCode(StatusCode::kCorrupt, "sigma_floor");
}

TEST_F(CodecFilesTest, RejectsTextThatIsNoDescription) {
  for (const char* text : {"", "{", "[]", "null", "{\"format\":\"sluice-codec\"}", "\xff\xfe"}) {
    ASSERT_TRUE(WriteFileAtomic(folder_ / "codec.json", std::string_view(text)).ok());
    ExpectCode(StatusCode::kCorrupt, "codec.json");
  }
}

TEST_F(CodecFilesTest, RegressesADescriptionThatExhaustsTheStack) {
  constexpr size_t kLevels = 200'000;
  const std::string nested = std::string(kLevels, '[') + std::string(kLevels, ']');
  const std::string text = R"({"format":"sluice-codec","version":1,"config":{"mode":)" + nested + "}}";
  ASSERT_TRUE(WriteFileAtomic(folder_ / "codec.json", text).ok());
  ExpectCode(StatusCode::kCorrupt, "codec.json");
}

TEST_F(CodecFilesTest, RejectsSavingADensityThatHasDiverged) {
  LearnedCodec codec = MakeCodec();
  {
    torch::NoGradGuard no_grad;
    codec->density().named_parameters()["bias3"].fill_(std::nan(""));
  }
  TemporaryFolder other;
  EXPECT_EQ(SaveCodec(codec, Origin(), other.path()).code(), StatusCode::kInternal);
  EXPECT_FALSE(IsCodecFolder(other.path()));
}

}  // namespace
}  // namespace sluice
