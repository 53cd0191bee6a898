// One thread looks ten times a second: which processes have ended, which runs are ready, what to show. A run's training
// and its evaluation each start when what they need is there, so that a failure stops only what reads its results.
// Everything that must survive is on disk before the next step is taken (run_folder.h), so there is nothing to save at
// the end and a kill at any moment loses what the training itself had not checkpointed.
#include "study/study_runner.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <regex>
#include <thread>

#include "base/file.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "study/child_process.h"
#include "study/study_cost.h"
#include "study/study_state.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr auto kPollInterval = std::chrono::milliseconds(100);
constexpr int kMostJobs = 2;
constexpr double kGiBOfAJob = 1.5;
constexpr size_t kLongestMessage = 2000;

// Held as long as the object lives; the kernel lets go of it when the process ends, however it ends.
class FolderLock {
 public:
  static Result<FolderLock> Take(const fs::path& folder) {
    const fs::path path = folder / ".lock";
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0) return IoError(path.string() + ": cannot be opened");
    if (::flock(file, LOCK_EX | LOCK_NB) != 0) {
      ::close(file);
      return InvalidArgument(folder.string() + ": another study is at work in this folder");
    }
    return FolderLock(file);
  }
  FolderLock(FolderLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  FolderLock& operator=(FolderLock&&) = delete;
  ~FolderLock() {
    if (file_ >= 0) ::close(file_);
  }

 private:
  explicit FolderLock(int file) : file_(file) {}
  int file_;
};

// The last line that says something: errors are one line, "sluice train: Internal: ...".
std::string LastLine(const std::string& text) {
  std::string last;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = text.find_first_of("\r\n", begin);
    if (end == std::string::npos) end = text.size();
    if (end > begin) last = text.substr(begin, std::min(end - begin, kLongestMessage));
    begin = end + 1;
  }
  return last;
}

// Steps that a training has logged, read from the end of its log.
int64_t LoggedSteps(const fs::path& log) {
  constexpr std::streamoff kTail = 4096;
  std::ifstream file(log, std::ios::binary | std::ios::ate);
  if (!file) return 0;
  file.seekg(std::max<std::streamoff>(0, static_cast<std::streamoff>(file.tellg()) - kTail));
  const std::string tail((std::istreambuf_iterator<char>(file)), {});
  const size_t at = tail.rfind("\"step\":");
  return at == std::string::npos ? 0 : std::strtoll(tail.c_str() + at + 7, nullptr, 10);
}

struct ActiveRun {
  const StudyRun* run;
  bool training;
  RunRecord record;
  ChildProcess child;
};

// A failed training goes on from its checkpoint, what was made from other inputs is of no use.
Status ClearRun(const StudyState& state, const std::string& name, const fs::path& study) {
  const fs::path folder = RunFolder(study, name);
  std::error_code error;
  if (state.Of(name).state == RunState::kStale) {
    // Out of the way in one step: half a folder could pass for a run that was just begun, with a checkpoint of another.
    fs::path discarded = folder;
    discarded += ".discarded";
    fs::remove_all(discarded, error);
    if (!error) fs::rename(folder, discarded, error);
    if (!error) fs::remove_all(discarded, error);
  } else {
    fs::remove(folder / "failed.json", error);
  }
  return error ? IoError(folder.string() + ": " + error.message()) : OkStatus();
}

class Runner {
 public:
  Runner(StudyState& state, std::set<std::string> wanted, const RunnerOptions& options, const StudyCost& cost)
      : state_(state),
        wanted_(std::move(wanted)),
        options_(options),
        cost_(cost),
        jobs_(state.plan().alone ? 1 : options.jobs) {}

  Status Work() {
    CatchInterrupts();
    if (!options_.quiet) bar_.emplace(state_.plan().study, static_cast<uint64_t>(std::max(1.0, cost_.seconds)));
    while (true) {
      SLUICE_RETURN_IF_ERROR(Collect());
      if (InterruptRequested()) return Stop();
      SLUICE_RETURN_IF_ERROR(StartReady());
      if (active_.empty()) return OkStatus();
      Show();
      std::this_thread::sleep_for(kPollInterval);
    }
  }

 private:
  fs::path FolderOf(const StudyRun& run) const { return RunFolder(options_.folder, run.name); }

  Status StartReady() {
    for (const StudyRun& run : state_.plan().runs) {
      if (active_.size() >= static_cast<size_t>(jobs_)) return OkStatus();
      const RunState state = state_.Of(run.name).state;
      if (!wanted_.contains(run.name) || (state != RunState::kFresh && state != RunState::kTrained)) continue;
      const bool running = std::any_of(active_.begin(), active_.end(), [&](const auto& a) { return a.run == &run; });
      if (!running && state_.Ready(run)) SLUICE_RETURN_IF_ERROR(StartRun(run, state == RunState::kFresh));
    }
    return OkStatus();
  }

  Status StartRun(const StudyRun& run, bool fresh) {
    SLUICE_RETURN_IF_ERROR(MakeFolder(FolderOf(run)));
    SLUICE_ASSIGN_OR_RETURN(auto record, ReadRunRecord(FolderOf(run)));
    if (!record) record.emplace();
    record->inputs = state_.InputsFor(run).ToJson();
    record->model = state_.model();
    SLUICE_ASSIGN_OR_RETURN(const auto train, ExpandArguments(state_.plan(), run, run.train, state_.context()));
    SLUICE_ASSIGN_OR_RETURN(const auto eval, ExpandArguments(state_.plan(), run, run.eval, state_.context()));
    record->train_command = train.empty() ? "" : CommandText(train);
    record->eval_command = CommandText(eval);
    SLUICE_RETURN_IF_ERROR(WriteRunRecord(FolderOf(run), *record));
    const bool training = fresh && !train.empty();
    const std::string stage = training ? "train" : "eval";
    std::vector<std::string> arguments = training ? train : eval;
    // Without a checkpoint it starts afresh, with one it goes on.
    if (training) arguments.push_back("--resume");
    const fs::path folder = FolderOf(run);
    SLUICE_ASSIGN_OR_RETURN(
        ChildProcess child,
        ChildProcess::Start(options_.program, arguments, folder / (stage + ".out"), folder / (stage + ".log")));
    active_.push_back({&run, training, std::move(*record), std::move(child)});
    return OkStatus();
  }

  Status Collect() {
    for (size_t i = 0; i < active_.size();) {
      if (!active_[i].child.Ended()) {
        ++i;
        continue;
      }
      ActiveRun ended = std::move(active_[i]);
      active_.erase(active_.begin() + static_cast<std::ptrdiff_t>(i));
      SLUICE_RETURN_IF_ERROR(Finish(std::move(ended)));
    }
    return OkStatus();
  }

  // What a process said on its standard output, if it ended well and that is what it should be.
  Result<std::string> Output(const ActiveRun& ended, const fs::path& folder, const std::string& stage) const {
    const ProcessEnd& end = ended.child.end();
    if (!end.ok()) {
      const auto log = ReadFile(folder / (stage + ".log"));
      const std::string said = log.ok() ? LastLine(*log) : "";
      if (end.signal != 0) return Internal(fmt::format("ended by signal {} {}", end.signal, said));
      return Internal(said.empty() ? fmt::format("exit code {}, no message", end.exit_code) : said);
    }
    SLUICE_ASSIGN_OR_RETURN(std::string text, ReadFile(folder / (stage + ".out")));
    if (!ended.training) SLUICE_RETURN_IF_ERROR(ParseFigures(text).status());
    return text;
  }

  Status Finish(ActiveRun ended) {
    const StudyRun& run = *ended.run;
    const fs::path folder = FolderOf(run);
    const std::string stage = ended.training ? "train" : "eval";
    // Told to stop, it did: not a failure.
    if (InterruptRequested() && !ended.child.end().ok()) return OkStatus();
    const Result<std::string> output = Output(ended, folder, stage);
    if (!output.ok()) {
      SLUICE_RETURN_IF_ERROR(WriteRunFailure(
          folder, {stage, ended.child.end().exit_code, ended.child.end().signal, output.status().message()}));
      Say(fmt::format("{}: {} failed: {}", run.name, stage, output.status().message()));
      return Settle(run);
    }
    (ended.training ? ended.record.train_seconds : ended.record.eval_seconds) += ended.child.end().seconds;
    SLUICE_RETURN_IF_ERROR(WriteRunRecord(folder, ended.record));
    SLUICE_RETURN_IF_ERROR(WriteFileAtomic(folder / (stage + ".json"), *output));
    std::error_code ignored;
    fs::remove(folder / (stage + ".out"), ignored);
    if (!ended.training) Say(Summary(run, *output));
    SLUICE_RETURN_IF_ERROR(Settle(run));
    if (const std::string waiting = ended.training ? state_.Waiting(run) : ""; !waiting.empty())
      Say(fmt::format("{}: trained, not measured yet: {}", run.name, waiting));
    return OkStatus();
  }

  Status Settle(const StudyRun& run) {
    past_.insert(run.name);
    SLUICE_RETURN_IF_ERROR(state_.Refresh(run.name));
    // A choice that was made now may not be the one that finished runs were made with.
    for (const std::string& name : wanted_) {
      if (!options_.replace || state_.Of(name).state != RunState::kStale) continue;
      SLUICE_RETURN_IF_ERROR(ClearRun(state_, name, options_.folder));
      SLUICE_RETURN_IF_ERROR(state_.Refresh(name));
    }
    return OkStatus();
  }

  static std::string Summary(const StudyRun& run, const std::string& output) {
    const Json json = Json::parse(output, nullptr, false);
    std::string text = run.name + ":";
    if (json.contains("bits_per_token"))
      text += fmt::format(" {:.1f} bits a token", json["bits_per_token"].get<double>());
    if (json.contains("perplexity")) text += fmt::format(", perplexity {:.3f}", json["perplexity"].get<double>());
    return text;
  }

  void Say(const std::string& line) const {
    if (options_.quiet) return;
    fmt::print(stderr, "{}{}\n", ::isatty(STDERR_FILENO) != 0 ? "\r\033[K" : "", line);
  }

  double Fraction(const ActiveRun& active) const {
    if (!active.training) return 1;
    const int64_t steps = LoggedSteps(FolderOf(*active.run) / "codec" / "run" / "metrics.jsonl");
    return active.run->steps > 0 ? std::min(1.0, static_cast<double>(steps) / static_cast<double>(active.run->steps))
                                 : 0;
  }

  void Show() {
    if (!bar_) return;
    const auto cost_of = [this](const std::string& name) {
      const auto at = cost_.run_seconds.find(name);
      return at == cost_.run_seconds.end() ? 0.0 : at->second;
    };
    double seconds = 0;
    for (const std::string& name : past_) seconds += cost_of(name);
    std::string note;
    for (const ActiveRun& active : active_) {
      const double share = Fraction(active);
      if (!past_.contains(active.run->name)) seconds += share * cost_of(active.run->name);
      note += fmt::format("{}{} {}", note.empty() ? "" : ", ", active.run->name,
                          active.training ? fmt::format("{:.0f} %", 100 * share) : "eval");
    }
    size_t done = 0, failed = 0;
    for (const std::string& name : wanted_) {
      done += state_.Of(name).state == RunState::kDone ? 1 : 0;
      failed += state_.Of(name).state == RunState::kFailed ? 1 : 0;
    }
    bar_->Update(static_cast<uint64_t>(seconds),
                 fmt::format("{}/{} runs{}  {}", done, wanted_.size(),
                             failed > 0 ? fmt::format(", {} failed", failed) : "", note));
  }

  // A training writes its checkpoint when it is told; a second signal from the user ends us and with us all of them.
  Status Stop() {
    bar_.reset();
    if (!active_.empty())
      Say(fmt::format("stopping {} runs after their checkpoints; Ctrl-C again: at once", active_.size()));
    for (const ActiveRun& active : active_) active.child.Send(SIGINT);
    while (!active_.empty()) {
      SLUICE_RETURN_IF_ERROR(Collect());
      std::this_thread::sleep_for(kPollInterval);
    }
    return Interrupted("stopped; the same command goes on where it was");
  }

  StudyState& state_;
  std::set<std::string> wanted_;
  const RunnerOptions& options_;
  const StudyCost& cost_;
  int jobs_;
  std::vector<ActiveRun> active_;
  std::optional<ProgressBar> bar_;
  std::set<std::string> past_;  // runs whose training, or all, has ended
};

// Runs that the options allow to make again. Errors: Mismatch naming those that they do not.
Result<std::vector<std::string>> RunsToClear(const StudyState& state, const std::set<std::string>& wanted,
                                             const RunnerOptions& options) {
  std::vector<std::string> names;
  std::string stale;
  for (const std::string& name : wanted) {
    const RunFolderState& run = state.Of(name);
    if (run.state == RunState::kStale && !options.replace)
      stale += fmt::format("{}{}: {}", stale.empty() ? "" : "; ", name, run.reason);
    if (run.state == RunState::kStale || (run.state == RunState::kFailed && options.retry)) names.push_back(name);
  }
  if (!stale.empty()) return Mismatch(stale + ". Choose another --out, or discard these runs with --replace");
  return names;
}

StudyOutcome OutcomeOf(const StudyState& state, const std::set<std::string>& wanted) {
  StudyOutcome outcome;
  for (const StudyRun& run : state.plan().runs) {
    const RunFolderState& now = state.Of(run.name);
    if (now.state == RunState::kDone) {
      outcome.done.push_back(run.name);
    } else if (now.state == RunState::kFailed) {
      outcome.failed[run.name] = now.reason;
    } else {
      const std::string blocked = state.Blocked(run);
      const bool trained = now.state == RunState::kTrained && !run.train.empty();
      outcome.missing[run.name] = now.state == RunState::kStale ? now.reason + "; --replace makes it again"
                                  : !blocked.empty()            ? (trained ? "trained, not measured: " : "") + blocked
                                  : wanted.contains(run.name)   ? "not made yet"
                                                                : kNotAskedFor;
    }
  }
  return outcome;
}

}  // namespace

Result<std::set<std::string>> SelectRuns(const StudyPlan& plan, const std::string& only) {
  std::set<std::string> wanted;
  std::vector<std::string> queue;
  try {
    const std::regex pattern(only);
    for (const StudyRun& run : plan.runs) {
      if (only.empty() || std::regex_search(run.name, pattern)) queue.push_back(run.name);
    }
  } catch (const std::regex_error& error) {
    return InvalidArgument(fmt::format("--only '{}': not a regular expression: {}", only, error.what()));
  }
  if (queue.empty()) return InvalidArgument(fmt::format("--only '{}' matches none of {} runs", only, plan.runs.size()));
  while (!queue.empty()) {
    const std::string name = queue.back();
    queue.pop_back();
    if (!wanted.insert(name).second) continue;
    for (const std::string& need : plan.Needs(*plan.FindRun(name))) queue.push_back(need);
  }
  return wanted;
}

int DefaultJobs() {
  int jobs = std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kMostJobs);
  std::ifstream info("/proc/meminfo");
  for (std::string line; std::getline(info, line);) {
    if (!line.starts_with("MemAvailable:")) continue;
    const double gib = std::strtod(line.c_str() + line.find(':') + 1, nullptr) / (1024 * 1024);
    jobs = std::clamp(static_cast<int>(gib / kGiBOfAJob), 1, jobs);
  }
  return jobs;
}

Result<StudyOutcome> RunStudy(const StudyPlan& plan, const RunnerOptions& given) {
  RunnerOptions options = given;
  if (options.jobs <= 0) options.jobs = DefaultJobs();
  SLUICE_RETURN_IF_ERROR(plan.Check());
  SLUICE_ASSIGN_OR_RETURN(const std::set<std::string> wanted, SelectRuns(plan, options.only));
  SLUICE_RETURN_IF_ERROR(MakeFolder(options.folder));
  SLUICE_ASSIGN_OR_RETURN(const FolderLock lock, FolderLock::Take(options.folder));
  SLUICE_ASSIGN_OR_RETURN(StudyState state, StudyState::Read(plan, options.folder, options.version));
  SLUICE_ASSIGN_OR_RETURN(const std::vector<std::string> again, RunsToClear(state, wanted, options));
  StudyState planned = state;
  for (const std::string& name : again) planned.Forget(name);
  CatchInterrupts();
  SLUICE_ASSIGN_OR_RETURN(const StudyCost cost, EstimateCost(planned, wanted, options.program));
  const std::string line = cost.Line(plan.study, plan.alone ? 1 : options.jobs);
  if (cost.runs > 0 && options.confirm && !options.confirm(line)) return Interrupted("not started");
  for (const std::string& name : again) SLUICE_RETURN_IF_ERROR(ClearRun(state, name, options.folder));
  if (!again.empty()) {
    SLUICE_ASSIGN_OR_RETURN(state, StudyState::Read(plan, options.folder, options.version));
  }
  Json description = plan.ToJson();
  description["command"] = options.command;
  description["version"] = options.version;
  for (const auto& [name, value] : options.machine) description["machine"][name] = value;
  SLUICE_RETURN_IF_ERROR(WriteFileAtomic(options.folder / "study.json", description.dump(1) + "\n"));
  if (cost.runs > 0) SLUICE_RETURN_IF_ERROR(Runner(state, wanted, options, cost).Work());
  return OutcomeOf(state, wanted);
}

}  // namespace sluice
