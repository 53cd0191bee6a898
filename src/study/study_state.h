#ifndef SLUICE_STUDY_STUDY_STATE_H_
#define SLUICE_STUDY_STUDY_STATE_H_

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "study/run_folder.h"
#include "study/study_plan.h"

namespace sluice {

/// One candidate of a choice and what it reached.
struct ScoredCandidate {
  std::string value;
  std::string run;
  std::optional<double> score;  ///< D + lambda R; nothing where the run failed or is missing
};

/// Scores a choice's candidates from the figures in their folders.
std::vector<ScoredCandidate> ScoreCandidates(const StudyChoice& choice, const std::filesystem::path& study_folder);
/// The candidate with the least score, or null when none has one. Of equals the first.
const ScoredCandidate* BestCandidate(const std::vector<ScoredCandidate>& candidates);

/// Where every run of a plan stands on disk, which choices are made, and which runs can start.
class StudyState {
 public:
  /// Reads all run folders. `plan` must outlive the state. Errors: Io for files that are not there; Corrupt.
  static Result<StudyState> Read(const StudyPlan& plan, const std::filesystem::path& folder,
                                 const std::string& version);

  const StudyPlan& plan() const { return *plan_; }
  /// Folder and choices that are made, for ExpandArguments.
  const RunContext& context() const { return context_; }
  const RunFolderState& Of(const std::string& run) const { return states_.at(run); }
  RunInputs InputsFor(const StudyRun& run) const;
  /// SHA-256 of the model's files; empty when the plan names no model.
  std::string model() const;

  /// Whether everything is there that the run's next step needs: its training if it is fresh, else its evaluation.
  bool Ready(const StudyRun& run) const { return Waiting(run).empty(); }
  /// Why its next step cannot start now, naming the runs; empty when it can.
  std::string Waiting(const StudyRun& run) const;
  /// Why the run can never be measured, given what failed; empty when it can.
  std::string Blocked(const StudyRun& run) const { return BlockedBy(run, plan_->Needs(run)); }

  /// Reads one run's folder again, makes the choices that can be made now, and compares all runs with them.
  Status Refresh(const std::string& run);
  /// Takes a run for fresh whatever its folder holds, until it is read again.
  void Forget(const std::string& run) { states_[run] = {}; }

 private:
  StudyState() = default;
  Status ReadOne(const StudyRun& run);
  Status MakeChoices();
  std::optional<std::string> OriginOf(const std::string& run) const;
  bool Settled(const std::string& run) const;
  std::string BlockedBy(const StudyRun& run, const std::vector<std::string>& needs) const;

  const StudyPlan* plan_ = nullptr;
  std::string version_;
  std::map<std::string, std::string> hashes_;
  std::map<std::string, RunFolderState> states_;
  RunContext context_;
  std::map<std::string, std::string> failed_choices_;  // name and reason
};

}  // namespace sluice

#endif  // SLUICE_STUDY_STUDY_STATE_H_
