#ifndef SLUICE_STUDY_STUDY_RUNNER_H_
#define SLUICE_STUDY_STUDY_RUNNER_H_

#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "study/study_plan.h"

namespace sluice {

struct RunnerOptions {
  std::filesystem::path folder;                              ///< of the study
  std::filesystem::path program;                             ///< what runs are calls of
  std::string version;                                       ///< of that program
  std::string command;                                       ///< what the user typed, for the record
  std::vector<std::pair<std::string, std::string>> machine;  ///< for the record
  std::string only;      ///< regular expression: names of runs to make, with what they need; empty: all
  int jobs = 0;          ///< processes at once; 0: as cores and memory allow, at most two
  bool retry = false;    ///< try failed runs again
  bool replace = false;  ///< discard runs that were made with other inputs
  bool quiet = false;    ///< nothing but errors
  /// Shown the line of the cost when there is something to do; false: do not start.
  std::function<bool(const std::string& line)> confirm = {};
};

/// Why a run is missing that `only` left out.
inline constexpr const char* kNotAskedFor = "not asked for";

/// How a study stands after it was worked on.
struct StudyOutcome {
  std::vector<std::string> done;
  std::map<std::string, std::string> failed;   ///< run and message
  std::map<std::string, std::string> missing;  ///< run and reason: blocked by a failure, or not asked for
};

/// The runs whose names match `only` and all that they need. Errors: InvalidArgument for a wrong expression, or one
/// that matches nothing.
Result<std::set<std::string>> SelectRuns(const StudyPlan& plan, const std::string& only);

/// Processes at once when nothing was said: two, fewer with one core or little free memory.
int DefaultJobs();

/// Works a plan off: starts what is ready, records what fails, goes on with the rest. Writes `folder`/study.json first.
/// Errors: Interrupted, after every process was told and ended; Mismatch naming runs that were made with other inputs;
/// InvalidArgument when another study runs in the folder; Io.
Result<StudyOutcome> RunStudy(const StudyPlan& plan, const RunnerOptions& options);

}  // namespace sluice

#endif  // SLUICE_STUDY_STUDY_RUNNER_H_
