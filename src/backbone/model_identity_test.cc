#include "backbone/model_identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "backbone/torch_setup.h"
#include "base/file.h"
#include "format/safetensors.h"
#include "format/temporary_folder.h"

namespace sluice {
namespace {

constexpr char kManifest[] = "sluice.manifest.json";

/// Two tensors, of which the second starts with `value`.
std::vector<TensorView> Tensors(std::vector<float>& storage, float value) {
  storage.assign(12, 1.5f);
  storage[8] = value;
  const auto bytes = [&](size_t from, size_t count) {
    return std::span<const uint8_t>(reinterpret_cast<const uint8_t*>(storage.data() + from), 4 * count);
  };
  return {{"a.weight", DType::kF32, {2, 4}, bytes(0, 8)}, {"b.weight", DType::kF32, {4}, bytes(8, 4)}};
}

void WriteSingle(const std::filesystem::path& folder, float value) {
  std::vector<float> storage;
  ThrowIfError(WriteSafetensors(folder / "model.safetensors", Tensors(storage, value)));
}

void WriteShards(const std::filesystem::path& folder, float value) {
  std::vector<float> storage;
  const auto tensors = Tensors(storage, value);
  ThrowIfError(WriteSafetensors(folder / "one.safetensors", std::span(tensors).subspan(0, 1)));
  ThrowIfError(WriteSafetensors(folder / "two.safetensors", std::span(tensors).subspan(1, 1)));
  const nlohmann::json index = {{"weight_map", {{"a.weight", "one.safetensors"}, {"b.weight", "two.safetensors"}}}};
  ThrowIfError(WriteFileAtomic(folder / "model.safetensors.index.json", std::string_view(index.dump())));
}

TEST(ModelIdentityTest, MatchesBetweenOneFileAndShards) {
  const TemporaryFolder single, shards;
  WriteSingle(single.path(), 2);
  WriteShards(shards.path(), 2);
  const auto one = ModelIdentity(single.path()), many = ModelIdentity(shards.path());
  ASSERT_TRUE(one.ok()) << one.status().ToString();
  ASSERT_TRUE(many.ok()) << many.status().ToString();
  EXPECT_EQ(*one, *many);
  EXPECT_FALSE(std::filesystem::exists(single.path() / kManifest));
}

TEST(ModelIdentityTest, MatchesWithAndWithoutManifest) {
  const TemporaryFolder folder;
  WriteShards(folder.path(), 2);
  const auto before = ValueOrThrow(ModelIdentity(folder.path()));
  ASSERT_TRUE(WriteModelManifest(folder.path()).ok());
  EXPECT_EQ(ValueOrThrow(ModelIdentity(folder.path())), before);
  std::filesystem::remove(folder.path() / "one.safetensors");
  EXPECT_EQ(ValueOrThrow(ModelIdentity(folder.path())), before) << "a node may hold only its own shards";
}

TEST(ModelIdentityTest, MatchesTheBytesAfterTheyChange) {
  const TemporaryFolder folder;
  WriteSingle(folder.path(), 2);
  const auto before = ValueOrThrow(ModelIdentity(folder.path()));
  ASSERT_TRUE(WriteModelManifest(folder.path()).ok());
  WriteSingle(folder.path(), 3);
  std::filesystem::last_write_time(
      folder.path() / "model.safetensors",
      std::filesystem::last_write_time(folder.path() / kManifest) + std::chrono::seconds(1));
  EXPECT_NE(ValueOrThrow(ModelIdentity(folder.path())), before);
}

TEST(ModelIdentityTest, MatchesTheTensorsWhenTheManifestIsDamaged) {
  const TemporaryFolder folder;
  WriteSingle(folder.path(), 2);
  const auto expected = ValueOrThrow(ModelIdentity(folder.path()));
  ASSERT_TRUE(WriteModelManifest(folder.path()).ok());
  const std::string good = ValueOrThrow(ReadFile(folder.path() / kManifest));
  auto other_version = nlohmann::json::parse(good), short_digest = other_version, other_size = other_version;
  other_version["version"] = 99;
  short_digest["tensors"]["a.weight"] = "abc";
  other_size["files"]["model.safetensors"] = 1;
  for (const std::string& bad : {std::string("{"), std::string("[]"), std::string("{\"version\": 1}"),
                                 other_version.dump(), short_digest.dump(), other_size.dump()}) {
    ThrowIfError(WriteFileAtomic(folder.path() / kManifest, std::string_view(bad)));
    const auto identity = ModelIdentity(folder.path());
    ASSERT_TRUE(identity.ok()) << bad;
    EXPECT_EQ(*identity, expected) << bad;
  }
}

TEST(ModelIdentityTest, RejectsAFolderWithoutWeights) {
  const TemporaryFolder folder;
  EXPECT_EQ(ModelIdentity(folder.path()).status().code(), StatusCode::kIo);
  EXPECT_EQ(WriteModelManifest(folder.path()).code(), StatusCode::kIo);
}

}  // namespace
}  // namespace sluice
