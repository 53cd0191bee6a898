// A study is many processes that are started, killed and resumed; what it reports must not show it.
#include <signal.h>

#include <chrono>
#include <set>
#include <thread>

#include "program_test_base.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

class StudyVerbTest : public ProgramTest {
 protected:
  // Two runs: a codec that is trained and one that is not.
  Arguments Study(const fs::path& out, const Arguments& more = {}) const {
    Arguments arguments = {"study",
                           "layers",
                           "--model",
                           tiny().model(),
                           "--text",
                           tiny().train_text(),
                           "--report-text",
                           tiny().text(),
                           "--cuts",
                           "1",
                           "--lambdas",
                           "1e-3",
                           "--quantization-steps",
                           "0.2",
                           "--steps",
                           "24",
                           "--batch",
                           "2",
                           "--max-tokens",
                           "512",
                           "--allow-slow-blas",
                           "--yes",
                           "--quiet",
                           "--jobs",
                           "1",
                           "--out",
                           out};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  static nlohmann::json Summary(const fs::path& study) {
    return nlohmann::json::parse(FileBytes(study / "summary.json"), nullptr, false);
  }
};

TEST_F(StudyVerbTest, MatchesUninterruptedStudyAfterKill) {
  const std::string run = "runs/paper-frozen-k1-l0.001-s1";
  const fs::path killed = Path("killed"), whole = Path("whole");
  {
    RunningProgram program(Study(killed));
    const fs::path checkpoint = killed / run / "codec" / "run" / "checkpoint.safetensors";
    while (!fs::exists(checkpoint) && !program.Ended()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ASSERT_FALSE(program.Ended()) << program.Wait();
    program.Send(SIGKILL);
    EXPECT_EQ(program.Wait().signal, SIGKILL);
  }
  ASSERT_FALSE(fs::exists(killed / run / "eval.json"));
  ASSERT_TRUE(Succeeded(Sluice(Study(killed))));
  ASSERT_TRUE(Succeeded(Sluice(Study(whole))));
  EXPECT_EQ(FileBytes(killed / run / "codec" / "codec.safetensors"),
            FileBytes(whole / run / "codec" / "codec.safetensors"));
  const nlohmann::json resumed = Summary(killed), at_once = Summary(whole);
  ASSERT_EQ(resumed["runs"].size(), 2U);
  for (size_t i = 0; i < 2; ++i) {
    for (const char* key : {"bits_per_token", "perplexity"}) {
      EXPECT_TRUE(resumed["runs"][i]["figures"][key].is_number()) << resumed["runs"][i];
      EXPECT_EQ(resumed["runs"][i]["figures"][key], at_once["runs"][i]["figures"][key]);
    }
  }
  ASSERT_TRUE(Succeeded(
      Sluice({"report", whole, "--html", Path("report.html"), "--csv", Path("runs.csv"), "--svg", Path("plots")})));
  const std::string page = FileBytes(Path("report.html"));
  for (const char* part : {"Operating points", "Rate by part", "Rate by cut", "sluice train"})
    EXPECT_NE(page.find(part), std::string::npos) << part;
  EXPECT_GT(std::distance(fs::directory_iterator(Path("plots")), {}), 2);
}

TEST_F(StudyVerbTest, MatchesListWithoutRunning) {
  const Outcome outcome = Sluice(Study(Path("study"), {"--list", "--json"}));
  ASSERT_TRUE(Succeeded(outcome));
  EXPECT_EQ(outcome.Json()["runs"].size(), 2U);
  EXPECT_NE(outcome.out.find("sluice train"), std::string::npos);
  EXPECT_FALSE(fs::exists(Path("study")));
  // However many switches, a run's name is one that a folder can have.
  const std::string many = "transform=learned mean_steps=16 last_mlp=false prior=direct attention=false sigma=log";
  const Arguments ablation = {
      "study",         "ablation",    "--model",   tiny().model(),     "--text", tiny().train_text(),
      "--report-text", tiny().text(), "--out",     Path("study"),      "--list", "--json",
      "--variant",     many,          "--variant", many + " window=64"};
  const Outcome listed = Sluice(ablation);
  ASSERT_TRUE(Succeeded(listed));
  const nlohmann::json runs = listed.Json()["runs"];
  std::set<std::string> names;
  for (const auto& run : runs) {
    names.insert(run["run"]);
    EXPECT_LT(run["run"].get<std::string>().size(), 120U);
  }
  EXPECT_EQ(names.size(), runs.size());
}

TEST_F(StudyVerbTest, Regresses_FailedRunsAreAFailure) {
  const Outcome outcome = Sluice(Study(Path("study"), {"--set", "nonsense=1", "--json"}));
  EXPECT_EQ(outcome.exit_code, 1) << outcome;
  EXPECT_EQ(outcome.Json()["failed"].size(), 1U) << outcome;
  EXPECT_EQ(outcome.Json()["done"].size(), 1U) << outcome;
  EXPECT_NE(outcome.err.find("Internal: 1 of 2 runs failed"), std::string::npos) << outcome;
}

TEST_F(StudyVerbTest, RejectsWhatIsNoStudy) {
  ExpectRefused({"report", Path("nothing"), "--html", Path("page.html")}, "Io", "study.json");
  ExpectRefused({"study", "nonsense", "--model", tiny().model(), "--out", Path("s")}, "InvalidArgument",
                "rate-distortion");
  ExpectRefused({"study", "layers", "--model", tiny().model(), "--out", Path("s")}, "InvalidArgument", "--text");
}

TEST_F(StudyVerbTest, MatchesLastWordsOfPassages) {
  std::string lines;
  for (const char* text : {"the cat sat on the mat", "one two three four", "a long way to go home"})
    lines += nlohmann::json{{"text", text}}.dump() + "\n";
  const fs::path passages = Write("passages.jsonl", lines);
  const Arguments arguments = {"eval",      "--model", tiny().model(), "--codec", "fp32",         "--cut", "1",
                               "--threads", "1",       "--quiet",      "--json",  "--last-words", passages};
  const Outcome outcome = Sluice(arguments);
  ASSERT_TRUE(Succeeded(outcome));
  const nlohmann::json json = outcome.Json();
  EXPECT_EQ(json["passages"], 3);
  EXPECT_NEAR(json["last_word_nats"].get<double>(), json["uncut_last_word_nats"].get<double>(), 1e-4);
  EXPECT_GT(json["last_word_nats"].get<double>(), 0);
  ExpectRefused({"eval", "--model", tiny().model(), "--codec", "fp32", "--last-words", Write("bad.jsonl", "{}\n")},
                "Corrupt", "line 1");
  ExpectRefused(
      {"eval", "--model", tiny().model(), "--codec", "fp32", "--last-words", passages, "--html", Path("e.html")},
      "InvalidArgument", "--html");
}

// Rivals of a time are measured on the integers that the codec itself codes, and only where it has some.
TEST_F(StudyVerbTest, MatchesTheRatesOfRivalsThatItTimes) {
  const auto timed = [this](const std::string& codec) {
    return Sluice({"eval", "--model", tiny().model(), "--codec", codec, "--text", tiny().text(), "--threads", "1",
                   "--quiet", "--json", "--max-tokens", "64", "--time-chunks", "16"});
  };
  const Outcome learned = timed(tiny().codec());
  ASSERT_TRUE(Succeeded(learned));
  const nlohmann::json rivals = learned.Json()["timing"][0]["same_integers"];
  ASSERT_EQ(rivals.size(), 4u);
  for (const auto& rival : rivals) {
    EXPECT_GT(rival["encode_us_per_token"], 0) << rival;
    EXPECT_GT(rival["decode_us_per_token"], 0) << rival;
    EXPECT_GT(rival["bits_per_token"], 0) << rival;
  }
  EXPECT_EQ(rivals[0]["method"], "deflate:6");
  EXPECT_EQ(rivals[0]["packing"], "int32, one token at a time");
  EXPECT_EQ(rivals[2]["method"], "zstd:3");
  const Outcome plain = timed("fp16");
  ASSERT_TRUE(Succeeded(plain));
  EXPECT_FALSE(plain.Json()["timing"][0].contains("same_integers"));
}

}  // namespace
}  // namespace sluice
