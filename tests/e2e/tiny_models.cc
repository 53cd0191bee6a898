#include "tiny_models.h"

#include <stdlib.h>

#include <fstream>
#include <memory>
#include <random>
#include <sstream>
#include <stdexcept>
#include <vector>

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr size_t kTrainBytes = 24'000;
constexpr size_t kTextBytes = 1'500;
constexpr uint32_t kTrainSeed = 1, kTextSeed = 2;
constexpr size_t kWords = 260;

// Two consonant-vowel syllables each: many more words than the vocabulary has pieces.
std::vector<std::string> InventWords() {
  const std::string consonants = "bdfgklmnprstv", vowels = "aeiou";
  std::mt19937 random(kTrainSeed);
  std::vector<std::string> words;
  while (words.size() < kWords) {
    std::string word;
    for (int syllable = 0; syllable < 2 + static_cast<int>(random() % 2); ++syllable) {
      word += consonants[random() % consonants.size()];
      word += vowels[random() % vowels.size()];
    }
    words.push_back(word);
  }
  return words;
}

void Run(const Arguments& arguments) {
  const Outcome outcome = Sluice(arguments);
  if (outcome.exit_code == 0) return;
  std::ostringstream message;
  message << "the models for the tests could not be made: sluice " << arguments.front() << ": " << outcome;
  throw std::runtime_error(message.str());
}

void WriteText(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

Arguments Pretraining(const fs::path& text, const fs::path& out, const std::string& vocabulary,
                      const std::string& seed) {
  return {"pretrain",
          "--text",
          text,
          "--out",
          out,
          "--layers",
          std::to_string(TinyModels::kLayers),
          "--width",
          std::to_string(TinyModels::kWidth),
          "--heads",
          "4",
          "--context",
          std::to_string(TinyModels::kContext),
          "--vocab",
          vocabulary,
          "--seed",
          seed,
          "--steps",
          "200",
          "--batch",
          "4",
          "--lr",
          "3e-2",
          "--warmup",
          "10",
          "--threads",
          "1",
          "--allow-slow-blas",
          "--quiet"};
}

// Removes the models when the program ends.
struct OwnedModels {
  TinyModels models;
  bool owned = false;
  ~OwnedModels() {
    std::error_code ignored;
    if (owned) fs::remove_all(models.folder, ignored);
  }
};

std::unique_ptr<OwnedModels> FindOrMake() {
  auto result = std::make_unique<OwnedModels>();
  if (const char* ready = std::getenv("SLUICE_TEST_MODELS"); ready != nullptr && *ready != '\0') {
    result->models.folder = ready;
    return result;
  }
  std::string pattern = (fs::temp_directory_path() / "sluice-models-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot create a folder for the models");
  result->models.folder = pattern;
  result->owned = true;
  TinyModels::Make(result->models.folder);
  return result;
}

}  // namespace

std::string InventText(uint32_t seed, size_t bytes) {
  static const std::vector<std::string> words = InventWords();
  std::mt19937 random(seed);
  std::string text;
  for (int line = 0; text.size() < bytes; ++line) {
    std::string sentence;
    for (int i = 0; i < 8; ++i) {
      // The smaller of two draws: frequent and rare words, as in any language.
      const size_t word = std::min(random() % words.size(), random() % words.size());
      sentence += (i > 0 ? " " : "") + words[word];
    }
    // What is not in the vocabulary becomes bytes.
    if (line % 16 == 15) sentence += " d\u00e9j\u00e0 \u65e5\u672c";
    text += sentence + ".\n";
  }
  return text;
}

Arguments TinyModels::FrozenTraining() const {
  return {"train",   "--model", model(),    "--text", train_text(), "--cut", std::to_string(kCut), "--steps", "24",
          "--batch", "4",       "--lambda", "1e-5",   "--threads",  "1",     "--allow-slow-blas",  "--quiet"};
}

void TinyModels::Make(const fs::path& folder) {
  const TinyModels models{folder};
  fs::create_directories(folder);
  WriteText(models.train_text(), InventText(kTrainSeed, kTrainBytes));
  WriteText(models.text(), InventText(kTextSeed, kTextBytes));
  Run(Pretraining(models.train_text(), models.model(), "320", "1"));
  Run(Pretraining(models.train_text(), models.other_model(), "360", "2"));
  Arguments frozen = models.FrozenTraining();
  frozen.insert(frozen.end(),
                {"--out", models.codec(), "--log-every", "4", "--eval-every", "12", "--html", models.train_page()});
  Run(frozen);
  Run({"train",
       "--model",
       models.model(),
       "--text",
       models.train_text(),
       "--mode",
       "joint",
       "--cut",
       std::to_string(kCut),
       "--lambda",
       "1e-3",
       "--steps",
       "12",
       "--batch",
       "4",
       "--threads",
       "1",
       "--allow-slow-blas",
       "--quiet",
       "--out",
       models.joint()});
  Run({"encode", "--model", models.model(), "--codec", models.codec(), "--text", models.text(), "--threads", "1",
       "--quiet", "--out", models.stream()});
  Run({"decode", "--codec", models.codec(), "--in", models.stream(), "--quiet", "--out", models.hidden()});
}

const TinyModels& TinyModels::Get() {
  static const std::unique_ptr<OwnedModels> models = FindOrMake();
  return models->models;
}

}  // namespace sluice
