#ifndef SLUICE_STUDY_STUDY_TEST_UTIL_H_
#define SLUICE_STUDY_STUDY_TEST_UTIL_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "study/run_folder.h"
#include "study/study_plan.h"
#include "study/study_runner.h"

namespace sluice {

/// A folder, a model and texts that are only hashed, and a shell script that stands for the program.
class StudyTest : public ::testing::Test {
 protected:
  StudyTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sluice-study-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) ADD_FAILURE() << "cannot create a folder for the test";
    folder_ = pattern;
    std::filesystem::create_directory(Path("model"));
    Write("model/config.json", R"({"n_layer": 4, "n_embd": 16, "n_head": 2, "n_positions": 32})");
    Write("train.txt", "some text");
    Write("report.txt", "other text");
  }
  ~StudyTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  std::filesystem::path Path(const std::string& name) const { return folder_ / name; }
  void Write(const std::string& name, const std::string& text) const { std::ofstream(Path(name)) << text; }
  std::string Read(const std::string& name) const {
    std::ifstream file(Path(name));
    return {std::istreambuf_iterator<char>(file), {}};
  }

  /// The script notes each call in "calls" (but for probes), sees $verb, $out, $codec and $lambda, and runs these
  /// lines.
  void WriteProgram(const std::string& train, const std::string& eval) const {
    Write("program",
          "#!/bin/sh\nall=\"$*\"; verb=$1; shift\n"
          "while [ $# -gt 0 ]; do case \"$1\" in --out) out=$2;; --codec) codec=$2;; --lambda) lambda=$2;;\n"
          "--lr) lr=$2;; esac; shift; done\n"
          "here='" +
              folder_.string() +
              "'\n"
              "case \"$all\" in *probe*) echo '{\"probe\": 1}'; exit 0;; *--max-tokens\\ 2048*) exit 0;; esac\n"
              "echo \"$all\" >> \"$here/calls\"\n"
              "if [ $verb = train ]; then\n" +
              train + "\nelse\n" + eval + "\nfi\n");
    std::filesystem::permissions(Path("program"), std::filesystem::perms::owner_all);
  }
  void WriteProgram() const {
    WriteProgram("mkdir -p $out; echo '{\"steps\": 1}'", "echo '{\"bits_per_token\": 8.5, \"perplexity\": 3.25}'");
  }

  StudyPlan EmptyPlan() const {
    StudyPlan plan;
    plan.study = "test";
    plan.files = {
        {"model", {Path("model")}}, {"train-text", {Path("train.txt")}}, {"report-text", {Path("report.txt")}}};
    return plan;
  }
  static StudyRun LearnedRun(const std::string& name) {
    StudyRun run{.name = name};
    run.labels.series = run.labels.codec = "paper";
    run.labels.mode = "frozen";
    run.labels.seed = 1;
    run.train = {"train", "--model", "{model}", "--text", "{train-text}", "--out", "{run}/codec"};
    run.eval = {"eval", "--model", "{model}", "--text", "{report-text}", "--codec", "{run}/codec"};
    return run;
  }
  static StudyRun PlainRun(const std::string& name) {
    StudyRun run{.name = name};
    run.labels.role = RunRole::kBaseline;
    run.labels.series = run.labels.codec = name;
    run.eval = {"eval", "--model", "{model}", "--text", "{report-text}", "--codec", name};
    return run;
  }

  RunnerOptions Options() const {
    RunnerOptions options;
    options.folder = Path("study");
    options.program = Path("program");
    options.version = "1.0";
    options.jobs = 2;
    options.quiet = true;
    return options;
  }
  size_t Calls() const {
    const std::string calls = Read("calls");
    return static_cast<size_t>(std::count(calls.begin(), calls.end(), '\n'));
  }

 private:
  std::filesystem::path folder_;
};

}  // namespace sluice

#endif  // SLUICE_STUDY_STUDY_TEST_UTIL_H_
