// A summary never fills a gap: a run that failed or is missing is listed, its seed leaves the means and says so, and a
// comparison that lacks points is a reason instead of a number. Points over seeds get Student intervals; BD-rates are
// paired seed by seed, since seeds share the order of the training text.
#include "study/study_summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "base/file.h"
#include "study/run_folder.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kAnchor = "paper";

Result<RunResult> ReadRun(const StudyRun& run, const fs::path& folder) {
  RunResult result{.name = run.name, .labels = run.labels, .status = "missing", .reason = "not made yet"};
  SLUICE_ASSIGN_OR_RETURN(const auto record, ReadRunRecord(folder));
  if (!record) return result;
  result.train_command = record->train_command;
  result.eval_command = record->eval_command;
  result.model = record->model;
  result.train_seconds = record->train_seconds;
  result.inputs = record->inputs;
  if (record->inputs.value("train", Json()) != Json(run.train) ||
      record->inputs.value("eval", Json()) != Json(run.eval)) {
    result.status = "other inputs";
    result.reason = "its folder holds a run with other arguments";
    return result;
  }
  if (fs::exists(folder / "failed.json")) {
    SLUICE_ASSIGN_OR_RETURN(const RunFailure failure, ReadRunFailure(folder));
    result.status = "failed";
    result.reason = fmt::format("{}: {}", failure.stage, failure.message);
    return result;
  }
  if (!fs::exists(folder / "eval.json")) {
    if (fs::exists(folder / "train.json")) result.reason = "trained, not measured yet";
    return result;
  }
  SLUICE_ASSIGN_OR_RETURN(result.figures, ReadFigures(folder));
  result.status = "done";
  result.reason.clear();
  return result;
}

// A model, a text or a program that was changed between two runs would otherwise be a difference between two codecs.
Status CheckOneSource(const StudySummary& summary) {
  std::map<std::string, std::pair<std::string, std::string>> first;  // what: its value, and the run that has it
  for (const RunResult& run : summary.runs) {
    if (!run.done()) continue;
    std::map<std::string, std::string> sources = {{"the model", run.model},
                                                  {"the program's version", run.inputs.value("version", "")}};
    for (const auto& [name, hash] : run.inputs.at("files").items())
      sources["the content of " + name] = hash.get<std::string>();
    for (const auto& [what, value] : sources) {
      const auto& [known, other] = first.try_emplace(what, value, run.name).first->second;
      if (known == value) continue;
      return Mismatch(fmt::format("{}: {} is {} in run {} and {} in run {}; make one of them again with --replace",
                                  summary.folder.string(), what, known.substr(0, 16), other, value.substr(0, 16),
                                  run.name));
    }
  }
  return OkStatus();
}

// Runs made with a choice that is not the best of its candidates now do not belong to this study.
void LeaveOutOtherChoices(StudySummary& summary) {
  for (const StudyChoice& choice : summary.plan.choices) {
    const auto scored = ScoreCandidates(choice, summary.folder);
    const ScoredCandidate* best = BestCandidate(scored);
    for (RunResult& run : summary.runs) {
      if (!run.done() || best == nullptr) continue;
      const std::string made = run.inputs.at("choices").value(choice.name, best->value);
      if (made == best->value) continue;
      run.status = "other inputs";
      run.reason = fmt::format("{} was {} when it was made, now {} is the best", choice.setting, made, best->value);
    }
  }
}

std::string MetricOf(const std::vector<RunResult>& runs) {
  for (const RunResult& run : runs) {
    if (run.Figure("last_word_nats")) return "last_word_nats";
  }
  return "perplexity";
}

bool IsPoint(const RunResult& run) { return run.labels.role == RunRole::kPoint; }

// Curves by mode, cut and series in the order of the plan; plain codecs are points by themselves and make none.
class CurveMaker {
 public:
  explicit CurveMaker(StudySummary& summary) : summary_(summary) {}

  Status Make() {
    for (const RunResult& run : summary_.runs) {
      if (!IsPoint(run)) continue;
      const Key key{run.labels.mode, run.labels.cut, run.labels.series};
      if (!groups_.contains(key)) order_.push_back(key);
      groups_[key][{run.labels.lambda, run.labels.step}].push_back(&run);
    }
    for (const Key& key : order_) SLUICE_RETURN_IF_ERROR(MakeCurve(key));
    return OkStatus();
  }

  // The curve of each seed that has all of the points that any seed has.
  std::map<uint64_t, RateCurve> BySeed(const StudyCurve& curve) const {
    std::map<uint64_t, RateCurve> seeds;
    const auto& points = groups_.at({curve.mode, curve.cut, curve.series});
    size_t most = 0;
    for (const auto& [setting, runs] : points) {
      for (const RunResult* run : runs) {
        const auto rate = run->Figure("bits_per_token"), quality = run->Figure(summary_.metric);
        if (!rate || !quality) continue;
        seeds[run->labels.seed].push_back({*rate, *quality});
        most = std::max(most, seeds[run->labels.seed].size());
      }
    }
    std::erase_if(seeds, [&](const auto& seed) { return seed.second.size() < most; });
    return seeds;
  }

 private:
  using Key = std::tuple<std::string, int64_t, std::string>;
  using Setting = std::pair<double, double>;  // lambda, step

  Status MakeCurve(const Key& key) {
    StudyCurve curve{.series = std::get<2>(key), .mode = std::get<0>(key), .cut = std::get<1>(key), .points = {}};
    std::map<std::pair<size_t, size_t>, std::vector<double>> incomplete;  // seeds there and planned -> lambdas
    for (const auto& [setting, runs] : groups_[key]) {
      CurvePoint point{.lambda = setting.first, .step = setting.second};
      point.planned = runs.size();
      std::vector<double> rates, qualities;
      for (const RunResult* run : runs) {
        const auto rate = run->Figure("bits_per_token"), quality = run->Figure(summary_.metric);
        if (!rate || !quality) continue;
        point.seeds.push_back(run->labels.seed);
        rates.push_back(*rate);
        qualities.push_back(*quality);
      }
      if (rates.empty()) continue;
      if (rates.size() < runs.size()) incomplete[{rates.size(), runs.size()}].push_back(point.lambda);
      SLUICE_ASSIGN_OR_RETURN(point.rate, MeanOverSeeds(rates));
      SLUICE_ASSIGN_OR_RETURN(point.quality, MeanOverSeeds(qualities));
      curve.points.push_back(std::move(point));
    }
    for (const auto& [seeds, lambdas] : incomplete) {
      summary_.notes.push_back(fmt::format("{} {} at lambda {:g}: {} of {} seeds; the mean is theirs", curve.series,
                                           curve.mode, fmt::join(lambdas, ", "), seeds.first, seeds.second));
    }
    std::sort(curve.points.begin(), curve.points.end(),
              [](const CurvePoint& a, const CurvePoint& b) { return a.rate.mean < b.rate.mean; });
    if (!curve.points.empty()) summary_.curves.push_back(std::move(curve));
    return OkStatus();
  }

  StudySummary& summary_;
  std::map<Key, std::map<Setting, std::vector<const RunResult*>>> groups_;
  std::vector<Key> order_;
};

// Pairs the seeds that both have; what is not trained has no seed (0) and pairs with every other.
void Pair(const std::map<uint64_t, RateCurve>& anchor, const std::map<uint64_t, RateCurve>& test,
          std::vector<RateCurve>& anchors, std::vector<RateCurve>& tests) {
  const auto seedless = [](const auto& curves) { return curves.size() == 1 && curves.contains(0); };
  if (seedless(anchor) || seedless(test)) {
    for (const auto& one : anchor) anchors.push_back(one.second);
    for (const auto& one : test) tests.push_back(one.second);
    return;
  }
  for (const auto& [seed, curve] : anchor) {
    const auto at = test.find(seed);
    if (at == test.end()) continue;
    anchors.push_back(curve);
    tests.push_back(at->second);
  }
}

void Compare(const CurveMaker& curves, const StudyCurve& anchor, const StudyCurve& test, StudySummary& summary) {
  std::vector<RateCurve> anchors, tests;
  Pair(curves.BySeed(anchor), curves.BySeed(test), anchors, tests);
  BdRow row{.series = test.series, .mode = test.mode, .cut = test.cut};
  const auto take = [&](BdFit fit, std::optional<BdOverSeeds>& value, std::string& reason) {
    if (anchors.empty()) {
      reason = "no seed of which both have all points";
      return;
    }
    const auto result = BdRateOverSeeds(anchors, tests, {fit, MetricSense::kLowerIsBetter});
    if (result.ok()) {
      value = *result;
    } else {
      reason = result.status().message();
    }
  };
  take(BdFit::kPchip, row.pchip, row.pchip_reason);
  take(BdFit::kCubic, row.cubic, row.cubic_reason);
  summary.bd_rates.push_back(std::move(row));
}

// Every curve with several points against the anchor at its cut and in its mode; what is not trained against frozen.
void CompareAll(const CurveMaker& curves, StudySummary& summary) {
  for (const StudyCurve& test : summary.curves) {
    if (test.series == summary.anchor || test.points.size() < 2) continue;
    for (const StudyCurve& anchor : summary.curves) {
      const bool fits = anchor.series == summary.anchor && anchor.cut == test.cut && anchor.points.size() > 1 &&
                        anchor.mode == (test.mode.empty() ? "frozen" : test.mode);
      if (fits) Compare(curves, anchor, test, summary);
    }
  }
}

Json MeanJson(const SeedMean& mean) {
  Json json = {{"mean", mean.mean}, {"samples", mean.samples}};
  if (mean.interval) json["interval95"] = {mean.interval->low, mean.interval->high};
  return json;
}

Json BdJson(const std::optional<BdOverSeeds>& value, const std::string& reason) {
  if (!value) return {{"refused", reason}};
  Json json = {{"percent", value->percent},
               {"by_seed", value->by_seed},
               {"least_overlap", value->least_overlap},
               {"dominated_points_left_out", value->dropped}};
  if (value->interval) json["interval95"] = {value->interval->low, value->interval->high};
  return json;
}

std::string CsvCell(std::string text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string CsvRow(const StudySummary& summary, const RunResult& run, const std::vector<std::string>& keys) {
  const RunLabels& labels = run.labels;
  std::string row = fmt::format("{},{},{},{},{},{},{},{},{},{:g},{:g},{},{}", summary.plan.study, run.name, run.status,
                                CsvCell(run.reason), RunRoleName(labels.role), CsvCell(labels.series),
                                CsvCell(labels.codec), labels.mode, labels.cut, labels.lambda, labels.step, labels.seed,
                                CsvCell(fmt::format("{}", fmt::join(labels.switches, " "))));
  for (const std::string& key : keys) {
    const auto value = run.Figure(key);
    row += value ? fmt::format(",{:.10g}", *value) : ",";
  }
  return row + fmt::format(",{},{}\r\n", CsvCell(run.train_command), CsvCell(run.eval_command));
}

}  // namespace

std::optional<double> RunResult::Figure(const std::string& key) const {
  if (!done()) return std::nullopt;
  const auto at = figures.find(key);
  if (at == figures.end() || !at->is_number()) return std::nullopt;
  return at->get<double>();
}

std::vector<const RunResult*> StudySummary::Done(RunRole role) const {
  std::vector<const RunResult*> list;
  for (const RunResult& run : runs) {
    if (run.done() && run.labels.role == role) list.push_back(&run);
  }
  return list;
}

Result<StudySummary> SummarizeStudy(const fs::path& folder) {
  StudySummary summary;
  summary.folder = folder;
  SLUICE_ASSIGN_OR_RETURN(const Json json, ReadJsonObject(folder / "study.json"));
  SLUICE_ASSIGN_OR_RETURN(summary.plan, StudyPlan::FromJson(json));
  try {
    summary.command = json.value("command", "");
    summary.version = json.value("version", "");
    const Json machine = json.value("machine", Json::object());
    for (const auto& [name, value] : machine.items()) summary.machine.emplace_back(name, value);
  } catch (const nlohmann::json::exception& error) {
    return Corrupt(fmt::format("{}: {}", (folder / "study.json").string(), error.what()));
  }
  std::map<std::string, size_t> counts;
  for (const StudyRun& run : summary.plan.runs) {
    SLUICE_ASSIGN_OR_RETURN(RunResult result, ReadRun(run, RunFolder(folder, run.name)));
    if (result.done() && summary.model.empty()) summary.model = result.model;
    summary.runs.push_back(std::move(result));
  }
  LeaveOutOtherChoices(summary);
  for (const RunResult& run : summary.runs) ++counts[run.status];
  SLUICE_RETURN_IF_ERROR(CheckOneSource(summary));
  for (const auto& [status, count] : counts) {
    if (status != "done") summary.notes.push_back(fmt::format("{} of {} runs: {}", count, summary.runs.size(), status));
  }
  summary.metric = MetricOf(summary.runs);
  summary.anchor = kAnchor;
  CurveMaker curves(summary);
  SLUICE_RETURN_IF_ERROR(curves.Make());
  CompareAll(curves, summary);
  return summary;
}

Json StudySummary::ToJson() const {
  Json json = {{"study", plan.study}, {"command", command}, {"version", version}, {"model", model},
               {"metric", metric},    {"anchor", anchor},   {"notes", notes},     {"machine", Json::object()}};
  for (const auto& [name, value] : machine) json["machine"][name] = value;
  json["curves"] = Json::array();
  for (const StudyCurve& curve : curves) {
    Json points = Json::array();
    for (const CurvePoint& point : curve.points) {
      points.push_back({{"lambda", point.lambda},
                        {"step", point.step},
                        {"seeds", point.seeds},
                        {"planned_seeds", point.planned},
                        {"bits_per_token", MeanJson(point.rate)},
                        {metric, MeanJson(point.quality)}});
    }
    json["curves"].push_back({{"series", curve.series}, {"mode", curve.mode}, {"cut", curve.cut}, {"points", points}});
  }
  json["bd_rates"] = Json::array();
  for (const BdRow& row : bd_rates) {
    json["bd_rates"].push_back({{"series", row.series},
                                {"mode", row.mode},
                                {"cut", row.cut},
                                {"pchip", BdJson(row.pchip, row.pchip_reason)},
                                {"cubic", BdJson(row.cubic, row.cubic_reason)}});
  }
  json["choices"] = Json::array();
  for (const StudyChoice& choice : plan.choices) {
    Json candidates = Json::array();
    const auto scored = ScoreCandidates(choice, folder);
    const ScoredCandidate* best = BestCandidate(scored);
    for (const auto& one : scored)
      candidates.push_back({{"value", one.value}, {"run", one.run}, {"score", one.score ? Json(*one.score) : Json()}});
    json["choices"].push_back({{"setting", choice.setting},
                               {"lambda", choice.lambda},
                               {"chosen", best != nullptr ? Json(best->value) : Json()},
                               {"candidates", candidates}});
  }
  json["runs"] = Json::array();
  const Json planned = plan.ToJson()["runs"];
  for (size_t i = 0; i < runs.size(); ++i) {
    const RunResult& run = runs[i];
    Json item = {{"name", run.name}, {"status", run.status}, {"labels", planned[i]["labels"]}};
    if (!run.reason.empty()) item["reason"] = run.reason;
    if (run.done()) item["figures"] = run.figures;
    item["commands"] = {{"train", run.train_command}, {"eval", run.eval_command}};
    item["train_seconds"] = run.train_seconds;
    json["runs"].push_back(std::move(item));
  }
  return json;
}

std::string StudySummary::ToCsv() const { return SummariesToCsv({this, 1}); }

std::string SummariesToCsv(std::span<const StudySummary> summaries) {
  std::vector<std::string> keys;
  for (const StudySummary& summary : summaries) {
    for (const RunResult& run : summary.runs) {
      if (!run.done()) continue;
      for (const auto& [key, value] : run.figures.items()) {
        if (value.is_number() && std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
      }
    }
  }
  std::string csv = "study,run,status,reason,role,series,codec,mode,at_cut,lambda,step,seed,switches";
  for (const std::string& key : keys) csv += "," + CsvCell(key);
  csv += ",train_command,eval_command\r\n";
  for (const StudySummary& summary : summaries) {
    for (const RunResult& run : summary.runs) csv += CsvRow(summary, run, keys);
  }
  return csv;
}

Status WriteSummary(const StudySummary& summary) {
  SLUICE_RETURN_IF_ERROR(WriteFileAtomic(summary.folder / "summary.json", summary.ToJson().dump(1) + "\n"));
  return WriteFileAtomic(summary.folder / "summary.csv", summary.ToCsv());
}

}  // namespace sluice
