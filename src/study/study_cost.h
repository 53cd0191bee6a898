#ifndef SLUICE_STUDY_STUDY_COST_H_
#define SLUICE_STUDY_STUDY_COST_H_

#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "base/status.h"
#include "study/study_state.h"

namespace sluice {

/// What the rest of a study will take, before it starts.
struct StudyCost {
  size_t runs = 0;  ///< still to do
  size_t done = 0;
  int64_t train_tokens = 0;
  double seconds = 0;                         ///< of one core, all runs that are still to do
  std::map<std::string, double> rates;        ///< kind of training and its tokens a second
  bool probed = false;                        ///< measured by short runs made for it, else from finished runs
  std::map<std::string, double> run_seconds;  ///< by run

  /// One line: runs, tokens, core-minutes, and where the rate comes from.
  std::string Line(const std::string& study, int jobs) const;
};

/// Runs trained alike take alike: "paper, frozen".
std::string TrainingKind(const StudyRun& run);

/// Estimates from finished runs of the same kind; where there are none, trains a few steps in `folder`/probe and
/// measures a few thousand tokens, which takes seconds for each kind. `wanted`: the runs to count.
/// Errors: Interrupted; as ChildProcess::Start. A probe that fails leaves its kind without a figure.
Result<StudyCost> EstimateCost(const StudyState& state, const std::set<std::string>& wanted,
                               const std::filesystem::path& program);

}  // namespace sluice

#endif  // SLUICE_STUDY_STUDY_COST_H_
