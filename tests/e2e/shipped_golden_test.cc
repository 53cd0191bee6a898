// Small references of the project's own, made from its own model by tests/golden/make_goldens.sh: every folder under
// tests/golden with a golden.json is one. They show when tokenizer, transformer or generation change their answers.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "format/hidden_file.h"
#include "program_test_base.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

// A float32 implementation against another: relative to the largest magnitude, at least 1.
constexpr double kHiddenTolerance = 2e-5;
constexpr double kPerplexityTolerance = 1e-4;
// A float codec rounds here and there to another integer on another machine.
constexpr double kLearnedTolerance = 1e-2;

fs::path GoldenFolder() {
  const char* other = std::getenv("SLUICE_TEST_GOLDEN");
  return other != nullptr ? fs::path(other) : fs::path(SLUICE_SOURCE_DIR) / "tests" / "golden";
}

std::vector<fs::path> Goldens() {
  std::vector<fs::path> folders;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(GoldenFolder(), none)) {
    if (fs::exists(entry.path() / "golden.json")) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

nlohmann::json ReadJson(const fs::path& path) { return nlohmann::json::parse(FileBytes(path), nullptr, false); }

class ShippedGoldenTest : public ProgramTest {
 protected:
  void SetUp() override {
    goldens_ = Goldens();
    if (goldens_.empty()) GTEST_SKIP() << "no golden.json below " << GoldenFolder();
  }

  // The path that a golden's file names, from the root of the source.
  static fs::path Source(const nlohmann::json& name) { return fs::path(SLUICE_SOURCE_DIR) / name.get<std::string>(); }

  void ExpectHidden(const fs::path& model, const fs::path& text, int cut, const fs::path& reference) const {
    SCOPED_TRACE(reference);
    ASSERT_TRUE(Succeeded(Sluice({"encode", "--model", model, "--codec", "fp32", "--cut", std::to_string(cut), "--text",
                                  text, "--threads", "1", "--quiet", "--out", Path("h.slc")})));
    ASSERT_TRUE(Succeeded(Sluice({"decode", "--in", Path("h.slc"), "--out", Path("h.safetensors")})));
    const auto expected = LoadHidden(reference), got = LoadHidden(Path("h.safetensors"));
    ASSERT_TRUE(expected.ok() && got.ok());
    ASSERT_EQ(got->values.rows(), expected->values.rows()) << "another number of tokens";
    ASSERT_EQ(got->values.cols(), expected->values.cols());
    double largest = 1, error = 0;
    for (size_t i = 0; i < expected->values.rows() * expected->values.cols(); ++i) {
      const double want = expected->values.data()[i];
      largest = std::max(largest, std::abs(want));
      error = std::max(error, std::abs(want - got->values.data()[i]));
    }
    EXPECT_LE(error, kHiddenTolerance * largest);
  }

  static void ExpectNear(const nlohmann::json& expected, const nlohmann::json& got, const char* key, double tolerance) {
    ASSERT_TRUE(expected[key].is_number() && got[key].is_number()) << key;
    EXPECT_NEAR(got[key].get<double>(), expected[key].get<double>(), tolerance * expected[key].get<double>()) << key;
  }

  nlohmann::json Evaluated(const fs::path& model, const std::string& codec, const fs::path& text, int cut) const {
    const Outcome outcome = Sluice({"eval", "--model", model, "--codec", codec, "--cut", std::to_string(cut), "--text",
                                    text, "--no-baselines", "--threads", "1", "--json"});
    EXPECT_TRUE(Succeeded(outcome));
    return outcome.Json();
  }

  std::vector<fs::path> goldens_;
};

// States entering layer 0 are the embeddings: they tell which tokens the text became.
TEST_F(ShippedGoldenTest, GoldenTokensAndHiddenStates) {
  for (const fs::path& folder : goldens_) {
    const auto golden = ReadJson(folder / "golden.json");
    const fs::path model = Source(golden["model"]);
    ExpectHidden(model, folder / "text.txt", 0, folder / "embeddings.safetensors");
    ExpectHidden(model, folder / "text.txt", golden["cut"], folder / "hidden.safetensors");
  }
}

TEST_F(ShippedGoldenTest, GoldenPerplexity) {
  for (const fs::path& folder : goldens_) {
    SCOPED_TRACE(folder);
    const auto golden = ReadJson(folder / "golden.json"), expected = ReadJson(folder / "evaluation.json");
    const auto got = Evaluated(Source(golden["model"]), "fp32", folder / "text.txt", golden["cut"]);
    ASSERT_TRUE(got.is_object() && expected.is_object());
    EXPECT_EQ(got["tokens"], expected["tokens"]);
    EXPECT_EQ(got["bytes"], expected["bytes"]);
    ExpectNear(expected, got, "perplexity", kPerplexityTolerance);
    ExpectNear(expected, got, "uncut_perplexity", kPerplexityTolerance);
  }
}

TEST_F(ShippedGoldenTest, GoldenGreedyContinuation) {
  for (const fs::path& folder : goldens_) {
    SCOPED_TRACE(folder);
    const auto golden = ReadJson(folder / "golden.json"), expected = ReadJson(folder / "generation.json");
    ASSERT_TRUE(expected.is_object());
    const std::string prompt = expected["prompt"], count = std::to_string(expected["ids"].size());
    const Outcome outcome = Sluice({"generate", "--model", Source(golden["model"]), "--prompt", prompt, "--max-tokens",
                                    count, "--temperature", "0", "--threads", "1", "--json"});
    ASSERT_TRUE(Succeeded(outcome));
    EXPECT_EQ(outcome.Json()["prompt_tokens"], expected["prompt_tokens"]);
    EXPECT_EQ(outcome.Json()["ids"], expected["ids"]);
    EXPECT_EQ(outcome.Json()["text"], expected["text"]);
  }
}

TEST_F(ShippedGoldenTest, GoldenRateOfTheShippedCodec) {
  bool any = false;
  for (const fs::path& folder : goldens_) {
    SCOPED_TRACE(folder);
    const auto golden = ReadJson(folder / "golden.json");
    if (!golden.contains("codec")) continue;
    any = true;
    const auto expected = ReadJson(folder / "codec-evaluation.json");
    const auto got = Evaluated(Source(golden["model"]), Source(golden["codec"]), folder / "text.txt", golden["cut"]);
    ASSERT_TRUE(got.is_object() && expected.is_object());
    ExpectNear(expected, got, "bits_per_token", kLearnedTolerance);
    ExpectNear(expected, got, "perplexity", kLearnedTolerance);
  }
  if (!any) GTEST_SKIP() << "no golden names a trained codec";
}

}  // namespace
}  // namespace sluice
