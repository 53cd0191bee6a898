#ifndef SLUICE_STUDY_STUDY_LIBRARY_H_
#define SLUICE_STUDY_STUDY_LIBRARY_H_

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "study/study_plan.h"

namespace sluice {

/// The shape of a model that plans need, from its config.json.
struct ModelShape {
  int64_t layers = 0, width = 0, heads = 0, context = 0;

  int64_t middle() const { return layers / 2; }
};
/// Errors: Io; Corrupt; Unsupported naming the field that config.json lacks.
Result<ModelShape> ReadModelShape(const std::filesystem::path& model);

/// What a study is made over. Empty lists and zeros take the study's own defaults.
struct StudyOptions {
  std::filesystem::path model;
  std::vector<std::filesystem::path> train_text, select_text, report_text;
  std::vector<std::string> modes;    ///< "frozen", "joint"
  std::vector<std::string> presets;  ///< of learned codecs
  std::vector<double> lambdas;
  std::vector<double> rates;  ///< learning rates to choose from
  std::vector<double> steps_of_quantization;
  std::vector<int64_t> cuts;
  std::vector<std::string> switches;  ///< "name=value", of every learned codec
  std::vector<std::string> variants;  ///< ablation: further rows, "name=value name=value"
  int64_t seeds = 1;
  int64_t cut = -1;
  int64_t steps = 600;
  int64_t batch = 4;
  int64_t context = 0;
  int64_t max_tokens = 0;         ///< of an evaluation; 0: the whole text
  bool allow_slow_blas = false;   ///< train even on a BLAS that is many times too slow
  bool drop_blank_lines = false;  ///< of the texts that are measured
};

/// One study that can be asked for.
struct StudyInfo {
  std::string_view name;
  std::string_view summary;
};
std::span<const StudyInfo> ListStudies();

/// The plan of a study. Errors: InvalidArgument for an unknown name (the message lists the known ones) or an option
/// that the study cannot use; as ReadModelShape.
Result<StudyPlan> MakeStudyPlan(const std::string& name, const StudyOptions& options);

}  // namespace sluice

#endif  // SLUICE_STUDY_STUDY_LIBRARY_H_
