// Nothing here is remembered between two starts of a study: every answer follows from the plan and from the run
// folders, so a study that was killed and one that was never stopped continue alike.
#include "study/study_state.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/hash.h"

namespace sluice {

std::vector<ScoredCandidate> ScoreCandidates(const StudyChoice& choice, const std::filesystem::path& study_folder) {
  std::vector<ScoredCandidate> scored;
  for (const auto& [value, run] : choice.candidates) {
    ScoredCandidate& candidate = scored.emplace_back(ScoredCandidate{value, run, std::nullopt});
    const auto figures = ReadFigures(RunFolder(study_folder, run));
    if (!figures.ok()) continue;
    const auto distortion = figures->find(choice.distortion), rate = figures->find("bits_per_token");
    if (distortion == figures->end() || rate == figures->end()) continue;
    if (!distortion->is_number() || !rate->is_number()) continue;
    candidate.score = distortion->get<double>() + choice.lambda * rate->get<double>();
  }
  return scored;
}

const ScoredCandidate* BestCandidate(const std::vector<ScoredCandidate>& candidates) {
  const ScoredCandidate* best = nullptr;
  for (const ScoredCandidate& candidate : candidates) {
    if (candidate.score && (best == nullptr || *candidate.score < *best->score)) best = &candidate;
  }
  return best;
}

Result<StudyState> StudyState::Read(const StudyPlan& plan, const std::filesystem::path& folder,
                                    const std::string& version) {
  StudyState state;
  state.plan_ = &plan;
  state.version_ = version;
  state.context_.study_folder = folder;
  SLUICE_ASSIGN_OR_RETURN(state.hashes_, HashFiles(plan));
  // Choices compare with what their candidates are now, so those come first; then all runs are compared with the
  // choices.
  for (const StudyRun& run : plan.runs) SLUICE_RETURN_IF_ERROR(state.ReadOne(run));
  SLUICE_RETURN_IF_ERROR(state.MakeChoices());
  for (const StudyRun& run : plan.runs) SLUICE_RETURN_IF_ERROR(state.ReadOne(run));
  return state;
}

// The digest of all that a run's figures depend on; nothing while a choice on the way is open.
std::optional<std::string> StudyState::OriginOf(const std::string& name) const {
  const StudyRun& run = *plan_->FindRun(name);
  const auto used = UsedRuns(*plan_, run, context_);
  const RunInputs inputs = InputsFor(run);
  if (!used || inputs.runs.size() != used->size()) return std::nullopt;
  constexpr size_t kDigits = 16;
  return ToHex(Sha256::Of(AsBytes(inputs.ToJson().dump()))).substr(0, kDigits);
}

RunInputs StudyState::InputsFor(const StudyRun& run) const {
  RunInputs inputs = InputsOf(run, hashes_, context_.values, version_);
  const auto used = UsedRuns(*plan_, run, context_);
  if (!used) return inputs;
  for (const std::string& name : *used) {
    if (auto origin = OriginOf(name)) inputs.runs[name] = std::move(*origin);
  }
  return inputs;
}

std::string StudyState::model() const {
  const auto at = hashes_.find("model");
  return at == hashes_.end() ? "" : at->second;
}

Status StudyState::ReadOne(const StudyRun& run) {
  SLUICE_ASSIGN_OR_RETURN(states_[run.name],
                          ReadRunState(RunFolder(context_.study_folder, run.name), run, InputsFor(run)));
  return OkStatus();
}

bool StudyState::Settled(const std::string& name) const {
  const RunState state = states_.at(name).state;
  return state == RunState::kDone || state == RunState::kFailed || !Blocked(*plan_->FindRun(name)).empty();
}

Status StudyState::MakeChoices() {
  for (const StudyChoice& choice : plan_->choices) {
    if (context_.values.contains(choice.name) || failed_choices_.contains(choice.name)) continue;
    const bool settled = std::all_of(choice.candidates.begin(), choice.candidates.end(),
                                     [this](const auto& candidate) { return Settled(candidate.second); });
    if (!settled) continue;
    const std::vector<ScoredCandidate> scored = ScoreCandidates(choice, context_.study_folder);
    if (const ScoredCandidate* best = BestCandidate(scored)) {
      context_.values[choice.name] = best->value;
      context_.winners[choice.name] = best->run;
    } else {
      failed_choices_[choice.name] = fmt::format("no run that could choose the {} succeeded", choice.setting);
    }
  }
  return OkStatus();
}

std::string StudyState::Waiting(const StudyRun& run) const {
  const bool trains = states_.at(run.name).state == RunState::kFresh && !run.train.empty();
  const std::vector<std::string> needs = trains ? plan_->NeedsToTrain(run) : plan_->Needs(run);
  if (std::string reason = BlockedBy(run, needs); !reason.empty()) return reason;
  std::string open;
  for (const std::string& need : needs) {
    if (!Settled(need)) open += (open.empty() ? "it waits for " : ", ") + need;
  }
  return open;
}

std::string StudyState::BlockedBy(const StudyRun& run, const std::vector<std::string>& needs) const {
  std::vector<std::string> through_choice;
  for (const StudyChoice& choice : plan_->choices) {
    const std::string value = "{choice:" + choice.name + "}", best = "{best:" + choice.name + "}";
    for (const auto* list : {&run.train, &run.eval}) {
      const bool uses = std::any_of(list->begin(), list->end(), [&](const std::string& argument) {
        return argument.find(value) != std::string::npos || argument.find(best) != std::string::npos;
      });
      if (!uses) continue;
      if (const auto failed = failed_choices_.find(choice.name); failed != failed_choices_.end()) return failed->second;
      for (const auto& candidate : choice.candidates) through_choice.push_back(candidate.second);
    }
  }
  for (const std::string& need : needs) {
    if (std::find(through_choice.begin(), through_choice.end(), need) != through_choice.end()) continue;
    if (states_.at(need).state == RunState::kFailed) return fmt::format("it needs {}, which failed", need);
    if (std::string reason = Blocked(*plan_->FindRun(need)); !reason.empty()) return reason;
  }
  return "";
}

Status StudyState::Refresh(const std::string& run) {
  SLUICE_RETURN_IF_ERROR(ReadOne(*plan_->FindRun(run)));
  const size_t made = context_.values.size();
  SLUICE_RETURN_IF_ERROR(MakeChoices());
  if (context_.values.size() == made) return OkStatus();
  for (const StudyRun& one : plan_->runs) SLUICE_RETURN_IF_ERROR(ReadOne(one));
  return OkStatus();
}

}  // namespace sluice
