// Ids against reference implementations, over every tokens-*.jsonl that is found. A line is {"text", "ids"}, and
// "disagree" where the references differ among themselves.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

fs::path FromEnvironment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr ? fs::path(value) : fs::path(SLUICE_SOURCE_DIR) / otherwise;
}
fs::path GoldenFolder() { return FromEnvironment("SLUICE_GOLDEN", "../shared/golden"); }
fs::path DataFolder() { return FromEnvironment("SLUICE_DATA", "../shared/data"); }

/// Everything that should give the ids of tokens-<name>.jsonl: original files and conversions.
std::vector<fs::path> TokenizersOf(const std::string& name) {
  std::vector<fs::path> found;
  for (const fs::path& candidate :
       {DataFolder() / ("tok-" + name), DataFolder() / ("lm-" + name), GoldenFolder() / name,
        GoldenFolder() / name / "tokenizer.json", GoldenFolder() / "tokenizers" / (name + ".tokenizer.json")}) {
    const bool usable = fs::is_directory(candidate) ? TokenizerFiles(candidate).ok() : fs::exists(candidate);
    if (usable) found.push_back(candidate);
  }
  return found;
}

struct Lines {
  size_t compared = 0;
  size_t disputed = 0;
};

Lines CompareLines(const fs::path& golden, const Tokenizer& tokenizer) {
  Lines lines;
  std::ifstream file(golden);
  size_t number = 0;
  for (std::string line; std::getline(file, line);) {
    const Json entry = Json::parse(line);
    ++number;
    if (entry.contains("disagree")) {
      ++lines.disputed;
      continue;
    }
    const auto text = entry.at("text").get<std::string>();
    const auto ids = tokenizer.Encode(text);
    EXPECT_TRUE(ids.ok()) << ids.status().ToString();
    if (!ids.ok()) continue;
    EXPECT_EQ(*ids, entry.at("ids").get<std::vector<int32_t>>()) << golden << " line " << number << ": " << line;
    ++lines.compared;
  }
  return lines;
}

TEST(TokenizerTest, GoldenIdsOfEveryKnownTokenizer) {
  if (!fs::is_directory(GoldenFolder())) GTEST_SKIP() << "no golden references at " << GoldenFolder();
  size_t compared = 0;
  std::string unknown;
  for (const fs::directory_entry& entry : fs::directory_iterator(GoldenFolder())) {
    const std::string file = entry.path().filename().string();
    if (!file.starts_with("tokens-") || !file.ends_with(".jsonl")) continue;
    const std::string name = file.substr(7, file.size() - 7 - 6);
    const std::vector<fs::path> tokenizers = TokenizersOf(name);
    if (tokenizers.empty()) unknown += " " + file;
    for (const fs::path& path : tokenizers) {
      const auto tokenizer = LoadTokenizer(path);
      if (!tokenizer.ok() && tokenizer.status().code() == StatusCode::kUnsupported) {
        std::cout << "[ NOT KNOWN] " << file << ": " << tokenizer.status().ToString() << "\n";
        continue;
      }
      ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().ToString();
      const Lines lines = CompareLines(entry.path(), **tokenizer);
      std::cout << "[ COMPARED ] " << file << " with " << (*tokenizer)->kind() << " of " << path << ": "
                << lines.compared << " lines, " << lines.disputed << " disputed\n";
      EXPECT_GT(lines.compared, 0u);
      compared += lines.compared;
    }
  }
  if (!unknown.empty()) std::cout << "[ NOT KNOWN] no tokenizer for:" << unknown << "\n";
  if (compared == 0)
    GTEST_SKIP() << "no tokens-*.jsonl with a known tokenizer; looked for tokenizers in " << DataFolder();
}

}  // namespace
}  // namespace sluice
