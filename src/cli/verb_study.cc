#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "cli/light_verbs.h"
#include "cli/machine_checks.h"
#include "cli/verb.h"
#include "study/study_library.h"
#include "study/study_runner.h"
#include "study/study_summary.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

struct StudyRequest {
  std::string study;
  StudyOptions options;
  RunnerOptions runner;
  bool list = false, yes = false;
};

void AddOptions(CLI::App& app, StudyRequest& request) {
  StudyOptions& options = request.options;
  std::string names;
  for (const StudyInfo& info : ListStudies()) names += fmt::format("{}{}", names.empty() ? "" : ", ", info.name);
  app.add_option("study", request.study, names)->required();
  app.add_option("-o,--out", request.runner.folder, "Folder of the study; the same again goes on where it was")
      ->type_name("DIR")
      ->required();
  app.add_option("-m,--model", options.model, "Model folder (Hugging Face layout)")->type_name("DIR")->required();
  app.add_option("--text", options.train_text, "UTF-8 text files to train and fit on")->type_name("FILE");
  app.add_option("--select-text", options.select_text, "Text for choices; never reported")->type_name("FILE");
  app.add_option("--report-text", options.report_text, "Text for the figures; of lambada: the passages, JSON lines")
      ->type_name("FILE");
  app.add_option("--cut", options.cut, "Layers before the cut; -1: the middle")->check(CLI::Range(-1, kMostLayers));
  app.add_option("--cuts", options.cuts, "Cuts of layers and step; default: all between two layers")
      ->check(CLI::Range(0, kMostLayers));
  app.add_option("--mode", options.modes, "frozen, joint or both")->check(CLI::IsMember({"frozen", "joint"}));
  app.add_option("--presets", options.presets, "Learned codecs");
  app.add_option("--lambdas", options.lambdas, "Weights of the rate: one operating point each")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--rates", options.rates, "Learning rates to choose from; studies that do not choose take the first")
      ->check(CLI::PositiveNumber);
  app.add_option("--quantization-steps", options.steps_of_quantization,
                 "Steps of codecs without networks, in deviations of the hidden state")
      ->check(CLI::PositiveNumber);
  app.add_option("--set", options.switches, "Switch of every learned codec, name=value")->type_name("NAME=VALUE");
  app.add_option("--variant", options.variants, "ablation: one more row, 'name=value name=value'");
  app.add_option("--seeds", options.seeds, "Seeds of each point")->check(CLI::Range(1, 100));
  const char* budget = "Budget";
  app.add_option("--steps", options.steps, "Optimizer steps of a training")
      ->group(budget)
      ->check(CLI::Range(1, 100000000));
  app.add_option("--batch", options.batch, "Windows in one pass")->group(budget)->check(CLI::Range(1, 4096));
  app.add_option("-c,--context", options.context, "Tokens of a window; 0: the model's context")
      ->group(budget)
      ->check(CLI::Range(0, 1 << 20));
  app.add_option("--max-tokens", options.max_tokens, "Stop an evaluation after about this many; 0: all")
      ->group(budget)
      ->check(CLI::NonNegativeNumber);
  app.add_flag("--drop-blank-lines", options.drop_blank_lines, "Leave out blank lines of the texts that are measured")
      ->group(budget);
  app.add_flag("--allow-slow-blas", options.allow_slow_blas, "Train even on a BLAS that is 10 to 40 times too slow")
      ->group(budget);
  const char* work = "Work";
  app.add_option("-j,--jobs", request.runner.jobs, "Processes at once, one thread each; 0: two, fewer without memory")
      ->group(work)
      ->check(CLI::Range(0, 256));
  app.add_option("--only", request.runner.only, "Regular expression: make these runs and what they need")->group(work);
  app.add_flag("--list", request.list, "Show the runs and their commands, run nothing")->group(work);
  app.add_flag("--retry", request.runner.retry, "Try failed runs again")->group(work);
  app.add_flag("--replace", request.runner.replace, "Discard runs that were made with other inputs")->group(work);
  app.add_flag("-y,--yes", request.yes, "Do not ask before it starts")->group(work);
}

// The program itself, whichever way it was started.
Result<fs::path> ThisProgram() {
  std::error_code error;
  fs::path path = fs::read_symlink("/proc/self/exe", error);
  if (error) return IoError("cannot find this program: " + error.message());
  return path;
}

// Commands with their placeholders filled in, but for choices that are not made yet.
Status List(Verb& verb, const StudyPlan& plan, const RunnerOptions& runner) {
  SLUICE_ASSIGN_OR_RETURN(const auto wanted, SelectRuns(plan, runner.only));
  RunContext context{.study_folder = runner.folder, .values = {}, .winners = {}};
  for (const StudyChoice& choice : plan.choices) {
    context.values[choice.name] = "{choice:" + choice.name + "}";
    context.winners[choice.name] = "{best:" + choice.name + "}";
  }
  ordered_json list = ordered_json::array();
  std::string text;
  for (const StudyRun& run : plan.runs) {
    if (!wanted.contains(run.name)) continue;
    SLUICE_ASSIGN_OR_RETURN(const auto train, ExpandArguments(plan, run, run.train, context));
    SLUICE_ASSIGN_OR_RETURN(const auto eval, ExpandArguments(plan, run, run.eval, context));
    const std::string train_text = train.empty() ? "" : CommandText(train);
    list.push_back({{"run", run.name}, {"train", train_text}, {"eval", CommandText(eval)}});
    text += run.name + "\n" + (train.empty() ? "" : "  " + train_text + "\n") + "  " + CommandText(eval) + "\n";
  }
  verb.Print({{"study", plan.study}, {"runs", list}}, text + fmt::format("{} runs\n", list.size()));
  return OkStatus();
}

bool Confirm(const std::string& line, bool ask) {
  fmt::print(stderr, "{}\n", line);
  if (!ask || ::isatty(STDIN_FILENO) == 0) return true;
  fmt::print(stderr, "start? [Y/n] ");
  std::string answer;
  std::getline(std::cin, answer);
  return answer.empty() || answer[0] == 'y' || answer[0] == 'Y';
}

std::string OutcomeText(const StudyOutcome& outcome, const fs::path& folder) {
  std::string text = fmt::format("{} runs done, {} failed, {} missing; figures in {}\n", outcome.done.size(),
                                 outcome.failed.size(), outcome.missing.size(), (folder / "summary.json").string());
  for (const auto& [run, reason] : outcome.failed) text += fmt::format("  failed   {}: {}\n", run, reason);
  size_t unasked = 0;
  for (const auto& [run, reason] : outcome.missing) {
    if (reason == kNotAskedFor) {
      ++unasked;
    } else {
      text += fmt::format("  missing  {}: {}\n", run, reason);
    }
  }
  if (unasked > 0) text += fmt::format("  missing  {} runs that --only left out\n", unasked);
  if (!outcome.failed.empty()) text += "  --retry tries failed runs again\n";
  return text;
}

Status Work(Verb& verb, StudyRequest& request) {
  SLUICE_ASSIGN_OR_RETURN(const StudyPlan plan, MakeStudyPlan(request.study, request.options));
  if (request.list) return List(verb, plan, request.runner);
  SLUICE_ASSIGN_OR_RETURN(request.runner.program, ThisProgram());
  request.runner.version = ProgramVersion();
  request.runner.machine = DescribeMachine();
  request.runner.quiet = verb.quiet();
  request.runner.confirm = [&](const std::string& line) { return verb.quiet() || Confirm(line, !request.yes); };
  SLUICE_ASSIGN_OR_RETURN(const StudyOutcome outcome, RunStudy(plan, request.runner));
  SLUICE_ASSIGN_OR_RETURN(const StudySummary summary, SummarizeStudy(request.runner.folder));
  SLUICE_RETURN_IF_ERROR(WriteSummary(summary));
  verb.Print({{"out", request.runner.folder.string()},
              {"done", outcome.done},
              {"failed", outcome.failed},
              {"missing", outcome.missing}},
             OutcomeText(outcome, request.runner.folder));
  if (outcome.failed.empty()) return OkStatus();
  return Internal(fmt::format("{} of {} runs failed", outcome.failed.size(), plan.runs.size()));
}

}  // namespace

int RunStudyVerb(int argc, char** argv) {
  std::string studies;
  for (const StudyInfo& info : ListStudies()) studies += fmt::format("\n  {:<16} {}", info.name, info.summary);
  Verb verb(
      "study", "Run a study: many trainings and measurements of this program, resumable, two at a time.\n" + studies,
      "  sluice study rate-distortion --model DIR --text train.txt --select-text a.txt --report-text b.txt --out S\n"
      "  sluice study layers --model DIR --text train.txt --report-text b.txt --out S --steps 300 --list\n"
      "  sluice study ablation ... --out S --only 'last_mlp|attention' --jobs 1\n"
      "  sluice report S --html S/report.html\n");
  StudyRequest request;
  AddOptions(verb.app(), request);
  request.runner.command = CommandText({argv, argv + argc});
  return verb.Run(argc, argv, [&] { return Work(verb, request); });
}

}  // namespace sluice
