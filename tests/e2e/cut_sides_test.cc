// Each side of a cut needs its own half of the model and no more: here the other half's weight files are not there.
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "format/safetensors.h"
#include "program_test_base.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr const char* kEmbeddingFile = "part-embeddings.safetensors";
constexpr const char* kHeadFile = "part-head.safetensors";
constexpr const char* kTailFile = "part-tail.safetensors";

// The shard of a tensor: embeddings (the output matrix is tied to them), layers before the cut, everything after it.
std::string ShardOf(const std::string& name) {
  if (name.find("wte.") != std::string::npos || name.find("wpe.") != std::string::npos) return kEmbeddingFile;
  static_assert(TinyModels::kCut == 1);
  return name.find(".h.0.") != std::string::npos ? kHeadFile : kTailFile;
}

class CutSidesTest : public ProgramTest {
 protected:
  // A copy of the model in three shards, without the file `missing`. Its manifest still names the whole.
  fs::path Shards(std::string_view name, const std::string& missing) {
    const fs::path folder = Copy(tiny().model(), name);
    const auto whole = SafetensorsFile::Open(folder / "model.safetensors");
    EXPECT_TRUE(whole.ok());
    auto manifest = nlohmann::json::parse(FileBytes(folder / "sluice.manifest.json"));
    manifest["files"] = nlohmann::json::object();
    nlohmann::json index;
    for (const char* file : {kEmbeddingFile, kHeadFile, kTailFile}) {
      std::vector<TensorView> tensors;
      for (const auto& [tensor, view] : whole->tensors()) {
        if (ShardOf(tensor) != file) continue;
        tensors.push_back(view);
        index["weight_map"][tensor] = file;
      }
      EXPECT_FALSE(tensors.empty()) << file;
      EXPECT_TRUE(WriteSafetensors(folder / file, tensors).ok());
      manifest["files"][file] = fs::file_size(folder / file);
    }
    fs::remove(folder / "model.safetensors");
    WriteBytes(folder / "model.safetensors.index.json", index.dump());
    WriteBytes(folder / "sluice.manifest.json", manifest.dump());
    EXPECT_TRUE(fs::remove(folder / missing));
    return folder;
  }

  Arguments Encode(const fs::path& model) const {
    return {"encode",      "--model",   model, "--codec", tiny().codec(), "--text",
            tiny().text(), "--threads", "1",   "--quiet", "--out",        Path("sides.slc")};
  }
  Arguments Decode(const fs::path& model) const {
    return {"decode", "--model",       model,    "--codec",     tiny().codec(),
            "--in",   tiny().stream(), "--text", tiny().text(), "--json"};
  }
};

TEST_F(CutSidesTest, MatchesTheWholeModelWhenEncodingWithoutTheTail) {
  ASSERT_TRUE(Succeeded(Sluice(Encode(Shards("head", kTailFile)))));
  EXPECT_EQ(FileBytes(Path("sides.slc")), FileBytes(tiny().stream()));
}

TEST_F(CutSidesTest, MatchesTheWholeModelWhenDecodingWithoutTheHead) {
  const Outcome part = Sluice(Decode(Shards("tail", kHeadFile)));
  const Outcome whole = Sluice(Decode(tiny().model()));
  ASSERT_TRUE(Succeeded(part) && Succeeded(whole));
  EXPECT_EQ(part.out, whole.out);
}

// That these fail shows that the two above prove something.
TEST_F(CutSidesTest, RejectsTheOtherHalf) {
  const fs::path head = Shards("head", kTailFile), tail = Shards("tail", kHeadFile);
  ExpectRefused(Encode(tail), "Io", kHeadFile);
  EXPECT_EQ(Sluice(Decode(head)).exit_code, 7);
}

}  // namespace
}  // namespace sluice
