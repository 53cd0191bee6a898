// Long runs get killed, interrupted and resumed; what they write must not show it.
#include <signal.h>

#include <chrono>
#include <regex>
#include <sstream>
#include <thread>

#include "program_test_base.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

class TrainingRunsTest : public ProgramTest {
 protected:
  Arguments Training(const fs::path& out, const Arguments& more = {}) const {
    Arguments arguments = tiny().FrozenTraining();
    arguments.insert(arguments.end(), {"--checkpoint-every", "2", "--out", out});
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  // Starts a training and sends it a signal once its first checkpoint is there.
  Outcome StopAfterCheckpoint(const Arguments& arguments, const fs::path& checkpoint, int signal) const {
    RunningProgram program(arguments);
    while (!fs::exists(checkpoint) && !program.Ended()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_FALSE(program.Ended()) << "it ended before it could be stopped";
    program.Send(signal);
    return program.Wait();
  }

  static void ExpectNoTemporaryFiles(const fs::path& folder) {
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      EXPECT_EQ(entry.path().filename().string().find("tmp"), std::string::npos) << entry.path();
    }
  }

  static std::vector<nlohmann::json> Metrics(const fs::path& run) {
    std::vector<nlohmann::json> lines;
    std::istringstream text(FileBytes(run / "metrics.jsonl"));
    for (std::string line; std::getline(text, line);) {
      lines.push_back(nlohmann::json::parse(line, nullptr, false));
      EXPECT_TRUE(lines.back().is_object()) << line;
    }
    return lines;
  }
};

TEST_F(TrainingRunsTest, MatchesUninterruptedRunAfterKill) {
  const fs::path out = Path("killed");
  const Outcome killed = StopAfterCheckpoint(Training(out), out / "run" / "checkpoint.safetensors", SIGKILL);
  EXPECT_EQ(killed.signal, SIGKILL);
  ASSERT_FALSE(fs::exists(out / "codec.safetensors"));
  ASSERT_TRUE(Succeeded(Sluice(Training(out, {"--resume"}))));
  EXPECT_EQ(FileBytes(out / "codec.safetensors"), FileBytes(tiny().codec() / "codec.safetensors"));
  EXPECT_EQ(FileBytes(out / "codec.json"), FileBytes(tiny().codec() / "codec.json"));
}

TEST_F(TrainingRunsTest, MatchesUninterruptedRunAfterInterrupt) {
  const fs::path out = Path("interrupted");
  const Outcome stopped = StopAfterCheckpoint(Training(out), out / "run" / "checkpoint.safetensors", SIGINT);
  EXPECT_TRUE(Refused(stopped, "Interrupted", "--resume"));
  ASSERT_FALSE(fs::exists(out / "codec.safetensors"));
  ExpectNoTemporaryFiles(out);
  ASSERT_TRUE(Succeeded(Sluice(Training(out, {"--resume"}))));
  EXPECT_EQ(FileBytes(out / "codec.safetensors"), FileBytes(tiny().codec() / "codec.safetensors"));
  ExpectNoTemporaryFiles(out);
  // The log reads as if the run had never stopped.
  int64_t before = 0;
  for (const auto& line : Metrics(out / "run")) {
    EXPECT_GT(line["step"].get<int64_t>(), before);
    before = line["step"];
  }
}

TEST_F(TrainingRunsTest, MatchesUninterruptedPretrainingAfterKill) {
  const fs::path out = Path("model");
  Arguments arguments = {"pretrain",
                         "--text",
                         tiny().train_text(),
                         "--layers",
                         "1",
                         "--width",
                         "16",
                         "--heads",
                         "2",
                         "--context",
                         "32",
                         "--vocab",
                         "320",
                         "--steps",
                         "40",
                         "--batch",
                         "8",
                         "--threads",
                         "1",
                         "--allow-slow-blas",
                         "--quiet",
                         "--checkpoint-every",
                         "1",
                         "--out"};
  const auto into = [&](const fs::path& folder, const Arguments& more) {
    Arguments all = arguments;
    all.push_back(folder);
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  StopAfterCheckpoint(into(out, {}), out / "run" / "checkpoint.safetensors", SIGKILL);
  ASSERT_FALSE(fs::exists(out / "model.safetensors"));
  ASSERT_TRUE(Succeeded(Sluice(into(out, {"--resume"}))));
  ASSERT_TRUE(Succeeded(Sluice(into(Path("whole"), {}))));
  for (const char* file : {"model.safetensors", "config.json", "tokenizer.model"}) {
    EXPECT_EQ(FileBytes(out / file), FileBytes(Path("whole") / file)) << file;
  }
}

TEST_F(TrainingRunsTest, RejectsFolderThatHoldsARun) {
  ExpectRefused(Training(tiny().codec()), "InvalidArgument", "--resume");
}

TEST_F(TrainingRunsTest, RejectsResumingOtherSettings) {
  const fs::path out = Copy(tiny().codec(), "codec");
  fs::create_directory(out / "run");
  fs::copy(tiny().codec() / "run", out / "run");
  ExpectRefused(Training(out, {"--resume", "--lambda", "2e-4"}), "InvalidArgument");
  Arguments other = Training(out, {"--resume"});
  for (size_t i = 0; i < other.size(); ++i) {
    if (other[i] == "--lambda") other[i + 1] = "2e-4";
  }
  ExpectRefused(other, "Mismatch", "other settings");
}

TEST_F(TrainingRunsTest, RejectsDamagedCheckpoint) {
  const fs::path out = Path("codec");
  fs::create_directories(out / "run");
  const std::string whole = FileBytes(tiny().codec() / "run" / "checkpoint.safetensors");
  WriteBytes(out / "run" / "checkpoint.safetensors", whole.substr(0, whole.size() / 2));
  ExpectRefused(Training(out, {"--resume"}), "Truncated", "checkpoint.safetensors");
}

TEST_F(TrainingRunsTest, RejectsOptionsOutOfRange) {
  const auto out = Path("c");
  ExpectRefused(Training(out, {"--context", "65"}), "InvalidArgument", "65");
  ExpectRefused(Training(out, {"--set", "no_such_switch=1"}), "InvalidArgument", "no_such_switch");
  ExpectRefused(Training(out, {"--select-share", "0.9"}), "InvalidArgument", "--select-share");
}

TEST_F(TrainingRunsTest, MatchesLogOfMetrics) {
  const auto lines = Metrics(tiny().codec() / "run");
  ASSERT_GE(lines.size(), 6U);
  EXPECT_EQ(lines.back()["step"], 24);
  for (const char* key : {"loss", "distortion", "bits_per_token", "bits_hyper", "bits_latent", "gradient_norm",
                          "learning_rate", "tokens_per_second", "select_bits_per_token", "select_perplexity_ratio"}) {
    EXPECT_TRUE(lines.back()[key].is_number()) << key;
  }
  bool events = false;
  for (const auto& entry : fs::directory_iterator(tiny().codec() / "run")) {
    events =
        events || (entry.path().filename().string().find("tfevents") != std::string::npos && entry.file_size() > 0);
  }
  EXPECT_TRUE(events);
}

// A page opens from a disk without a network: nothing in it is fetched from elsewhere.
void ExpectSelfContained(const fs::path& page) {
  const std::string html = FileBytes(page);
  EXPECT_NE(html.find("<html"), std::string::npos);
  EXPECT_GT(html.size(), 2000U);
  // Attributes may point into the page or carry their content themselves.
  const std::regex fetched(R"re((\b(src|href)\s*=\s*["'](?!#|data:))|(@import)|(\burl\(\s*["']?(?!#|data:|["'])))re");
  std::smatch match;
  if (std::regex_search(html, match, fetched)) ADD_FAILURE() << page << ": fetches " << match.str();
}

TEST_F(TrainingRunsTest, MatchesSelfContainedPages) {
  ExpectSelfContained(tiny().train_page());
  EXPECT_NE(FileBytes(tiny().train_page()).find("bits per token"), std::string::npos);
  ASSERT_TRUE(Succeeded(Sluice({"eval", "--model", tiny().model(), "--codec", tiny().codec(), "--text", tiny().text(),
                                "--threads", "1", "--quiet", "--html", Path("eval.html")})));
  ExpectSelfContained(Path("eval.html"));
  for (const char* part : {"hyper-prior", "latent", "overhead", "channel"}) {
    EXPECT_NE(FileBytes(Path("eval.html")).find(part), std::string::npos) << part;
  }
}

}  // namespace
}  // namespace sluice
