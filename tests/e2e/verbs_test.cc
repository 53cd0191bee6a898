// What all verbs share: help, JSON, how errors are reported; and the two that look at things, inspect and doctor.
#include <sys/stat.h>

#include <sstream>

#include "program_test_base.h"

namespace sluice {
namespace {

constexpr const char* kVerbs[] = {"pretrain",    "train",         "encode",  "decode",  "fit-static",
                                  "pack-hidden", "unpack-hidden", "eval",    "certify", "generate",
                                  "study",       "report",        "inspect", "doctor"};

class VerbsTest : public ProgramTest {
 protected:
  nlohmann::json Inspected(const std::filesystem::path& path) const {
    const Outcome outcome = Sluice({"inspect", path, "--json"});
    EXPECT_TRUE(Succeeded(outcome));
    const Outcome text = Sluice({"inspect", path});
    EXPECT_TRUE(Succeeded(text));
    EXPECT_FALSE(text.out.empty());
    return outcome.Json();
  }
};

TEST_F(VerbsTest, MatchesTheListOfVerbsInHelp) {
  const Outcome help = Sluice({"--help"});
  ASSERT_TRUE(Succeeded(help));
  for (const char* verb : kVerbs) EXPECT_NE(help.out.find(std::string("\n  ") + verb + " "), std::string::npos) << verb;
  // The first walk names files that come along.
  std::istringstream words(help.out);
  size_t files = 0;
  for (std::string word; words >> word;) {
    if (!word.starts_with("models/")) continue;
    EXPECT_TRUE(std::filesystem::exists(std::filesystem::path(SLUICE_SOURCE_DIR) / word)) << word;
    ++files;
  }
  EXPECT_EQ(files, 3U);
  EXPECT_TRUE(Succeeded(Sluice({"--version"})));
  const Outcome none = Sluice({});
  EXPECT_EQ(none.exit_code, 2);
}

TEST_F(VerbsTest, MatchesExamplesAndExitCodesInHelpOfEachVerb) {
  for (const std::string verb : kVerbs) {
    SCOPED_TRACE(verb);
    const Outcome help = Sluice({verb, "--help"});
    ASSERT_TRUE(Succeeded(help));
    EXPECT_NE(help.out.find("Examples:\n  sluice " + verb), std::string::npos) << help;
    for (const char* part : {"--json", "--quiet", "Exit codes:", "130 Interrupted"}) {
      EXPECT_NE(help.out.find(part), std::string::npos) << part;
    }
  }
}

// An error is JSON on standard output and a line on standard error, with the same exit code as without --json.
TEST_F(VerbsTest, RejectsInJsonToo) {
  for (const std::string verb : kVerbs) {
    SCOPED_TRACE(verb);
    const Outcome outcome = Sluice({verb, "--no-such-option", "--json"});
    EXPECT_EQ(outcome.exit_code, 2) << outcome;
    EXPECT_EQ(outcome.Json()["error"]["code"], "InvalidArgument") << outcome;
    EXPECT_FALSE(outcome.Json()["error"]["message"].get<std::string>().empty());
    EXPECT_NE(outcome.err.find("sluice " + verb + ": InvalidArgument: "), std::string::npos) << outcome;
  }
  const Outcome missing =
      Sluice({"eval", "--model", Path("none"), "--codec", "fp16", "--text", tiny().text(), "--json"});
  EXPECT_EQ(missing.exit_code, 7);
  EXPECT_EQ(missing.Json()["error"]["code"], "Io");
  const Outcome unknown = Sluice({"frobnicate", "--json"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_EQ(unknown.Json()["error"]["code"], "InvalidArgument");
  const Outcome stream = Sluice({"decode", "--in", Path("none"), "--out", Path("x.safetensors"), "--json"});
  EXPECT_EQ(stream.exit_code, 7);
  EXPECT_EQ(stream.Json()["error"]["code"], "Io");
}

TEST_F(VerbsTest, RejectsWrongCommandLines) {
  ExpectRefused({"frobnicate"}, "InvalidArgument", "'frobnicate'");
  ExpectRefused({"inspect", tiny().stream(), "--frobnicate"}, "InvalidArgument", "--frobnicate");
  ExpectRefused({"encode", "--codec", "fp16", "--out", Path("x.slc"), "--frobnicate"}, "InvalidArgument",
                "--frobnicate");
  ExpectRefused({"encode", "--text", tiny().text()}, "InvalidArgument", "--codec is required");
  ExpectRefused({"encode", "--codec", "fp16", "--out", Path("x.slc")}, "InvalidArgument", "--text");
  ExpectRefused({"encode", "--codec", "fp16", "--out", Path("x.slc"), "--text", tiny().text()}, "InvalidArgument",
                "--model");
  ExpectRefused({"decode", "--out", Path("x.safetensors")}, "InvalidArgument", "--in is required");
  ExpectRefused({"decode", "--in", tiny().stream()}, "InvalidArgument", "--out");
  ExpectRefused({"decode", "--in", tiny().stream(), "--out", Path("x.safetensors")}, "InvalidArgument", "--codec");
  ExpectRefused({"inspect"}, "InvalidArgument", "path is required");
  ExpectRefused({"train", "--model", tiny().model()}, "InvalidArgument", "is required");
  ExpectRefused({"train", "--model", tiny().model(), "--text", tiny().text(), "--out", Path("c"), "--mode", "melted"},
                "InvalidArgument", "melted");
  ExpectRefused({"eval", "--model", tiny().model(), "--codec", "fp16"}, "InvalidArgument",
                "--text or --last-words is required");
  ExpectRefused({"pretrain", "--text", tiny().text()}, "InvalidArgument", "--out is required");
}

// NaN is neither too small nor too large.
TEST_F(VerbsTest, Regresses_NumbersThatAreNotFiniteOrInRange) {
  const auto refused = [&](const Arguments& arguments, const char* part) {
    ExpectRefused(arguments, "InvalidArgument", part);
  };
  const Arguments encode = {"encode", "--hidden", tiny().hidden(), "--codec", "a.pack", "--out", Path("a.slc")};
  for (const char* number : {"nan", "inf", "-nan"}) {
    Arguments arguments = encode;
    arguments.insert(arguments.end(), {"--target-bits-per-token", number});
    refused(arguments, "--target-bits-per-token");
    arguments = tiny().FrozenTraining();
    arguments.insert(arguments.end(), {"--out", Path("codec"), "--clip", number});
    refused(arguments, "--clip");
  }
  Arguments arguments = encode;
  arguments.insert(arguments.end(), {"--cut", "-5"});
  refused(arguments, "--cut");
  arguments = tiny().FrozenTraining();
  arguments.insert(arguments.end(), {"--out", Path("codec"), "--lambda", "-1"});
  refused(arguments, "--lambda");
  const Arguments serve = {"serve", "--model", tiny().model(), "--layers", "1:", "--codec", "fp16"};
  for (const char* option : {"--idle-seconds", "--memory-mib", "--stall-seconds"}) {
    arguments = serve;
    arguments.insert(arguments.end(), {option, "0"});
    refused(arguments, option);
  }
}

TEST_F(VerbsTest, Regresses_PipeAsInputIsRefused) {
  ASSERT_EQ(mkfifo(Path("pipe.safetensors").c_str(), 0600), 0);
  const RunOptions soon{.timeout_seconds = 60};
  ExpectRefused({"encode", "--hidden", Path("pipe.safetensors"), "--codec", "fp16", "--out", Path("a.slc")}, "Io",
                "pipe.safetensors: not a regular file", soon);
  ASSERT_EQ(mkfifo(Path("pipe").c_str(), 0600), 0);
  ExpectRefused({"inspect", Path("pipe")}, "Io", "pipe", soon);
}

TEST_F(VerbsTest, MatchesWhatThingsHoldWhenInspected) {
  const auto stream = Inspected(tiny().stream());
  EXPECT_EQ(stream["what"], "stream");
  EXPECT_EQ(stream["cut"], TinyModels::kCut);
  EXPECT_EQ(stream["width"], TinyModels::kWidth);
  EXPECT_EQ(stream["bytes"], std::filesystem::file_size(tiny().stream()));
  const auto codec = Inspected(tiny().codec());
  EXPECT_EQ(codec["what"], "trained codec");
  EXPECT_GT(codec["parameters"].get<int>(), 0);
  const auto model = Inspected(tiny().model());
  EXPECT_EQ(model["what"], "model");
  EXPECT_EQ(model["config"]["n_embd"], TinyModels::kWidth);
  const auto tensors = Inspected(tiny().hidden());
  EXPECT_EQ(tensors["what"], "safetensors");
  EXPECT_EQ(tensors["list"][0]["shape"][1], TinyModels::kWidth);
  EXPECT_EQ(tensors["list"][0]["shape"][0], stream["tokens"]);
}

TEST_F(VerbsTest, RejectsWhatCannotBeInspected) {
  ExpectRefused({"inspect", Path("none")}, "Io");
  ExpectRefused({"inspect", Path("")}, "InvalidArgument");
  ExpectRefused({"inspect", tiny().text()}, "Corrupt");
  ExpectRefused({"inspect", Write("empty.slc", "")}, "Truncated");
  ExpectRefused({"inspect", Write("cut.slc", FileBytes(tiny().stream()).substr(0, 500))}, "Truncated", "cut.slc");
  ExpectRefused({"inspect", Path(std::string(300, 'x'))}, "Io", "too long");
  ExpectRefused({"inspect", Write("cut.safetensors", FileBytes(tiny().hidden()).substr(0, 500))}, "Truncated");
}

// The exit code follows the verdicts: a machine with a problem is told so, the tests' machine may be one.
TEST_F(VerbsTest, MatchesExitCodeOfDoctorToItsVerdicts) {
  const Outcome outcome = Sluice({"doctor", "--json"});
  bool problem = false;
  if (outcome.exit_code == 0) {
    const auto report = outcome.Json();
    ASSERT_FALSE(report["checks"].empty()) << outcome;
    for (const auto& check : report["checks"]) {
      problem = problem || check["verdict"] == "problem";
      EXPECT_NE(check["verdict"] == "ok", !check["remedy"].get<std::string>().empty()) << check;
    }
    EXPECT_FALSE(problem) << outcome;
  } else {
    EXPECT_EQ(outcome.exit_code, 5) << outcome;
    EXPECT_NE(outcome.err.find(": Unsupported: "), std::string::npos) << outcome;
    EXPECT_NE(outcome.out.find("\"problem\""), std::string::npos) << outcome;
  }
}

}  // namespace
}  // namespace sluice
