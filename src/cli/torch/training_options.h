#ifndef SLUICE_CLI_TORCH_TRAINING_OPTIONS_H_
#define SLUICE_CLI_TORCH_TRAINING_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/status.h"
#include "train/training_loop.h"

namespace sluice {

/// Declares the options that every training verb shares.
void AddLoopOptions(CLI::App& app, LoopOptions& loop);

/// Threads, and whether a slow BLAS is accepted.
struct MachineOptions {
  int threads = 0;
  bool allow_slow_blas = false;
};
void AddMachineOptions(CLI::App& app, MachineOptions& machine);

/// Starts libtorch with these options. Errors: Unsupported when the BLAS in use would make training crawl, with how to
/// mend it, unless that is allowed.
Status StartTraining(const MachineOptions& machine);

/// The figures of the last step that a run logged, for the JSON result; none where the log is empty. Errors: as
/// ReadMetrics.
Status AddLastFigures(const std::filesystem::path& run, nlohmann::ordered_json& result);

}  // namespace sluice

#endif  // SLUICE_CLI_TORCH_TRAINING_OPTIONS_H_
