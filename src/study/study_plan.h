#ifndef SLUICE_STUDY_STUDY_PLAN_H_
#define SLUICE_STUDY_STUDY_PLAN_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace sluice {

/// Why a run is made.
enum class RunRole {
  kPoint,     ///< an operating point of a curve
  kTuning,    ///< a candidate of a choice, measured on the selection text
  kBaseline,  ///< a codec that is not trained
  kTiming,    ///< measured for its time alone
};

/// What a run stands for in tables and plots.
struct RunLabels {
  RunRole role = RunRole::kPoint;
  std::string series = {};                 ///< the curve that it is a point of
  std::string codec = {};                  ///< preset, or name of a plain codec
  std::string mode = {};                   ///< "frozen" or "joint"; empty where nothing is trained
  int64_t cut = -1;                        ///< -1: the middle
  double lambda = 0;                       ///< 0: none
  double step = 0;                         ///< of studies of the quantization step; 0: none
  uint64_t seed = 0;                       ///< 0: nothing random
  std::vector<std::string> switches = {};  ///< "name=value" over the preset
};

/// One or two calls of the program: `train`, where something is learned, and `eval`.
///
/// Arguments may hold placeholders, so that what a run depends on does not change with the place of its folder:
/// {model} {train-text} {select-text} {report-text} (several files become several arguments), {run} this run's folder,
/// {run:NAME} another run's, {choice:NAME} the value that a choice took, {best:NAME} the folder of the run that won it.
struct StudyRun {
  std::string name = {};  ///< a folder's name: letters, digits, "._-=+,"
  RunLabels labels = {};
  std::vector<std::string> train = {};  ///< after "sluice"; empty: nothing to train
  std::vector<std::string> eval = {};
  int64_t train_tokens = 0;  ///< what training will read
  int64_t steps = 0;
};

/// A setting that is taken from the best of some runs: the least D + lambda R on the selection text.
struct StudyChoice {
  std::string name = {};
  std::string setting = {};  ///< what it is, for readers: "learning rate of paper, frozen"
  double lambda = 0;
  std::string distortion = {};                                       ///< key of eval's figures: "kl_nats"
  std::vector<std::pair<std::string, std::string>> candidates = {};  ///< value and run
};

/// A study as data.
struct StudyPlan {
  std::string study;
  std::vector<StudyRun> runs;
  std::vector<StudyChoice> choices;
  /// Placeholder without braces ("model", "report-text") and its files.
  std::map<std::string, std::vector<std::filesystem::path>> files;
  bool alone = false;  ///< runs must not share the machine: they measure time

  const StudyRun* FindRun(const std::string& name) const;
  const StudyChoice* FindChoice(const std::string& name) const;

  /// Names that are folders and unique, placeholders that exist, no circle. Errors: InvalidArgument naming the run.
  Status Check() const;
  /// Runs that must be done before `run` can be measured, in the order of their first mention.
  std::vector<std::string> Needs(const StudyRun& run) const;
  /// Those of them that it is not trained without: candidates of all its choices, which are recorded before it starts,
  /// and runs whose folders its training reads.
  std::vector<std::string> NeedsToTrain(const StudyRun& run) const;

  nlohmann::ordered_json ToJson() const;
  /// Errors: Corrupt naming the field.
  static Result<StudyPlan> FromJson(const nlohmann::ordered_json& json);
};

std::string_view RunRoleName(RunRole role);

/// What stands for the placeholders of one run.
struct RunContext {
  std::filesystem::path study_folder;
  std::map<std::string, std::string> values;   ///< choices: name and value
  std::map<std::string, std::string> winners;  ///< choices: name and run
};

/// Runs whose folders the arguments of `run` name, in the order of their first mention; nothing while a choice that it
/// mentions is not made.
std::optional<std::vector<std::string>> UsedRuns(const StudyPlan& plan, const StudyRun& run, const RunContext& context);

/// Folder of a run in a study's folder.
std::filesystem::path RunFolder(const std::filesystem::path& study_folder, const std::string& run);

/// Fills in the placeholders. Errors: InvalidArgument for one that nothing stands for.
Result<std::vector<std::string>> ExpandArguments(const StudyPlan& plan, const StudyRun& run,
                                                 const std::vector<std::string>& arguments, const RunContext& context);

/// The arguments as one would type them, after "sluice".
std::string CommandText(const std::vector<std::string>& arguments);

}  // namespace sluice

#endif  // SLUICE_STUDY_STUDY_PLAN_H_
