#include "doc_rules.h"

#include <gtest/gtest.h>

#include "markdown.h"

namespace sluice {
namespace {

std::vector<HouseFile> GoodDocs() {
  return {{"Makefile", ".PHONY: demo\ndemo: deps\n\ttrue\nJOBS := 2\n"},
          {"CMakePresets.json", "{ \"name\": \"dev\" }\n"},
          {"README.md",
           "# Sluice\nSee [the docs](docs/README.md).\n```sh\nmake demo\ncmake --preset dev\nmake JOBS=1\nsluice train "
           "--preset paper\n```\n"},
          {"docs/README.md", "[words](glossary.md#words), [site](https://example.org), `[no](link)`\n"},
          {"docs/glossary.md",
           "# Words\n| word | meaning | instead of |\n|---|---|---|\n| cut | where it is cut | split point |\n"}};
}

void ExpectFinding(const HouseFile& file, const std::string& expected) {
  std::vector<HouseFile> files = GoodDocs();
  std::erase_if(files, [&](const HouseFile& old) { return old.path == file.path; });
  files.push_back(file);
  const std::vector<Finding> findings = CheckDocs(files, "/nonexistent");
  ASSERT_GE(findings.size(), 1u);
  EXPECT_NE(findings[0].ToString().find(expected), std::string::npos) << findings[0].ToString();
}

TEST(DocRulesTest, MatchesGoodDocuments) {
  for (const Finding& finding : CheckDocs(GoodDocs(), "/nonexistent")) ADD_FAILURE() << finding.ToString();
}

TEST(DocRulesTest, RejectsBrokenLinks) {
  ExpectFinding({"CHANGELOG.md", "a\n[x](docs/none.md)\n"},
                "CHANGELOG.md:2: link to docs/none.md, which does not exist");
  ExpectFinding({"CHANGELOG.md", "[x](docs/glossary.md#wards)\n"}, "no such heading");
  ExpectFinding({"CHANGELOG.md", "[x](../outside.md)\n"}, "does not exist");
}

TEST(DocRulesTest, RejectsOrphans) { ExpectFinding({"docs/lost.md", "# Lost\n"}, "docs/lost.md: is not reached"); }

TEST(DocRulesTest, RejectsSecondNames) {
  ExpectFinding({"CHANGELOG.md", "Moved the Split point.\n"},
                "CHANGELOG.md:1: \"split point\": the glossary's word is cut");
}

TEST(DocRulesTest, RejectsCommandsThatDoNotExist) {
  ExpectFinding({"CHANGELOG.md", "```sh\nmake dinner\n```\n"}, "CHANGELOG.md:2: make dinner");
  ExpectFinding({"CHANGELOG.md", "```console\nmake output\n$ cmake --preset fast\n```\n"},
                "CHANGELOG.md:3: --preset fast");
}

TEST(DocRulesTest, RejectsVerbsAndOptionsThatDoNotExist) {
  const std::string text =
      "```sh\nsluice encode --out x\nX=1 build/dev/bin/sluice encode --in=y | tee --append z\nsluice fly | sluice "
      "decode --any\n```\n";
  const std::vector<Finding> findings = CheckVerbs({{"README.md", text}}, {{"encode", {"--out"}}, {"decode", {}}});
  ASSERT_EQ(findings.size(), 2u);
  EXPECT_EQ(findings[0].ToString(), "README.md:3: sluice encode --in=y: no such option in its --help");
  EXPECT_EQ(findings[1].ToString(), "README.md:4: sluice fly: no such verb in sluice --help");
}

TEST(DocRulesTest, MatchesTheVerbsOfHelp) {
  const char* help =
      "sluice 1: cuts\n\nusage: sluice VERB [options]\n\n  encode   writes\n           encoded bytes\n  doctor   "
      "looks\n"
      "\nA first walk:\n  sluice x\n";
  EXPECT_EQ(VerbsOfHelp(help), (std::set<std::string>{"doctor", "encode"}));
}

TEST(DocRulesTest, MatchesTheOptionsOfHelp) {
  EXPECT_EQ(OptionsOfHelp("  -o,--out FILE   where; see --json-lines\n --- "),
            (std::set<std::string>{"--json-lines", "--out"}));
}

TEST(MarkdownTest, MatchesContinuedCommands) {
  const Markdown document = ParseMarkdown("```sh\nsluice encode \\\n  --out x\n```\n");
  ASSERT_EQ(document.commands.size(), 1u);
  EXPECT_EQ(document.commands[0].text, "sluice encode   --out x");
  EXPECT_EQ(document.commands[0].line, 2u);
}

TEST(MarkdownTest, MatchesRepeatedAnchors) {
  EXPECT_EQ(ParseMarkdown("# A `b`, c!\n## A b c\n").anchors, (std::vector<std::string>{"a-b-c", "a-b-c-1"}));
}

}  // namespace
}  // namespace sluice
