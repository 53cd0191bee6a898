// Names of runs carry every label that tells two runs of a study apart, so that a folder, a message and a row of a
// table say the same thing. Text for choices and text for figures are two placeholders: a tuning run cannot see the
// latter.
#include "study/plan_builder.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/hash.h"
#include "plain/plain_codec.h"

namespace sluice {
namespace {

std::string FolderName(std::string text) {
  for (char& c : text) {
    if (c == ':') c = '_';
    if (c == ' ') c = '+';
    if (c == '[' || c == ']' || c == '"') c = ',';
  }
  return text;
}

// A variant of many switches would make a name that no folder can have: its beginning stays, a hash tells it apart.
std::string ShortVariant(const std::string& variant) {
  constexpr size_t kLongest = 64, kKept = 48;
  if (variant.size() <= kLongest) return variant;
  return fmt::format("{}..{:08x}", variant.substr(0, kKept), Checksum32(AsBytes(variant)));
}

constexpr int64_t kMostStepsToLose = 50;

}  // namespace

PlanBuilder::PlanBuilder(std::string study, const StudyOptions& options, const ModelShape& shape)
    : options_(options), shape_(shape) {
  plan_.study = std::move(study);
  plan_.files["model"] = {options.model};
  if (!options.train_text.empty()) plan_.files["train-text"] = options.train_text;
  if (!options.select_text.empty()) plan_.files["select-text"] = options.select_text;
  if (!options.report_text.empty()) plan_.files["report-text"] = options.report_text;
}

std::vector<std::string> PlanBuilder::Measure(const std::string& text) const {
  std::vector<std::string> arguments = {"eval", "-q", "--json", "-t", "1", "--text", text};
  if (options_.context > 0) arguments.insert(arguments.end(), {"--context", std::to_string(options_.context)});
  if (options_.max_tokens > 0) arguments.insert(arguments.end(), {"--max-tokens", std::to_string(options_.max_tokens)});
  if (options_.drop_blank_lines) arguments.push_back("--drop-blank-lines");
  return arguments;
}

// `folder`: what a training wrote; `own_reference`: the reference lies there too.
std::vector<std::string> PlanBuilder::MeasureLearned(const LearnedRun& run, const std::string& text,
                                                     const std::string& folder, bool own_reference) const {
  const bool joint = run.mode == "joint";
  std::vector<std::string> arguments = Measure(text);
  const auto add = [&](std::initializer_list<std::string> more) { arguments.insert(arguments.end(), more); };
  add({"--model", joint ? folder + "/model" : "{model}", "--codec", joint ? folder + "/codec" : folder});
  if (own_reference) add({"--reference", folder + "/reference"});
  if (joint && !run.reference.empty()) add({"--reference", "{run:" + run.reference + "}/codec/reference"});
  if (!run.baselines) add({"--no-baselines"});
  return arguments;
}

StudyRun PlanBuilder::Describe(const LearnedRun& run, RunRole role, const std::string& suffix) const {
  StudyRun study_run;
  std::string variant = run.variant.empty() ? "" : "-" + ShortVariant(run.variant);
  study_run.name = FolderName(fmt::format("{}{}-{}-k{}-l{}-s{}{}", run.preset, variant, run.mode, run.cut,
                                          NumberText(run.lambda), run.seed, suffix));
  RunLabels& labels = study_run.labels;
  labels.role = role;
  labels.codec = run.preset;
  labels.mode = run.mode;
  labels.cut = run.cut;
  labels.lambda = run.lambda;
  labels.seed = run.seed;
  labels.switches = options_.switches;
  labels.switches.insert(labels.switches.end(), run.switches.begin(), run.switches.end());
  labels.series = run.variant.empty() ? run.preset : run.variant;
  return study_run;
}

std::string PlanBuilder::AddLearned(const LearnedRun& run, RunRole role) {
  const bool tuning = role == RunRole::kTuning, joint = run.mode == "joint";
  StudyRun added = Describe(run, role, tuning ? "-tune-lr" + run.rate : "");
  const int64_t context = options_.context > 0 ? options_.context : shape_.context;
  added.steps = options_.steps;
  added.train_tokens = options_.steps * options_.batch * context;
  added.train = {"train",
                 "-q",
                 "--json",
                 "-t",
                 "1",
                 "--model",
                 "{model}",
                 "--text",
                 "{train-text}",
                 "--out",
                 "{run}/codec",
                 "--preset",
                 run.preset,
                 "--mode",
                 run.mode,
                 "--cut",
                 std::to_string(run.cut),
                 "--lambda",
                 NumberText(run.lambda),
                 "--seed",
                 std::to_string(run.seed),
                 "--steps",
                 std::to_string(options_.steps),
                 "--batch",
                 std::to_string(options_.batch),
                 "--checkpoint-every",
                 std::to_string(std::clamp<int64_t>(options_.steps / 10, 1, kMostStepsToLose))};
  const auto add = [&](std::initializer_list<std::string> more) { added.train.insert(added.train.end(), more); };
  if (options_.context > 0) add({"--context", std::to_string(options_.context)});
  if (!run.rate.empty()) add({"--lr", run.rate});
  if (options_.allow_slow_blas) add({"--allow-slow-blas"});
  for (const std::string& assignment : added.labels.switches) add({"--set", assignment});
  const bool own_reference = joint && run.reference.empty() && !tuning;
  if (joint && !own_reference) add({"--no-reference"});

  added.eval = MeasureLearned(run, tuning ? "{select-text}" : "{report-text}", "{run}/codec", own_reference);
  plan_.runs.push_back(std::move(added));
  return plan_.runs.back().name;
}

std::string PlanBuilder::AddBest(const LearnedRun& run, const std::string& choice) {
  StudyRun added = Describe(run, RunRole::kPoint, "");
  added.eval = MeasureLearned(run, "{report-text}", "{best:" + choice + "}/codec", false);
  plan_.runs.push_back(std::move(added));
  return plan_.runs.back().name;
}

std::string PlanBuilder::AddPlain(const std::string& codec, int64_t cut) {
  StudyRun added;
  added.name = FolderName(fmt::format("plain-{}-k{}", codec, cut));
  added.labels.role = RunRole::kBaseline;
  added.labels.series = added.labels.codec = codec;
  added.labels.cut = cut;
  added.eval = Measure("{report-text}");
  added.eval.insert(added.eval.end(),
                    {"--model", "{model}", "--codec", codec, "--cut", std::to_string(cut), "--no-baselines"});
  plan_.runs.push_back(std::move(added));
  return plan_.runs.back().name;
}

std::string PlanBuilder::AddTuning(const LearnedRun& run, const std::vector<double>& rates) {
  StudyChoice choice;
  choice.name = FolderName(fmt::format("lr-{}-{}", run.preset, run.mode));
  choice.setting = fmt::format("learning rate of {}, {}", run.preset, run.mode);
  choice.lambda = run.lambda;
  choice.distortion = run.mode == "joint" ? "cross_entropy_nats" : "kl_nats";
  for (const double rate : rates) {
    LearnedRun candidate = run;
    candidate.rate = NumberText(rate);
    choice.candidates.emplace_back(candidate.rate, AddLearned(candidate, RunRole::kTuning));
  }
  plan_.choices.push_back(std::move(choice));
  return plan_.choices.back().name;
}

std::string NumberText(double value) { return fmt::format("{}", value); }

std::vector<std::string> ComparedCodecs() {
  std::vector<std::string> specs;
  for (const PlainCodecInfo& info : ListPlainCodecs()) {
    if (info.spec != "fp32") specs.emplace_back(info.spec);
  }
  for (const char* more : {"zstd:1", "zstd:19", "blk8:64", "lowrank:16", "lowrank:8"}) {
    if (std::find(specs.begin(), specs.end(), more) == specs.end()) specs.emplace_back(more);
  }
  return specs;
}

}  // namespace sluice
