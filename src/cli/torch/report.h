#ifndef SLUICE_CLI_TORCH_REPORT_H_
#define SLUICE_CLI_TORCH_REPORT_H_

#include <filesystem>
#include <string>

#include "base/status.h"
#include "study/torch/evaluation.h"

namespace sluice {

/// The command that made a report, as one would type it again.
std::string CommandLine(int argc, char** argv);

/// Writes the page of one evaluation. Errors: Io.
Status WriteEvaluationPage(const std::filesystem::path& path, const Evaluation& evaluation, const std::string& command);

/// Writes the page of a training run: its curves over the steps. `run`: folder that holds metrics.jsonl.
/// Errors: Io; Corrupt when the log is damaged.
Status WriteTrainingPage(const std::filesystem::path& path, const std::filesystem::path& run,
                         const std::string& command);

}  // namespace sluice

#endif  // SLUICE_CLI_TORCH_REPORT_H_
