// The loop around a task of a few numbers. Interruptions are real: the test program starts itself as another process
// that is interrupted, or killed, in the middle of a step.
#include "train/training_loop.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <limits>
#include <nlohmann/json.hpp>

#include "backbone/lm_score.h"
#include "base/file.h"
#include "base/progress.h"
#include "format/temporary_folder.h"

extern char** environ;

namespace sluice {
namespace {

constexpr int64_t kVocab = 7;
constexpr const char* kChildFlag = "--train-child";

// A bigram model: the row of a token is the logits of the next.
class BigramTask : public TrainingTask {
 public:
  BigramTask() : table_(torch::zeros({kVocab, kVocab})), bias_(torch::zeros({kVocab})) {
    table_.set_requires_grad(true);
    bias_.set_requires_grad(true);
  }

  std::vector<ParameterGroup> Groups() override {
    return {{.parameters = {{"table", table_}}}, {.parameters = {{"bias", bias_}}, .rate_scale = 0.5, .decay = false}};
  }
  std::vector<NamedTensor> State() override { return {{"table", table_}, {"bias", bias_}}; }
  StepLoss Forward(const torch::Tensor& tokens, int64_t first_window) override {
    ++passes;
    if (on_pass) on_pass(first_window);
    const auto loss = NextTokenNats(torch::embedding(table_, tokens) + bias_, tokens).mean();
    return {loss * factor, {{"bigram", 2.0}}};
  }
  Metrics Evaluate() override { return {{"table_norm", table_.norm().item<double>()}}; }
  std::string Note(const Metrics&) const override { return "note"; }

  int passes = 0;
  double factor = 1;
  std::function<void(int64_t)> on_pass;

 private:
  torch::Tensor table_, bias_;
};

BatchDealer Dealer() {
  std::vector<int32_t> tokens;
  for (int i = 0; i < 400; ++i) tokens.push_back(static_cast<int32_t>((i * i + i / 3) % kVocab));
  return BatchDealer::Create(tokens, std::nullopt, 10, 5).value();
}

LoopOptions Options() {
  LoopOptions options;
  options.steps = 14;
  options.batch = 2;
  options.accumulate = 2;
  options.learning_rate = 0.05;
  options.warmup = 3;
  options.weight_decay = 0.1;
  options.checkpoint_every = 4;
  options.log_every = 2;
  options.evaluate_every = 5;
  return options;
}

Status Train(BigramTask& task, const LoopOptions& options, const std::filesystem::path& folder,
             const std::string& identity = "bigram") {
  BatchDealer dealer = Dealer();
  return RunTraining(task, dealer, options, folder, identity);
}

// The other process: FOLDER SIGNAL STEP RESUME. Raises the signal (0: none) in the middle of the step.
int RunChild(char** arguments) {
  BigramTask task;
  const int signal = std::atoi(arguments[1]);
  const int64_t step = std::atoll(arguments[2]);
  LoopOptions options = Options();
  options.resume = std::string(arguments[3]) == "resume";
  bool raised = signal == 0;  // a second SIGINT would end the process at once
  task.on_pass = [&](int64_t window) {
    if (!raised && window / 4 + 1 == step) {
      raised = true;
      std::raise(signal);
    }
  };
  const Status status = Train(task, options, arguments[0]);
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return ExitCode(status.code());
}

// Exit code of the child, or minus the signal that ended it.
int StartChild(const std::filesystem::path& folder, int signal, int64_t step, bool resume) {
  std::vector<std::string> arguments = {"/proc/self/exe",       kChildFlag,           folder.string(),
                                        std::to_string(signal), std::to_string(step), resume ? "resume" : "fresh"};
  std::vector<char*> raw;
  for (auto& argument : arguments) raw.push_back(argument.data());
  raw.push_back(nullptr);
  pid_t child = 0;
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  if (posix_spawn(&child, program.c_str(), nullptr, nullptr, raw.data(), environ) != 0) return -1000;
  int state = 0;
  if (waitpid(child, &state, 0) != child) return -1000;
  return WIFEXITED(state) ? WEXITSTATUS(state) : -WTERMSIG(state);
}

int64_t CheckpointStep(const std::filesystem::path& folder) {
  const auto file = SafetensorsFile::Open(folder / "checkpoint.safetensors");
  return file.ok() ? std::stoll(file->metadata().at("step")) : -1;
}

// The log without what depends on the clock.
std::vector<std::string> LogLines(const std::filesystem::path& folder) {
  std::vector<std::string> lines;
  std::istringstream in(ReadFile(folder / "metrics.jsonl").value());
  for (std::string line; std::getline(in, line);) {
    auto json = nlohmann::ordered_json::parse(line);
    json.erase("tokens_per_second");
    lines.push_back(json.dump());
  }
  return lines;
}

void ExpectSameRun(const std::filesystem::path& a, const std::filesystem::path& b) {
  EXPECT_EQ(ReadFile(a / "checkpoint.safetensors").value(), ReadFile(b / "checkpoint.safetensors").value());
  EXPECT_EQ(LogLines(a), LogLines(b));
}

TEST(TrainingLoopTest, MatchesAnUninterruptedRunAfterInterruptAndKill) {
  TemporaryFolder folder;
  ASSERT_EQ(StartChild(folder / "whole", 0, 0, false), 0);
  EXPECT_EQ(CheckpointStep(folder / "whole"), 14);

  ASSERT_EQ(StartChild(folder / "interrupted", SIGINT, 6, false), ExitCode(StatusCode::kInterrupted));
  EXPECT_EQ(CheckpointStep(folder / "interrupted"), 6) << "the step is finished and saved";
  ASSERT_EQ(StartChild(folder / "interrupted", 0, 0, true), 0);
  ExpectSameRun(folder / "whole", folder / "interrupted");

  ASSERT_EQ(StartChild(folder / "killed", SIGKILL, 11, false), -SIGKILL);
  EXPECT_EQ(CheckpointStep(folder / "killed"), 8) << "at most one interval of 4 steps is lost";
  ASSERT_EQ(StartChild(folder / "killed", SIGKILL, 13, true), -SIGKILL);
  EXPECT_EQ(CheckpointStep(folder / "killed"), 12);
  ASSERT_EQ(StartChild(folder / "killed", 0, 0, true), 0);
  ExpectSameRun(folder / "whole", folder / "killed");
}

TEST(TrainingLoopTest, MatchesAFreshRunWhenKilledBeforeTheFirstCheckpoint) {
  TemporaryFolder folder;
  ASSERT_EQ(StartChild(folder / "killed", SIGKILL, 3, false), -SIGKILL);
  EXPECT_EQ(CheckpointStep(folder / "killed"), -1);
  ASSERT_EQ(StartChild(folder / "killed", 0, 0, true), 0);
  BigramTask task;
  ASSERT_TRUE(Train(task, Options(), folder / "whole").ok());
  ExpectSameRun(folder / "whole", folder / "killed");
}

TEST(TrainingLoopTest, CostsWhatTheOptionsSay) {
  TemporaryFolder folder;
  BigramTask task;
  ASSERT_TRUE(Train(task, Options(), folder.path()).ok());
  EXPECT_EQ(task.passes, 14 * 2);
  const auto steps = ReadMetrics(folder.path());
  ASSERT_TRUE(steps.ok());
  std::vector<int64_t> logged;
  for (const auto& [step, metrics] : *steps) {
    logged.push_back(step);
    EXPECT_EQ(MetricValue(metrics, "bigram"), 2.0);
    EXPECT_EQ(std::isnan(MetricValue(metrics, "select_table_norm")), step % 5 != 0 && step != 14) << step;
    EXPECT_DOUBLE_EQ(MetricValue(metrics, "learning_rate"), 0.05 * CosineWithWarmup(step, 3, 14, 0.1));
  }
  EXPECT_EQ(logged, (std::vector<int64_t>{1, 2, 4, 5, 6, 8, 10, 12, 14}));
  EXPECT_NEAR(MetricValue(steps->front().second, "loss"), std::log(7.0), 1e-5);
  EXPECT_LT(MetricValue(steps->back().second, "loss"), 1.9);
  // A finished run resumes to nothing.
  BigramTask again;
  LoopOptions resume = Options();
  resume.resume = true;
  ASSERT_TRUE(Train(again, resume, folder.path()).ok());
  EXPECT_EQ(again.passes, 0);
  EXPECT_TRUE(torch::equal(again.State()[0].second, task.State()[0].second));
}

TEST(TrainingLoopTest, RejectsDivergenceNamingStepAndCheckpoint) {
  TemporaryFolder folder;
  BigramTask task;
  task.on_pass = [&](int64_t window) {
    if (window >= 6 * 4) task.factor = std::numeric_limits<double>::quiet_NaN();
  };
  const Status status = Train(task, Options(), folder.path());
  EXPECT_EQ(status.code(), StatusCode::kInternal);
  EXPECT_NE(status.message().find("step 7"), std::string::npos) << status.message();
  EXPECT_NE(status.message().find("checkpoint.safetensors (step 4)"), std::string::npos) << status.message();
  EXPECT_EQ(CheckpointStep(folder.path()), 4);

  BigramTask early;
  early.factor = std::numeric_limits<double>::infinity();
  const Status at_once = Train(early, Options(), folder / "early");
  EXPECT_EQ(at_once.code(), StatusCode::kInternal);
  EXPECT_NE(at_once.message().find("step 1"), std::string::npos);
  EXPECT_NE(at_once.message().find("none"), std::string::npos);
}

TEST(TrainingLoopTest, RejectsAFolderThatHoldsARun) {
  TemporaryFolder folder;
  BigramTask task;
  ASSERT_TRUE(Train(task, Options(), folder.path()).ok());
  BigramTask second;
  const Status status = Train(second, Options(), folder.path());
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("--resume"), std::string::npos) << status.message();
  EXPECT_EQ(second.passes, 0);
}

TEST(TrainingLoopTest, RejectsOtherSettingsAndDamagedCheckpoints) {
  TemporaryFolder folder;
  BigramTask task;
  ASSERT_TRUE(Train(task, Options(), folder.path()).ok());
  LoopOptions resume = Options();
  resume.resume = true;
  BigramTask other;
  const Status mismatch = Train(other, resume, folder.path(), "trigram");
  EXPECT_EQ(mismatch.code(), StatusCode::kMismatch);
  EXPECT_NE(mismatch.message().find("trigram"), std::string::npos) << mismatch.message();
  EXPECT_NE(mismatch.message().find("bigram"), std::string::npos) << mismatch.message();

  const auto path = folder / "checkpoint.safetensors";
  const std::string good = ReadFile(path).value();
  ASSERT_TRUE(WriteFileAtomic(path, std::string_view(good).substr(0, good.size() - 9)).ok());
  EXPECT_EQ(Train(other, resume, folder.path()).code(), StatusCode::kTruncated);
  ASSERT_TRUE(SaveTensors(path, task.State(), {{"step", "-3"}, {"identity", "bigram"}}).ok());
  EXPECT_EQ(Train(other, resume, folder.path()).code(), StatusCode::kCorrupt);
  ASSERT_TRUE(SaveTensors(path, task.State(), {{"step", "3"}, {"identity", "bigram"}}).ok());
  const Status missing = Train(other, resume, folder.path());
  EXPECT_EQ(missing.code(), StatusCode::kCorrupt);
  EXPECT_NE(missing.message().find("m.table"), std::string::npos) << missing.message();
}

TEST(TrainingLoopTest, MatchesIdentityToEverySetting) {
  const std::string base = LoopIdentity(Options());
  const std::vector<std::function<void(LoopOptions&)>> changes = {
      [](LoopOptions& o) { ++o.steps; },      [](LoopOptions& o) { ++o.batch; },
      [](LoopOptions& o) { ++o.accumulate; }, [](LoopOptions& o) { o.learning_rate *= 2; },
      [](LoopOptions& o) { o.clip = 2; },     [](LoopOptions& o) { o.final_rate_ratio = 0.2; },
      [](LoopOptions& o) { ++o.warmup; },     [](LoopOptions& o) { o.weight_decay = 0; },
      [](LoopOptions& o) { o.beta1 = 0.8; },  [](LoopOptions& o) { o.beta2 = 0.9; },
      [](LoopOptions& o) { ++o.seed; }};
  for (size_t i = 0; i < changes.size(); ++i) {
    LoopOptions options = Options();
    changes[i](options);
    EXPECT_NE(LoopIdentity(options), base) << i;
  }
  LoopOptions same = Options();
  same.checkpoint_every = 9;
  same.log_every = 1;
  EXPECT_EQ(LoopIdentity(same), base) << "what may change between two runs";
}

TEST(TrainingLoopTest, RegressesCountsOfZero) {
  const std::vector<std::function<void(LoopOptions&)>> changes = {
      [](LoopOptions& o) { o.steps = 0; },      [](LoopOptions& o) { o.batch = 0; },
      [](LoopOptions& o) { o.accumulate = 0; }, [](LoopOptions& o) { o.checkpoint_every = 0; },
      [](LoopOptions& o) { o.log_every = 0; },  [](LoopOptions& o) { o.learning_rate = std::nan(""); }};
  for (size_t i = 0; i < changes.size(); ++i) {
    TemporaryFolder folder;
    BigramTask task;
    LoopOptions options = Options();
    changes[i](options);
    EXPECT_EQ(Train(task, options, folder / "run").code(), StatusCode::kInvalidArgument) << i;
    EXPECT_FALSE(std::filesystem::exists(folder / "run"));
  }
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  sluice::ProgressBar::Silence();
  at::set_num_threads(1);
  if (argc == 6 && std::string(argv[1]) == sluice::kChildFlag) return sluice::RunChild(argv + 2);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
