// A shell script stands for the program, so that these tests are about who is called when, and what is left behind.
#include "study/study_runner.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <thread>

#include "study/study_summary.h"
#include "study/study_test_util.h"

namespace sluice {
namespace {

constexpr int kInterruptedCode = 42;

class StudyRunnerTest : public StudyTest {
 protected:
  StudyOutcome Run(const StudyPlan& plan, const RunnerOptions& options) {
    const auto outcome = RunStudy(plan, options);
    EXPECT_TRUE(outcome.ok()) << outcome.status().ToString();
    return outcome.ok() ? *outcome : StudyOutcome{};
  }
  StudyOutcome Run(const StudyPlan& plan) { return Run(plan, Options()); }

  // Runs the study in a process of its own, waits until `ready`, and sends a signal. Gives the wait status.
  int Stop(const StudyPlan& plan, int signal, const std::function<bool()>& ready) {
    const pid_t pid = fork();
    if (pid == 0) {
      const auto outcome = RunStudy(plan, Options());
      _exit(outcome.ok() ? 0 : outcome.status().code() == StatusCode::kInterrupted ? kInterruptedCode : 1);
    }
    for (int i = 0; i < 3000 && !ready(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_TRUE(ready());
    kill(pid, signal);
    int status = 0;
    waitpid(pid, &status, 0);
    return status;
  }
};

TEST_F(StudyRunnerTest, MatchesPlanAndCostsNothingTwice) {
  WriteProgram();
  StudyPlan plan = EmptyPlan();
  plan.runs = {LearnedRun("a"), LearnedRun("b"), PlainRun("fp16")};
  EXPECT_EQ(Run(plan).done, (std::vector<std::string>{"a", "b", "fp16"}));
  EXPECT_EQ(Calls(), 5U);
  const auto figures = ReadFigures(Path("study/runs/a"));
  ASSERT_TRUE(figures.ok());
  EXPECT_EQ((*figures)["bits_per_token"], 8.5);
  EXPECT_NE(Read("study/runs/a/run.json").find("sluice train --model"), std::string::npos);
  EXPECT_EQ(Run(plan).done.size(), 3U);
  EXPECT_EQ(Calls(), 5U);
}

TEST_F(StudyRunnerTest, MatchesOnlyAndWhatItNeeds) {
  WriteProgram();
  StudyPlan plan = EmptyPlan();
  plan.runs = {LearnedRun("a"), LearnedRun("b"), PlainRun("fp16")};
  plan.runs[1].eval.push_back("{run:fp16}");
  RunnerOptions options = Options();
  options.only = "^b$";
  const StudyOutcome outcome = Run(plan, options);
  EXPECT_EQ(outcome.done, (std::vector<std::string>{"b", "fp16"}));
  EXPECT_EQ(outcome.missing.at("a"), "not asked for");
  options.only = "z";
  EXPECT_EQ(RunStudy(plan, options).status().code(), StatusCode::kInvalidArgument);
  options.only = "(";
  EXPECT_EQ(RunStudy(plan, options).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(StudyRunnerTest, RejectsFailedRunButGoesOn) {
  WriteProgram(
      "case $out in */a/*) [ -f $here/mended ] || { echo 'sluice train: Internal: training diverged' >&2; exit 1; };; "
      "esac; echo '{}'",
      "echo '{\"bits_per_token\": 8.5, \"perplexity\": 3.25}'");
  StudyPlan plan = EmptyPlan();
  plan.runs = {LearnedRun("a"), LearnedRun("b"), PlainRun("fp16")};
  plan.runs[2].eval.push_back("{run:a}");
  StudyOutcome outcome = Run(plan);
  EXPECT_EQ(outcome.done, std::vector<std::string>{"b"});
  EXPECT_NE(outcome.failed.at("a").find("training diverged"), std::string::npos);
  EXPECT_NE(outcome.missing.at("fp16").find("needs a, which failed"), std::string::npos);
  EXPECT_NE(Read("study/runs/a/failed.json").find("\"exit_code\": 1"), std::string::npos);
  // Not tried again unasked.
  const size_t calls = Calls();
  EXPECT_EQ(Run(plan).failed.size(), 1U);
  EXPECT_EQ(Calls(), calls);
  Write("mended", "");
  RunnerOptions options = Options();
  options.retry = true;
  EXPECT_EQ(Run(plan, options).done.size(), 3U);
}

// Joint points are compared with a model that another run trains: only their evaluation can miss it.
TEST_F(StudyRunnerTest, Regresses_TrainingBehindTheReferenceOfAFailedRun) {
  WriteProgram("case $out in */a/*) [ -f $here/mended ] || exit 1;; esac; echo '{}'",
               "echo '{\"bits_per_token\": 8.5, \"perplexity\": 3.25}'");
  StudyPlan plan = EmptyPlan();
  plan.runs = {LearnedRun("a"), LearnedRun("b")};
  plan.runs[1].eval.insert(plan.runs[1].eval.end(), {"--reference", "{run:a}/codec/reference"});
  const StudyOutcome outcome = Run(plan);
  EXPECT_EQ(outcome.failed.size(), 1U);
  EXPECT_EQ(outcome.missing.at("b"), "trained, not measured: it needs a, which failed");
  EXPECT_TRUE(std::filesystem::exists(Path("study/runs/b/train.json")));
  EXPECT_EQ(Calls(), 2U);
  const auto summary = SummarizeStudy(Path("study"));
  ASSERT_TRUE(summary.ok()) << summary.status().ToString();
  EXPECT_EQ(summary->runs[1].reason, "trained, not measured yet");
  Write("mended", "");
  RunnerOptions options = Options();
  options.retry = true;
  EXPECT_EQ(Run(plan, options).done.size(), 2U);
  EXPECT_EQ(Calls(), 5U) << "b is not trained again";
}

TEST_F(StudyRunnerTest, MatchesTrainingBesideTheRunThatItIsComparedWith) {
  WriteProgram(
      "case $out in */a/*) for i in $(seq 200); do [ -f $here/study/runs/b/train.json ] && break; sleep 0.05; done;; "
      "esac; [ -f $here/study/runs/b/train.json ] || [ $out = $here/study/runs/b/codec ] || exit 1; echo '{}'",
      "echo '{\"bits_per_token\": 8.5, \"perplexity\": 3.25}'");
  StudyPlan plan = EmptyPlan();
  plan.runs = {LearnedRun("a"), LearnedRun("b")};
  plan.runs[1].eval.push_back("{run:a}");
  EXPECT_EQ(Run(plan).done.size(), 2U);
  const std::string calls = Read("calls");
  EXPECT_LT(calls.find("runs/a/codec", calls.find("eval")), calls.find("runs/b/codec", calls.find("eval"))) << calls;
}

TEST_F(StudyRunnerTest, RejectsFiguresThatAreNotNumbers) {
  WriteProgram("echo '{}'",
               "case $codec in fp16) echo '{\"bits_per_token\": 8.5, \"perplexity\": null}';; bf16) echo 'words';; "
               "*) kill -9 $$;; esac");
  StudyPlan plan = EmptyPlan();
  plan.runs = {PlainRun("fp16"), PlainRun("bf16"), PlainRun("int8")};
  const StudyOutcome outcome = Run(plan);
  EXPECT_TRUE(outcome.done.empty());
  EXPECT_NE(outcome.failed.at("fp16").find("perplexity is not a finite number"), std::string::npos);
  EXPECT_NE(outcome.failed.at("bf16").find("no figures"), std::string::npos);
  EXPECT_NE(outcome.failed.at("int8").find("signal 9"), std::string::npos);
}

TEST_F(StudyRunnerTest, RejectsRunsOfOtherInputs) {
  WriteProgram();
  StudyPlan plan = EmptyPlan();
  plan.runs = {LearnedRun("a"), PlainRun("fp16")};
  Run(plan);
  Write("train.txt", "changed text");
  Status status = RunStudy(plan, Options()).status();
  EXPECT_EQ(status.code(), StatusCode::kMismatch);
  EXPECT_NE(status.message().find("a: the content of train-text"), std::string::npos) << status.message();
  EXPECT_EQ(status.message().find("fp16"), std::string::npos) << "it does not use that text";
  RunnerOptions options = Options();
  options.replace = true;
  EXPECT_EQ(Run(plan, options).done.size(), 2U);
  EXPECT_EQ(Calls(), 5U);
  options = Options();
  options.version = "2.0";
  EXPECT_EQ(RunStudy(plan, options).status().code(), StatusCode::kMismatch);
  plan.runs[0].train.push_back("--more");
  status = RunStudy(plan, Options()).status();
  EXPECT_NE(status.message().find("its arguments of train"), std::string::npos) << status.message();
}

// Three candidates with bits of their own, of which the third fails until it is mended; a point that is the winner's
// run, and one that is trained at its rate.
class StudyChoiceTest : public StudyRunnerTest {
 protected:
  StudyChoiceTest() {
    WriteProgram(
        "mkdir -p $out; echo $lr > $out/lr; echo '{}'",
        "case $(cat $codec/lr) in 0.1) bits=9;; 0.2) bits=7;; *) [ -f $here/mended ] || exit 1; bits=5;; esac\n"
        "echo \"{\\\"bits_per_token\\\": $bits, \\\"kl_nats\\\": 0.5}\"");
    StudyChoice choice{
        .name = "lr", .setting = "learning rate", .lambda = 0.1, .distortion = "kl_nats", .candidates = {}};
    for (const char* rate : {"0.1", "0.2", "0.3"}) {
      StudyRun run = LearnedRun(std::string("tune-") + rate);
      run.train.insert(run.train.end(), {"--lr", rate});
      plan_.runs.push_back(run);
      choice.candidates.emplace_back(rate, run.name);
    }
    plan_.choices = {choice};
    plan_.runs.push_back(LearnedRun("best"));
    plan_.runs.back().train.clear();
    plan_.runs.back().eval.back() = "{best:lr}/codec";
    plan_.runs.push_back(LearnedRun("point"));
    plan_.runs.back().train.insert(plan_.runs.back().train.end(), {"--lr", "{choice:lr}"});
  }

  StudyPlan plan_ = EmptyPlan();
};

TEST_F(StudyChoiceTest, MatchesBestCandidate) {
  const StudyOutcome outcome = Run(plan_);
  EXPECT_EQ(outcome.failed.size(), 1U);
  EXPECT_EQ(outcome.done.back(), "point");
  EXPECT_EQ(Read("study/runs/point/codec/lr"), "0.2\n");
  EXPECT_NE(Read("study/runs/point/run.json").find("\"lr\": \"0.2\""), std::string::npos);
  EXPECT_NE(Read("study/runs/best/run.json").find("tune-0.2/codec"), std::string::npos);
}

// The point that is the winner's own run has arguments of its own that do not change; what it measures does.
TEST_F(StudyChoiceTest, MatchesPointsToTheRunsThatTheyUse) {
  ASSERT_EQ(Run(plan_).done.size(), 4U);
  const size_t calls = Calls();
  for (StudyRun& run : plan_.runs) {
    if (!run.train.empty()) run.train.push_back("--more");
  }
  EXPECT_EQ(RunStudy(plan_, Options()).status().code(), StatusCode::kMismatch);
  RunnerOptions options = Options();
  options.replace = true;
  EXPECT_EQ(Run(plan_, options).done.size(), 4U);
  EXPECT_EQ(Calls(), 2 * calls);
  EXPECT_NE(Read("study/runs/best/run.json").find("\"runs\""), std::string::npos);
}

TEST_F(StudyChoiceTest, RejectsPointsOfAnEarlierChoice) {
  EXPECT_EQ(Run(plan_).failed.size(), 1U);
  EXPECT_EQ(Read("study/runs/point/codec/lr"), "0.2\n");
  Write("mended", "");
  RunnerOptions options = Options();
  options.retry = true;
  const StudyOutcome outcome = Run(plan_, options);
  EXPECT_EQ(outcome.done, (std::vector<std::string>{"tune-0.1", "tune-0.2", "tune-0.3"}));
  EXPECT_NE(outcome.missing.at("point").find("the choice of lr was \"0.2\", now \"0.3\""), std::string::npos)
      << outcome.missing.at("point");
  options.replace = true;
  EXPECT_EQ(Run(plan_, options).done.size(), 5U);
  EXPECT_EQ(Read("study/runs/point/codec/lr"), "0.3\n");
}

// Both at once: the new choice is made while the study runs, and what it outdates is made again in the same run.
TEST_F(StudyChoiceTest, MatchesTheNewChoiceWhenToldToReplace) {
  Run(plan_);
  Write("mended", "");
  RunnerOptions options = Options();
  options.retry = options.replace = true;
  EXPECT_EQ(Run(plan_, options).done.size(), 5U);
  EXPECT_EQ(Read("study/runs/point/codec/lr"), "0.3\n");
}

TEST_F(StudyRunnerTest, RejectsToDiscardBeforeItIsConfirmed) {
  WriteProgram();
  StudyPlan plan = EmptyPlan();
  plan.runs = {LearnedRun("a")};
  Run(plan);
  plan.runs[0].train.push_back("--more");
  RunnerOptions options = Options();
  options.replace = true;
  options.confirm = [](const std::string&) { return false; };
  EXPECT_EQ(RunStudy(plan, options).status().code(), StatusCode::kInterrupted);
  EXPECT_TRUE(std::filesystem::exists(Path("study/runs/a/eval.json")));
  EXPECT_EQ(Read("study/study.json").find("--more"), std::string::npos);
}

TEST_F(StudyRunnerTest, MatchesPlanWhereSigchldIsIgnored) {
  WriteProgram();
  StudyPlan plan = EmptyPlan();
  plan.runs = {LearnedRun("a")};
  signal(SIGCHLD, SIG_IGN);
  EXPECT_EQ(Run(plan).done.size(), 1U);
}

TEST_F(StudyRunnerTest, RejectsChoiceWithoutCandidates) {
  WriteProgram("exit 3", "exit 3");
  StudyPlan plan = EmptyPlan();
  plan.runs = {LearnedRun("tune"), LearnedRun("final")};
  plan.runs[1].train.push_back("{choice:lr}");
  plan.choices = {
      {.name = "lr", .setting = "learning rate", .lambda = 1, .distortion = "kl_nats", .candidates = {{"1", "tune"}}}};
  const StudyOutcome outcome = Run(plan);
  EXPECT_NE(outcome.missing.at("final").find("choose the learning rate"), std::string::npos);
}

TEST_F(StudyRunnerTest, MatchesUninterruptedStudyAfterKill) {
  WriteProgram("mkdir -p $out; echo $$ > $here/pid; [ -f $here/quick ] || exec sleep 600; echo '{}'",
               "echo '{\"bits_per_token\": 8.5, \"perplexity\": 3.25}'");
  StudyPlan plan = EmptyPlan();
  plan.runs = {LearnedRun("a"), PlainRun("fp16")};
  const int status = Stop(plan, SIGKILL, [&] {
    return !Read("pid").empty() && std::filesystem::exists(Path("study/runs/fp16/eval.json"));
  });
  EXPECT_TRUE(WIFSIGNALED(status));
  // Nobody is left who could write into the folder.
  const pid_t orphan = std::stoi(Read("pid"));
  for (int i = 0; i < 500 && kill(orphan, 0) == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_NE(kill(orphan, 0), 0);
  Write("quick", "");
  EXPECT_EQ(Run(plan).done.size(), 2U);
  const std::string calls = Read("calls");
  EXPECT_EQ(std::count(calls.begin(), calls.end(), '\n'), 4);
  EXPECT_NE(calls.find("--resume"), std::string::npos);
}

TEST_F(StudyRunnerTest, MatchesUninterruptedStudyAfterInterrupt) {
  WriteProgram(
      "trap 'echo told > $here/told; exit 130' INT; echo x > $here/started\n"
      "[ -f $here/quick ] || while true; do sleep 0.05; done; echo '{}'",
      "echo '{\"bits_per_token\": 8.5, \"perplexity\": 3.25}'");
  StudyPlan plan = EmptyPlan();
  plan.runs = {LearnedRun("a")};
  const int status = Stop(plan, SIGINT, [&] { return !Read("started").empty(); });
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), kInterruptedCode);
  EXPECT_EQ(Read("told"), "told\n");
  EXPECT_FALSE(std::filesystem::exists(Path("study/runs/a/failed.json")));
  Write("quick", "");
  EXPECT_EQ(Run(plan).done.size(), 1U);
}

TEST_F(StudyRunnerTest, RejectsSecondStudyInTheFolder) {
  WriteProgram("echo x > $here/started; exec sleep 600", "exit 1");
  StudyPlan plan = EmptyPlan();
  plan.runs = {LearnedRun("a")};
  Stop(plan, SIGKILL, [&] {
    if (Read("started").empty()) return false;
    const Status status = RunStudy(plan, Options()).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find("another study"), std::string::npos) << status.message();
    return true;
  });
}

TEST_F(StudyRunnerTest, CostsAreToldBeforeItStarts) {
  WriteProgram();
  StudyPlan plan = EmptyPlan();
  plan.runs = {LearnedRun("a")};
  plan.runs[0].train_tokens = 1'500'000;
  RunnerOptions options = Options();
  std::string line;
  options.confirm = [&](const std::string& text) {
    line = text;
    return false;
  };
  EXPECT_EQ(RunStudy(plan, options).status().code(), StatusCode::kInterrupted);
  EXPECT_NE(line.find("1 runs to do"), std::string::npos) << line;
  EXPECT_NE(line.find("1.50 M training tokens"), std::string::npos) << line;
  EXPECT_EQ(Calls(), 0U);
}

}  // namespace
}  // namespace sluice
