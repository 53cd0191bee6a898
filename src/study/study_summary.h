#ifndef SLUICE_STUDY_STUDY_SUMMARY_H_
#define SLUICE_STUDY_STUDY_SUMMARY_H_

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "study/seed_interval.h"
#include "study/study_plan.h"
#include "study/study_state.h"

namespace sluice {

/// One run of the plan and what came of it.
struct RunResult {
  std::string name;
  RunLabels labels;
  std::string status;                   ///< "done", "failed", "missing", or "other inputs"
  std::string reason;                   ///< why it is not done
  nlohmann::ordered_json figures = {};  ///< eval.json; null unless done
  std::string train_command = {}, eval_command = {};
  std::string model = {};              ///< SHA-256 of the model's files that it was made with
  nlohmann::ordered_json inputs = {};  ///< RunInputs: everything that it was made with
  double train_seconds = 0;

  bool done() const { return status == "done"; }
  /// A figure by its key; nothing when the run has none such.
  std::optional<double> Figure(const std::string& key) const;
};

/// One operating point over its seeds.
struct CurvePoint {
  double lambda = 0, step = 0;
  std::vector<uint64_t> seeds = {};  ///< that are done
  size_t planned = 0;                ///< seeds that should be
  SeedMean rate = {};                ///< bits per token
  SeedMean quality = {};             ///< the study's metric
};

/// One method's points, from the lowest rate up.
struct StudyCurve {
  std::string series = {}, mode = {};
  int64_t cut = -1;
  std::vector<CurvePoint> points = {};
};

/// One method against the anchor, or why there is no figure.
struct BdRow {
  std::string series = {}, mode = {};
  int64_t cut = -1;
  std::optional<BdOverSeeds> pchip = {}, cubic = {};
  std::string pchip_reason = {}, cubic_reason = {};
};

/// Everything that a study's folder says.
struct StudySummary {
  std::filesystem::path folder;
  StudyPlan plan;
  std::string command, version;
  std::vector<std::pair<std::string, std::string>> machine;
  std::string model;   ///< SHA-256 that all done runs share
  std::string metric;  ///< key of the quality figure: "perplexity" or "last_word_nats"; lower is better
  std::string anchor;  ///< the series that others are compared with
  std::vector<RunResult> runs;
  std::vector<StudyCurve> curves;
  std::vector<BdRow> bd_rates;
  std::vector<std::string> notes;  ///< what a reader must know: seeds that are missing, failures

  std::vector<const RunResult*> Done(RunRole role) const;
  nlohmann::ordered_json ToJson() const;
  /// One row a run, one column a label or figure.
  std::string ToCsv() const;
};

/// Reads a study's folder; the model and the texts need not be there.
/// Errors: Io or Corrupt for what cannot be read; Mismatch when its runs were made with different models, texts or
/// versions of the program.
Result<StudySummary> SummarizeStudy(const std::filesystem::path& folder);

/// One table of all runs of several studies: the columns are those that any of them has.
std::string SummariesToCsv(std::span<const StudySummary> summaries);

/// Writes summary.json and summary.csv into the study's folder.
Status WriteSummary(const StudySummary& summary);

}  // namespace sluice

#endif  // SLUICE_STUDY_STUDY_SUMMARY_H_
