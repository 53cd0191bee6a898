#include "cli/torch/training_options.h"

#include <fmt/format.h>

#include "backbone/torch_setup.h"
#include "train/metrics_log.h"

namespace sluice {

void AddLoopOptions(CLI::App& app, LoopOptions& loop) {
  const char* group = "Schedule";
  app.add_option("--steps", loop.steps, "Optimizer steps")->group(group)->check(CLI::Range(1, 100000000));
  app.add_option("--batch", loop.batch, "Windows in one pass")->group(group)->check(CLI::Range(1, 4096));
  app.add_option("--accumulate", loop.accumulate, "Passes averaged into one step")
      ->group(group)
      ->check(CLI::Range(1, 65536));
  app.add_option("--lr", loop.learning_rate, "Peak learning rate")->group(group)->check(CLI::PositiveNumber);
  app.add_option("--final-lr", loop.final_rate_ratio, "Last learning rate over the peak")
      ->group(group)
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--warmup", loop.warmup, "Warm-up steps")->group(group)->check(CLI::NonNegativeNumber);
  app.add_option("--clip", loop.clip, "Largest gradient norm; 0: none")->group(group)->check(CLI::NonNegativeNumber);
  app.add_option("--weight-decay", loop.weight_decay, "Decoupled weight decay of matrices")
      ->group(group)
      ->check(CLI::NonNegativeNumber);
  app.add_option("--seed", loop.seed, "Seed of weights and batch order")->group(group);
  app.add_option("--checkpoint-every", loop.checkpoint_every, "Steps between checkpoints: what a kill can lose")
      ->group(group)
      ->check(CLI::Range(1, 100000000));
  app.add_option("--eval-every", loop.evaluate_every, "Steps between figures on the selection split; 0: never")
      ->group(group)
      ->check(CLI::NonNegativeNumber);
  app.add_option("--log-every", loop.log_every, "Steps between lines of metrics.jsonl")
      ->group(group)
      ->check(CLI::Range(1, 100000000));
  app.add_flag("--resume", loop.resume, "Continue the run that --out holds")->group(group);
}

void AddMachineOptions(CLI::App& app, MachineOptions& machine) {
  app.add_option("-t,--threads", machine.threads, "Threads; 0: all cores")->check(CLI::Range(0, 255));
  app.add_flag("--allow-slow-blas", machine.allow_slow_blas, "Train even on a BLAS that is 10 to 40 times too slow");
}

Status StartTraining(const MachineOptions& machine) {
  SLUICE_RETURN_IF_ERROR(InitTorch(machine.threads));
  const BlasLibrary blas = FindBlas();
  if (!blas.Slow() || machine.allow_slow_blas) return OkStatus();
  return Unsupported(fmt::format(
      "libtorch uses {} ({}), on which training crawls. Install the package libopenblas0-openmp and select it with "
      "update-alternatives (sluice doctor says how), or pass --allow-slow-blas",
      BlasKindName(blas.kind), blas.path));
}

Status AddLastFigures(const std::filesystem::path& run, nlohmann::ordered_json& result) {
  SLUICE_ASSIGN_OR_RETURN(const auto log, ReadMetrics(run));
  if (log.empty()) return OkStatus();
  for (const auto& [name, value] : log.back().second) result[name] = value;
  return OkStatus();
}

}  // namespace sluice
