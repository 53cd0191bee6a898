#ifndef SLUICE_STUDY_PLAN_BUILDER_H_
#define SLUICE_STUDY_PLAN_BUILDER_H_

#include <string>
#include <utility>
#include <vector>

#include "study/study_library.h"

namespace sluice {

/// A learned codec to be trained and measured.
struct LearnedRun {
  std::string preset = "paper";
  std::string mode = "frozen";
  int64_t cut = -1;
  double lambda = 0;
  uint64_t seed = 1;
  std::string rate = {};                   ///< learning rate: a number or a placeholder; empty: the program's own
  std::vector<std::string> switches = {};  ///< beside the options'
  std::string variant = {};                ///< name of the switches, empty for the preset as it is
  std::string reference = {};              ///< joint: the run whose reference is compared with; empty: its own
  bool baselines = false;                  ///< other codecs on the same hidden states and integers
};

/// What the plans share: how a codec is named, trained and measured.
class PlanBuilder {
 public:
  PlanBuilder(std::string study, const StudyOptions& options, const ModelShape& shape);

  /// Adds a run that trains and measures. Gives its name.
  std::string AddLearned(const LearnedRun& run, RunRole role = RunRole::kPoint);
  /// Adds a measurement of the codec that `winner` of a choice trained. Gives its name.
  std::string AddBest(const LearnedRun& run, const std::string& choice);
  /// Adds a codec that is not trained, by its name. Gives the run's name.
  std::string AddPlain(const std::string& codec, int64_t cut);
  /// Adds one tuning run for each learning rate, on the selection text, and the choice between them. Gives the choice's
  /// name.
  std::string AddTuning(const LearnedRun& run, const std::vector<double>& rates);

  StudyPlan& plan() { return plan_; }
  const StudyOptions& options() const { return options_; }
  const ModelShape& shape() const { return shape_; }
  /// The cut asked for, or the middle.
  int64_t cut() const { return options_.cut >= 0 ? options_.cut : shape_.middle(); }
  /// Arguments of a measurement on `text`, a placeholder.
  std::vector<std::string> Measure(const std::string& text) const;

 private:
  StudyRun Describe(const LearnedRun& run, RunRole role, const std::string& suffix) const;
  std::vector<std::string> MeasureLearned(const LearnedRun& run, const std::string& text, const std::string& folder,
                                          bool own_reference) const;

  StudyOptions options_;
  ModelShape shape_;
  StudyPlan plan_;
};

/// Plans, one for each study.
Result<StudyPlan> PlanRateDistortion(PlanBuilder builder);
Result<StudyPlan> PlanLayers(PlanBuilder builder);
Result<StudyPlan> PlanStep(PlanBuilder builder);
Result<StudyPlan> PlanAblation(PlanBuilder builder);
Result<StudyPlan> PlanTime(PlanBuilder builder);
Result<StudyPlan> PlanLambada(PlanBuilder builder);

/// Of studies that compare codecs at a fine and at a coarse point and draw no curve.
inline const std::vector<double> kTwoLambdas = {6e-4, 3e-3};

/// A value or its default. By value: callers loop over it.
template <typename T>
std::vector<T> OrDefault(const std::vector<T>& given, std::vector<T> fallback) {
  return given.empty() ? std::move(fallback) : given;
}

/// As short as reads back to the same number: for names and arguments of runs.
std::string NumberText(double value);

/// Names of the register of plain codecs, without the uncompressed 32-bit one, and other levels and ranks of them.
std::vector<std::string> ComparedCodecs();

}  // namespace sluice

#endif  // SLUICE_STUDY_PLAN_BUILDER_H_
