#include "room_rules.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

namespace sluice {
namespace {

constexpr char kTable[] = R"(
room base     0 plain may -                using fmt
room rans     1 plain may base             using -
room prob     1 plain may base             using -
room backbone 2 torch may base             using torch
room codec    3 plain may base rans sluice using -
room cli      4 plain may base codec       using -
room cli/torch 5 torch may base codec backbone cli using torch
library any   nlohmann/ unistd.h
library tests gtest/
library fmt   fmt/
library torch torch/ ATen/ c10/
forbid FIXME because it is work left undone
forbid /work/ because it is the path of one machine
)";

RoomsTable Table() {
  Result<RoomsTable> table = ParseRoomsTable(kTable);
  EXPECT_TRUE(table.ok()) << table.status().ToString();
  return table.ok() ? *table : RoomsTable{};
}

// A header with a sound guard around `body`, which starts on line 3.
HouseFile Header(const std::string& path, const std::string& guard, const std::string& body) {
  return {path, "#ifndef " + guard + "\n#define " + guard + "\n" + body + "\n#endif  // " + guard + "\n"};
}

std::vector<HouseFile> GoodTree() {
  return {Header("src/base/status.h", "SLUICE_BASE_STATUS_H_",
                 "#include <fmt/core.h>\n#include <vector>\n#include <unistd.h>"),
          Header("src/rans/push.h", "SLUICE_RANS_PUSH_H_", "#include \"base/status.h\""),
          Header("src/backbone/block.h", "SLUICE_BACKBONE_BLOCK_H_", "#include <torch/torch.h>"),
          Header("include/sluice/codec.h", "SLUICE_CODEC_H_", "#include <string>"),
          {"src/cli/torch/train.cc", "#include \"backbone/block.h\"\n#include <ATen/ATen.h>\n"},
          {"src/rans/push_test.cc", "#include <gtest/gtest.h>\n"},
          {"src/rans/CMakeLists.txt", "sluice_room(rans DEPENDS base)\n"},
          {"src/cli/torch/CMakeLists.txt", "sluice_room(cli_torch TORCH DEPENDS base codec cli)\n"}};
}

std::string Messages(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings) text += finding.ToString() + "\n";
  return text;
}

// The good tree with one more file breaks exactly one rule, named with its file and line.
void ExpectFinding(const HouseFile& bad, const std::string& expected) {
  std::vector<HouseFile> files = GoodTree();
  files.push_back(bad);
  const std::vector<Finding> findings = CheckRooms(files, Table());
  ASSERT_EQ(findings.size(), 1u) << Messages(findings);
  EXPECT_NE(findings[0].ToString().find(expected), std::string::npos) << findings[0].ToString();
}

TEST(RoomRulesTest, MatchesAGoodTree) { EXPECT_EQ(Messages(CheckRooms(GoodTree(), Table())), ""); }

TEST(RoomRulesTest, RejectsAnArrowThatIsNotInTheTable) {
  ExpectFinding({"src/prob/table.cc", "// idea\n#include \"rans/push.h\"\n"},
                "src/prob/table.cc:2: \"rans/push.h\": room prob may not include room rans");
  ExpectFinding({"src/base/log.cc", "#include \"rans/push.h\"\n"}, "src/base/log.cc:1:");
  ExpectFinding({"src/cli/main.cc", "#include \"cli/torch/train.h\"\n"}, "does not exist");
}

TEST(RoomRulesTest, RejectsTorchInADeployableRoom) {
  for (const char* header : {"torch/torch.h", "ATen/ATen.h", "c10/util/Half.h"}) {
    ExpectFinding({"src/rans/pop.cc", "\n  #  include <" + std::string(header) + ">\n"},
                  "src/rans/pop.cc:2: <" + std::string(header) + ">: deployable room rans");
    ExpectFinding({"src/cli/run.cc", "#include <" + std::string(header) + ">\n"}, "deployable room cli");
  }
}

TEST(RoomRulesTest, RejectsLibrariesOfOtherRooms) {
  ExpectFinding({"src/rans/pop.cc", "#include <fmt/core.h>\n"}, "room rans may not use fmt");
  ExpectFinding({"src/rans/pop.cc", "#include <boost/any.hpp>\n"}, "belongs to no library");
  ExpectFinding({"src/rans/pop.cc", "#include <gtest/gtest.h>\n"}, "only tests include test libraries");
}

TEST(RoomRulesTest, RejectsEncodeThatIncludesDecode) {
  std::vector<HouseFile> files = GoodTree();
  files.push_back(Header("src/codec/decode_frame.h", "SLUICE_CODEC_DECODE_FRAME_H_", ""));
  files.push_back({"src/codec/encode_frame.cc", "#include \"codec/decode_frame.h\"\n"});
  files.push_back({"src/codec/encode_frame_test.cc", "#include \"codec/decode_frame.h\"\n"});
  const std::vector<Finding> findings = CheckRooms(files, Table());
  ASSERT_EQ(findings.size(), 1u) << Messages(findings);
  EXPECT_EQ(findings[0].path, "src/codec/encode_frame.cc");
}

TEST(RoomRulesTest, RejectsPublicHeadersThatLeakTheInside) {
  ExpectFinding(Header("include/sluice/frame.h", "SLUICE_FRAME_H_", "#include \"base/status.h\""),
                "include/sluice/frame.h:3:");
  ExpectFinding(Header("include/sluice/frame.h", "SLUICE_FRAME_H_", "#include <torch/torch.h>"),
                "only the standard library");
}

TEST(RoomRulesTest, RejectsAWrongHeaderGuard) {
  ExpectFinding(Header("src/rans/pop.h", "SLUICE_POP_H_", ""),
                "src/rans/pop.h:1: expected the header guard SLUICE_RANS_POP_H_");
  ExpectFinding({"src/rans/pop.h", "#pragma once\n"}, "header guard");
}

TEST(RoomRulesTest, RejectsANameThatIsTaken) {
  ExpectFinding({"src/prob/push.cc", ""}, "src/prob/push.cc: the name push is taken by src/rans");
}

TEST(RoomRulesTest, RejectsFilesThatAreTooLong) {
  ExpectFinding({"src/prob/long.cc", std::string(501, '\n')}, "501 lines, at most 500");
  std::vector<HouseFile> files = {{"src/prob/long.cc", std::string(251, '\n')}};
  const std::vector<Finding> findings = CheckRooms(files, Table());
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_TRUE(findings[0].warning);
}

TEST(RoomRulesTest, RejectsForbiddenWords) {
  ExpectFinding({"docs/x.md", "a\nsee /work/main\n"}, "docs/x.md:2: \"/work/\": it is the path of one machine");
  ExpectFinding({"src/prob/x.cc", "// FIXME\n"}, "src/prob/x.cc:1");
  ExpectFinding({"src/prob/x.cc", "// TODO later\n"}, "without a reason");
}

TEST(RoomRulesTest, RejectsWhatCMakeLinksAgainstTheTable) {
  ExpectFinding({"src/prob/CMakeLists.txt", "# c\nsluice_room(prob\n  DEPENDS base rans\n  LIBS fmt::fmt)\n"},
                "src/prob/CMakeLists.txt:2: room prob may not depend on room rans");
}

TEST(RoomRulesTest, RejectsSourceOutsideOfEveryRoom) { ExpectFinding({"src/attic/old.cc", ""}, "lies in no room"); }

TEST(RoomsTableTest, RejectsContradictions) {
  const std::pair<const char*, const char*> kCases[] = {
      {"room a 1 plain may b using -\nroom b 1 plain may - using -", "a -> b goes from level 1 to 1"},
      {"room a 1 plain may b using -\nroom b 0 torch may - using -", "deployable room a may include torch room b"},
      {"room a 1 plain may - using torch\nlibrary torch torch/", "deployable room a uses torch"},
      {"room a 1 plain may c using -", "c, which is no room"},
      {"room a 1 plain may - using x", "x, which is no library"},
      {"room a one plain may - using -", "rooms.txt:1: level is one"},
      {"\nroom a 1 wet may - using -", "rooms.txt:2: island is wet"},
      {"door a", "rooms.txt:1: \"door\" is not understood"},
      {"forbid x", "expected: forbid TEXT because REASON"},
  };
  for (const auto& [text, message] : kCases) {
    const Result<RoomsTable> table = ParseRoomsTable(text);
    ASSERT_FALSE(table.ok()) << text;
    EXPECT_EQ(table.status().code(), StatusCode::kCorrupt);
    EXPECT_NE(table.status().message().find(message), std::string::npos) << table.status().message();
  }
}

}  // namespace
}  // namespace sluice
