// Training time is tokens times seconds a token, and both stages of a training differ in speed, so a probe takes four
// steps, two of each stage, and averages the seconds a token of all but the first. Finished runs of the same kind know
// better and are asked first.
#include "study/study_cost.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <thread>

#include "base/file.h"
#include "base/interrupt.h"
#include "study/child_process.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using Arguments = std::vector<std::string>;

constexpr int kProbeSteps = 4;
constexpr int kProbeTokens = 2048;
// What a token of text takes on average, where nothing is measured yet.
constexpr double kBytesPerToken = 3;

// The value that follows an option; null when the option is not there.
std::string* FindValue(Arguments& arguments, const std::string& option) {
  const auto at = std::find(arguments.begin(), arguments.end(), option);
  return at == arguments.end() || at + 1 == arguments.end() ? nullptr : &*(at + 1);
}

void SetOption(Arguments& arguments, const std::string& option, const std::string& value) {
  if (std::string* old = FindValue(arguments, option)) {
    *old = value;
  } else {
    arguments.insert(arguments.end(), {option, value});
  }
}

// Seconds a token, from the speeds that a training logged; 0 when it logged none.
double SecondsPerToken(const fs::path& log, bool skip_first) {
  std::ifstream lines(log / "metrics.jsonl");
  double seconds = 0;
  int count = 0;
  for (std::string line; std::getline(lines, line);) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    if (!json.is_object() || !json.contains("tokens_per_second") || !json["tokens_per_second"].is_number()) continue;
    if (skip_first && json.value("step", 0) <= 1) continue;
    seconds += 1 / json["tokens_per_second"].get<double>();
    ++count;
  }
  return count > 0 ? seconds / count : 0;
}

class Estimator {
 public:
  Estimator(const StudyState& state, const std::set<std::string>& wanted, const fs::path& program)
      : state_(state), wanted_(wanted), program_(program), folder_(state.context().study_folder) {}

  Result<StudyCost> Run() {
    SLUICE_RETURN_IF_ERROR(LearnFromFinishedRuns());
    for (const StudyRun& run : state_.plan().runs) {
      if (!wanted_.contains(run.name)) continue;
      const RunState state = state_.Of(run.name).state;
      if (state == RunState::kDone) ++cost_.done;
      if (state != RunState::kFresh && state != RunState::kTrained) continue;
      ++cost_.runs;
      SLUICE_ASSIGN_OR_RETURN(const double seconds, SecondsOf(run, state == RunState::kFresh));
      cost_.run_seconds[run.name] = seconds;
      cost_.seconds += seconds;
    }
    std::error_code ignored;
    fs::remove_all(folder_ / "probe", ignored);
    return std::move(cost_);
  }

 private:
  struct Kind {
    double startup = 0;            // seconds
    double seconds_per_token = 0;  // 0: not known
  };

  Status LearnFromFinishedRuns() {
    std::map<std::string, std::pair<double, double>> sums;  // seconds, tokens
    double evaluations = 0;
    int count = 0;
    for (const StudyRun& run : state_.plan().runs) {
      if (state_.Of(run.name).state != RunState::kDone) continue;
      SLUICE_ASSIGN_OR_RETURN(const auto record, ReadRunRecord(RunFolder(folder_, run.name)));
      if (!record.has_value()) continue;
      if (record->eval_seconds > 0) {
        evaluations += record->eval_seconds;
        ++count;
      }
      if (run.train_tokens == 0 || record->train_seconds <= 0) continue;
      sums[TrainingKind(run)].first += record->train_seconds;
      sums[TrainingKind(run)].second += static_cast<double>(run.train_tokens);
    }
    for (const auto& [kind, sum] : sums) SetKind(kind, {0, sum.first / sum.second});
    if (count > 0) eval_seconds_ = evaluations / count;
    return OkStatus();
  }

  void SetKind(const std::string& name, const Kind& kind) {
    kinds_[name] = kind;
    if (kind.seconds_per_token > 0) cost_.rates[name] = 1 / kind.seconds_per_token;
  }

  Result<double> SecondsOf(const StudyRun& run, bool train) {
    double seconds = 0;
    if (train && !run.train.empty()) {
      const std::string name = TrainingKind(run);
      if (!kinds_.contains(name)) {
        SLUICE_ASSIGN_OR_RETURN(const Kind kind, ProbeTraining(run));
        SetKind(name, kind);
      }
      const Kind& kind = kinds_[name];
      seconds += kind.startup + kind.seconds_per_token * static_cast<double>(run.train_tokens);
      cost_.train_tokens += run.train_tokens;
    }
    if (eval_seconds_ < 0) {
      SLUICE_ASSIGN_OR_RETURN(eval_seconds_, ProbeEvaluation(run));
    }
    return seconds + eval_seconds_;
  }

  // Choices are not made yet: a probe takes each choice's first candidate.
  RunContext ProbeContext() const {
    RunContext context = state_.context();
    context.study_folder = folder_ / "probe";
    for (const StudyChoice& choice : state_.plan().choices) {
      context.values.try_emplace(choice.name, choice.candidates.front().first);
      context.winners.try_emplace(choice.name, choice.candidates.front().second);
    }
    return context;
  }

  Result<Kind> ProbeTraining(const StudyRun& run) {
    const fs::path out = RunFolder(folder_ / "probe", run.name);
    SLUICE_ASSIGN_OR_RETURN(Arguments arguments, ExpandArguments(state_.plan(), run, run.train, ProbeContext()));
    SetOption(arguments, "--steps", std::to_string(kProbeSteps));
    SetOption(arguments, "--warmup", "1");
    SetOption(arguments, "--log-every", "1");
    SetOption(arguments, "--eval-every", "0");
    SetOption(arguments, "--checkpoint-every", "1000000");
    SLUICE_ASSIGN_OR_RETURN(const double wall, Probe(out, arguments));
    const double rate = SecondsPerToken(out / "codec" / "run", true);
    const double reference = SecondsPerToken(out / "codec" / "run-reference", true);
    const double tokens =
        run.steps > 0 ? static_cast<double>(run.train_tokens * kProbeSteps) / static_cast<double>(run.steps) : 0;
    return Kind{std::max(0.0, wall - (rate + reference) * tokens), rate + reference};
  }

  Result<double> ProbeEvaluation(const StudyRun& run) {
    Arguments arguments = run.eval;
    const std::string* limit = FindValue(arguments, "--max-tokens");
    const double most =
        limit != nullptr ? std::strtod(limit->c_str(), nullptr) : std::numeric_limits<double>::infinity();
    SetOption(arguments, "--model", "{model}");
    SetOption(arguments, "--codec", "fp16");
    SetOption(arguments, "--max-tokens", std::to_string(kProbeTokens));
    arguments.push_back("--no-baselines");
    if (const auto at = std::find(arguments.begin(), arguments.end(), "--reference"); at != arguments.end())
      arguments.erase(at, at + 2);
    SLUICE_ASSIGN_OR_RETURN(arguments, ExpandArguments(state_.plan(), run, arguments, ProbeContext()));
    SLUICE_ASSIGN_OR_RETURN(const double wall, Probe(folder_ / "probe" / "eval", arguments));
    double bytes = 0;
    if (const auto files = state_.plan().files.find("report-text"); files != state_.plan().files.end()) {
      std::error_code error;
      for (const auto& path : files->second) bytes += static_cast<double>(fs::file_size(path, error));
    }
    return wall * std::max(1.0, std::min(bytes / kBytesPerToken, most) / kProbeTokens);
  }

  // Wall-clock seconds of one call of the program; 0 when it failed, which the run itself will tell.
  Result<double> Probe(const fs::path& folder, const Arguments& arguments) {
    cost_.probed = true;
    SLUICE_RETURN_IF_ERROR(MakeFolder(folder));
    SLUICE_ASSIGN_OR_RETURN(ChildProcess child,
                            ChildProcess::Start(program_, arguments, folder / "probe.out", folder / "probe.log"));
    while (!child.Ended()) {
      if (InterruptRequested()) return Interrupted("stopped while the speed was measured");
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return child.end().ok() ? child.end().seconds : 0.0;
  }

  const StudyState& state_;
  const std::set<std::string>& wanted_;
  fs::path program_;
  fs::path folder_;
  StudyCost cost_;
  std::map<std::string, Kind> kinds_;
  double eval_seconds_ = -1;
};

}  // namespace

std::string TrainingKind(const StudyRun& run) {
  const bool reference = std::find(run.train.begin(), run.train.end(), "--no-reference") == run.train.end();
  return fmt::format("{}, {}{}", run.labels.codec, run.labels.mode,
                     run.labels.mode == "joint" && reference ? " with reference" : "");
}

std::string StudyCost::Line(const std::string& study, int jobs) const {
  std::string rate;
  for (const auto& [kind, tokens] : rates) rate += fmt::format("{}{} {:.0f}", rate.empty() ? "" : "; ", kind, tokens);
  return fmt::format(
      "study {}: {} runs to do, {} done; {:.2f} M training tokens, about {:.1f} core-minutes{}, {} at a time", study,
      runs, done, static_cast<double>(train_tokens) / 1e6, seconds / 60,
      rate.empty() ? "" : fmt::format(" ({}: {} tokens/s)", probed ? "probed" : "from finished runs", rate), jobs);
}

Result<StudyCost> EstimateCost(const StudyState& state, const std::set<std::string>& wanted, const fs::path& program) {
  return Estimator(state, wanted, program).Run();
}

}  // namespace sluice
