// A study is a list of runs with placeholders in their arguments. The placeholders say what a run depends on, so the
// order of work follows from the arguments themselves: a run that mentions {choice:lr} waits for the candidates of that
// choice, and nobody writes the order down a second time.
#include "study/study_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kNameLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-=+,";
constexpr size_t kLongestName = 120;
constexpr std::pair<RunRole, std::string_view> kRoles[] = {{RunRole::kPoint, "point"},
                                                           {RunRole::kTuning, "tuning"},
                                                           {RunRole::kBaseline, "baseline"},
                                                           {RunRole::kTiming, "timing"}};

struct Placeholder {
  size_t begin = 0, end = 0;  // of "{...}" in the argument
  std::string kind, name;     // "run", "NAME"
};

// The placeholders of one argument, in order. A brace that opens nothing known is plain text, as in a list of widths.
std::vector<Placeholder> FindPlaceholders(const std::string& argument) {
  std::vector<Placeholder> found;
  for (size_t open = argument.find('{'); open != std::string::npos; open = argument.find('{', open + 1)) {
    const size_t close = argument.find('}', open);
    if (close == std::string::npos) break;
    const std::string inner = argument.substr(open + 1, close - open - 1);
    const size_t colon = inner.find(':');
    found.push_back(
        {open, close + 1, inner.substr(0, colon), colon == std::string::npos ? "" : inner.substr(colon + 1)});
  }
  return found;
}

std::vector<Placeholder> PlaceholdersOf(const std::vector<std::string>& arguments) {
  std::vector<Placeholder> all;
  for (const std::string& argument : arguments) {
    for (Placeholder& item : FindPlaceholders(argument)) all.push_back(std::move(item));
  }
  return all;
}

std::vector<Placeholder> PlaceholdersOf(const StudyRun& run) {
  std::vector<Placeholder> all = PlaceholdersOf(run.train);
  for (Placeholder& item : PlaceholdersOf(run.eval)) all.push_back(std::move(item));
  return all;
}

bool IsChoice(const Placeholder& item) { return item.kind == "choice" || item.kind == "best"; }

// The runs behind placeholders, in the order of their first mention.
std::vector<std::string> RunsBehind(const StudyPlan& plan, const std::vector<Placeholder>& items) {
  std::vector<std::string> runs;
  const auto add = [&](const std::string& name) {
    if (std::find(runs.begin(), runs.end(), name) == runs.end()) runs.push_back(name);
  };
  for (const Placeholder& item : items) {
    if (item.kind == "run" && !item.name.empty()) add(item.name);
    if (!IsChoice(item)) continue;
    if (const StudyChoice* choice = plan.FindChoice(item.name)) {
      for (const auto& candidate : choice->candidates) add(candidate.second);
    }
  }
  return runs;
}

Status CheckName(const std::string& name) {
  const bool sound = !name.empty() && name.size() <= kLongestName && name.front() != '.' && name.front() != '-' &&
                     name.find_first_not_of(kNameLetters) == std::string::npos;
  return sound ? OkStatus() : InvalidArgument(fmt::format("run '{}': not a name that a folder can have", name));
}

Status CheckPlaceholder(const StudyPlan& plan, const StudyRun& run, const Placeholder& item) {
  const auto unknown = [&](std::string_view what) {
    return InvalidArgument(fmt::format("run {}: {} '{}' is not in the plan", run.name, what, item.name));
  };
  if (item.kind == "run" && !item.name.empty() && plan.FindRun(item.name) == nullptr) return unknown("run");
  if (IsChoice(item) && plan.FindChoice(item.name) == nullptr) return unknown("choice");
  return OkStatus();
}

// Marks a run and all it needs; a run met again on its own path is a circle.
Status Walk(const StudyPlan& plan, const StudyRun& run, std::set<std::string>& path, std::set<std::string>& done) {
  if (done.contains(run.name)) return OkStatus();
  if (!path.insert(run.name).second) return InvalidArgument(fmt::format("run {} waits for itself", run.name));
  for (const std::string& need : plan.Needs(run)) SLUICE_RETURN_IF_ERROR(Walk(plan, *plan.FindRun(need), path, done));
  path.erase(run.name);
  done.insert(run.name);
  return OkStatus();
}

Json LabelsToJson(const RunLabels& labels) {
  Json json = {{"role", RunRoleName(labels.role)}, {"series", labels.series}, {"codec", labels.codec}};
  if (!labels.mode.empty()) json["mode"] = labels.mode;
  json["cut"] = labels.cut;
  if (labels.lambda > 0) json["lambda"] = labels.lambda;
  if (labels.step > 0) json["step"] = labels.step;
  if (labels.seed > 0) json["seed"] = labels.seed;
  if (!labels.switches.empty()) json["switches"] = labels.switches;
  return json;
}

Result<RunLabels> LabelsFromJson(const Json& json) {
  RunLabels labels;
  const std::string role = json.at("role").get<std::string>();
  const auto known =
      std::find_if(std::begin(kRoles), std::end(kRoles), [&](const auto& r) { return r.second == role; });
  if (known == std::end(kRoles)) return Corrupt("role '" + role + "' is not known");
  labels.role = known->first;
  labels.series = json.at("series").get<std::string>();
  labels.codec = json.at("codec").get<std::string>();
  labels.mode = json.value("mode", "");
  labels.cut = json.at("cut").get<int64_t>();
  labels.lambda = json.value("lambda", 0.0);
  labels.step = json.value("step", 0.0);
  labels.seed = json.value("seed", uint64_t{0});
  labels.switches = json.value("switches", std::vector<std::string>());
  return labels;
}

Result<StudyPlan> ParsePlan(const Json& json) {
  StudyPlan plan;
  plan.study = json.at("study").get<std::string>();
  plan.alone = json.value("alone", false);
  for (const auto& [name, paths] : json.at("files").items()) {
    for (const auto& path : paths) plan.files[name].emplace_back(path.get<std::string>());
  }
  for (const Json& item : json.at("choices")) {
    StudyChoice choice{.name = item.at("name"),
                       .setting = item.at("setting"),
                       .lambda = item.at("lambda"),
                       .distortion = item.at("distortion"),
                       .candidates = {}};
    for (const auto& [value, run] : item.at("candidates").items()) choice.candidates.emplace_back(value, run);
    plan.choices.push_back(std::move(choice));
  }
  for (const Json& item : json.at("runs")) {
    StudyRun run{.name = item.at("name"), .labels = {}, .train = item.at("train"), .eval = item.at("eval")};
    SLUICE_ASSIGN_OR_RETURN(run.labels, LabelsFromJson(item.at("labels")));
    run.train_tokens = item.value("train_tokens", int64_t{0});
    run.steps = item.value("steps", int64_t{0});
    plan.runs.push_back(std::move(run));
  }
  return plan;
}

}  // namespace

std::string_view RunRoleName(RunRole role) {
  for (const auto& [value, name] : kRoles) {
    if (value == role) return name;
  }
  return "unknown";
}

const StudyRun* StudyPlan::FindRun(const std::string& name) const {
  const auto at = std::find_if(runs.begin(), runs.end(), [&](const StudyRun& run) { return run.name == name; });
  return at == runs.end() ? nullptr : &*at;
}

const StudyChoice* StudyPlan::FindChoice(const std::string& name) const {
  const auto at = std::find_if(choices.begin(), choices.end(), [&](const StudyChoice& c) { return c.name == name; });
  return at == choices.end() ? nullptr : &*at;
}

std::vector<std::string> StudyPlan::Needs(const StudyRun& run) const { return RunsBehind(*this, PlaceholdersOf(run)); }

std::vector<std::string> StudyPlan::NeedsToTrain(const StudyRun& run) const {
  std::vector<Placeholder> items = PlaceholdersOf(run.train);
  for (Placeholder& item : PlaceholdersOf(run.eval)) {
    if (IsChoice(item)) items.push_back(std::move(item));
  }
  return RunsBehind(*this, items);
}

Status StudyPlan::Check() const {
  std::set<std::string> names;
  for (const StudyRun& run : runs) {
    SLUICE_RETURN_IF_ERROR(CheckName(run.name));
    if (!names.insert(run.name).second) return InvalidArgument(fmt::format("two runs have the name {}", run.name));
    if (run.eval.empty()) return InvalidArgument(fmt::format("run {} measures nothing", run.name));
  }
  for (const StudyChoice& choice : choices) {
    for (const auto& [value, run] : choice.candidates) {
      if (FindRun(run) == nullptr)
        return InvalidArgument(fmt::format("choice {}: run '{}' is not in the plan", choice.name, run));
    }
  }
  std::set<std::string> done;
  for (const StudyRun& run : runs) {
    for (const Placeholder& item : PlaceholdersOf(run)) SLUICE_RETURN_IF_ERROR(CheckPlaceholder(*this, run, item));
    std::set<std::string> path;
    SLUICE_RETURN_IF_ERROR(Walk(*this, run, path, done));
  }
  return OkStatus();
}

Json StudyPlan::ToJson() const {
  Json json = {{"study", study},
               {"alone", alone},
               {"files", Json::object()},
               {"choices", Json::array()},
               {"runs", Json::array()}};
  for (const auto& [name, paths] : files) {
    for (const auto& path : paths) json["files"][name].push_back(path.string());
  }
  for (const StudyChoice& choice : choices) {
    Json candidates = Json::object();
    for (const auto& [value, run] : choice.candidates) candidates[value] = run;
    json["choices"].push_back({{"name", choice.name},
                               {"setting", choice.setting},
                               {"lambda", choice.lambda},
                               {"distortion", choice.distortion},
                               {"candidates", candidates}});
  }
  for (const StudyRun& run : runs) {
    json["runs"].push_back({{"name", run.name},
                            {"labels", LabelsToJson(run.labels)},
                            {"train", run.train},
                            {"eval", run.eval},
                            {"train_tokens", run.train_tokens},
                            {"steps", run.steps}});
  }
  return json;
}

Result<StudyPlan> StudyPlan::FromJson(const Json& json) {
  try {
    SLUICE_ASSIGN_OR_RETURN(StudyPlan plan, ParsePlan(json));
    const Status sound = plan.Check();
    if (!sound.ok()) return Corrupt("plan of a study: " + sound.message());
    return plan;
  } catch (const nlohmann::json::exception& error) {
    return Corrupt(std::string("plan of a study: ") + error.what());
  }
}

std::optional<std::vector<std::string>> UsedRuns(const StudyPlan& plan, const StudyRun& run,
                                                 const RunContext& context) {
  std::vector<std::string> used;
  for (const Placeholder& item : PlaceholdersOf(run)) {
    std::string name = item.kind == "run" ? item.name : "";
    if (IsChoice(item) && plan.FindChoice(item.name) != nullptr) {
      const auto winner = context.winners.find(item.name);
      if (winner == context.winners.end()) return std::nullopt;
      if (item.kind == "best") name = winner->second;
    }
    if (!name.empty() && std::find(used.begin(), used.end(), name) == used.end()) used.push_back(std::move(name));
  }
  return used;
}

std::filesystem::path RunFolder(const std::filesystem::path& study_folder, const std::string& run) {
  return study_folder / "runs" / run;
}

namespace {

Result<std::string> ValueOf(const StudyRun& run, const Placeholder& item, const RunContext& context) {
  const auto look_up = [&](const std::map<std::string, std::string>& map) -> Result<std::string> {
    const auto at = map.find(item.name);
    if (at == map.end()) return InvalidArgument(fmt::format("run {}: choice {} is not made yet", run.name, item.name));
    return at->second;
  };
  if (item.kind == "run") return RunFolder(context.study_folder, item.name.empty() ? run.name : item.name).string();
  if (item.kind == "choice") return look_up(context.values);
  SLUICE_ASSIGN_OR_RETURN(const std::string winner, look_up(context.winners));
  return RunFolder(context.study_folder, winner).string();
}

}  // namespace

Result<std::vector<std::string>> ExpandArguments(const StudyPlan& plan, const StudyRun& run,
                                                 const std::vector<std::string>& arguments, const RunContext& context) {
  std::vector<std::string> expanded;
  for (const std::string& argument : arguments) {
    const std::vector<Placeholder> items = FindPlaceholders(argument);
    const bool whole = items.size() == 1 && items[0].begin == 0 && items[0].end == argument.size();
    if (const auto files = plan.files.find(whole ? items[0].kind : ""); files != plan.files.end()) {
      for (const auto& path : files->second) expanded.push_back(path.string());
      continue;
    }
    std::string text = argument;
    for (auto item = items.rbegin(); item != items.rend(); ++item) {
      if (item->kind != "run" && item->kind != "choice" && item->kind != "best") continue;
      SLUICE_ASSIGN_OR_RETURN(const std::string value, ValueOf(run, *item, context));
      text.replace(item->begin, item->end - item->begin, value);
    }
    expanded.push_back(std::move(text));
  }
  return expanded;
}

std::string CommandText(const std::vector<std::string>& arguments) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=+,@%";
  std::string line = "sluice";
  for (const std::string& argument : arguments) {
    if (!argument.empty() && argument.find_first_not_of(kPlain) == std::string::npos) {
      line += " " + argument;
      continue;
    }
    line += " '";
    for (const char c : argument) line += c == '\'' ? std::string("'\\''") : std::string(1, c);
    line += "'";
  }
  return line;
}

}  // namespace sluice
