#include "train/training_loop.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>

#include "backbone/torch_setup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/progress.h"

namespace sluice {
namespace {

constexpr const char* kCheckpointFile = "checkpoint.safetensors";

// What cannot be looked at is not there; writing says why.
bool IsThere(const std::filesystem::path& path) {
  std::error_code unknown;
  return std::filesystem::exists(path, unknown);
}

// What the loop divides by or counts up to.
Status CheckOptions(const LoopOptions& options) {
  const std::pair<const char*, int64_t> counts[] = {{"steps", options.steps},
                                                    {"batch", options.batch},
                                                    {"accumulate", options.accumulate},
                                                    {"checkpoint_every", options.checkpoint_every},
                                                    {"log_every", options.log_every}};
  for (const auto& [name, value] : counts) {
    if (value < 1) return InvalidArgument(fmt::format("{}: expected at least 1, got {}", name, value));
  }
  if (!(options.learning_rate > 0)) {
    return InvalidArgument(fmt::format("learning_rate: expected more than 0, got {}", options.learning_rate));
  }
  return OkStatus();
}

class Loop {
 public:
  Loop(TrainingTask& task, BatchDealer& dealer, const LoopOptions& options, std::filesystem::path folder,
       std::string identity)
      : task_(task),
        dealer_(dealer),
        options_(options),
        folder_(std::move(folder)),
        identity_(std::move(identity)),
        optimizer_(task.Groups(),
                   {.beta1 = options.beta1, .beta2 = options.beta2, .weight_decay = options.weight_decay}) {}

  Status Run() {
    SLUICE_RETURN_IF_ERROR(MakeFolder(folder_));
    SLUICE_RETURN_IF_ERROR(Restore());
    SLUICE_ASSIGN_OR_RETURN(MetricsLog log, MetricsLog::Open(folder_, done_));
    log_.emplace(std::move(log));
    CatchInterrupts();
    ProgressBar bar("train", static_cast<uint64_t>(options_.steps), static_cast<uint64_t>(done_));
    while (done_ < options_.steps) {
      SLUICE_RETURN_IF_ERROR(Step(bar));
      const bool stop = InterruptRequested();
      if (stop || done_ % options_.checkpoint_every == 0 || done_ == options_.steps) SLUICE_RETURN_IF_ERROR(Save());
      if (stop && done_ < options_.steps) {
        return Interrupted(fmt::format("stopped after step {} of {}; continue with --resume", done_, options_.steps));
      }
    }
    return OkStatus();
  }

 private:
  Status Step(ProgressBar& bar) {
    const auto start = Clock::now();
    const int64_t step = done_ + 1;
    optimizer_.ZeroGrad();
    Metrics metrics;
    for (int64_t micro = 0; micro < options_.accumulate; ++micro) {
      const int64_t first = (done_ * options_.accumulate + micro) * options_.batch;
      StepLoss pass = task_.Forward(dealer_.Deal(first, options_.batch), first);
      const double loss = pass.loss.item<double>();
      if (!std::isfinite(loss)) return Diverged(step, "loss", loss);
      (pass.loss / static_cast<double>(options_.accumulate)).backward();
      Accumulate(metrics, "loss", loss);
      for (const auto& [name, value] : pass.metrics) Accumulate(metrics, name, value);
    }
    const double rate =
        options_.learning_rate * CosineWithWarmup(step, options_.warmup, options_.steps, options_.final_rate_ratio);
    const double norm = optimizer_.ClipGradients(options_.clip);
    if (!std::isfinite(norm)) return Diverged(step, "gradient norm of " + optimizer_.NotFinite(), norm);
    optimizer_.Step(step, rate);
    done_ = step;
    metrics.emplace_back("gradient_norm", norm);
    metrics.emplace_back("learning_rate", rate);
    const double seconds = SecondsSince(start);
    metrics.emplace_back("tokens_per_second",
                         static_cast<double>(options_.accumulate * options_.batch * dealer_.context()) / seconds);
    bar.Update(static_cast<uint64_t>(done_), task_.Note(metrics));
    return Record(std::move(metrics));
  }

  void Accumulate(Metrics& metrics, const std::string& name, double value) const {
    const double share = value / static_cast<double>(options_.accumulate);
    for (auto& [key, sum] : metrics) {
      if (key == name) {
        sum += share;
        return;
      }
    }
    metrics.emplace_back(name, share);
  }

  Status Record(Metrics metrics) {
    const bool evaluate =
        options_.evaluate_every > 0 && (done_ % options_.evaluate_every == 0 || done_ == options_.steps);
    if (evaluate) {
      torch::NoGradGuard no_grad;
      for (auto& item : task_.Evaluate()) metrics.emplace_back("select_" + item.first, item.second);
    }
    if (!evaluate && done_ % options_.log_every != 0 && done_ != 1 && done_ != options_.steps) return OkStatus();
    return log_->Write(done_, metrics);
  }

  Status Diverged(int64_t step, const std::string& what, double value) const {
    return Internal(fmt::format("training diverged: {} is {} at step {}; last good checkpoint: {}", what, value, step,
                                saved_ > 0 ? fmt::format("{} (step {})", CheckpointPath().string(), saved_) : "none"));
  }

  std::filesystem::path CheckpointPath() const { return folder_ / kCheckpointFile; }

  std::vector<NamedTensor> FullState() const {
    std::vector<NamedTensor> state = task_.State();
    for (auto& item : optimizer_.State()) state.push_back(std::move(item));
    return state;
  }

  Status Save() {
    SLUICE_RETURN_IF_ERROR(
        SaveTensors(CheckpointPath(), FullState(), {{"step", std::to_string(done_)}, {"identity", identity_}}));
    saved_ = done_;
    return OkStatus();
  }

  Status Restore() {
    SLUICE_ASSIGN_OR_RETURN(const bool continues, ContinuesRun(options_, folder_));
    if (!continues) return OkStatus();
    SLUICE_ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(CheckpointPath()));
    const auto identity = file.metadata().find("identity");
    if (identity == file.metadata().end() || identity->second != identity_) {
      return Mismatch(fmt::format("{} was made with other settings: checkpoint has {}, this run has {}",
                                  CheckpointPath().string(),
                                  identity == file.metadata().end() ? "none" : identity->second, identity_));
    }
    const auto step = file.metadata().find("step");
    if (step == file.metadata().end() || step->second.empty() ||
        step->second.find_first_not_of("0123456789") != std::string::npos || step->second.size() > 15) {
      return Corrupt(fmt::format("{}: no step in its metadata", CheckpointPath().string()));
    }
    SLUICE_RETURN_IF_ERROR(RestoreTensors(file, FullState()).WithContext(CheckpointPath().string()));
    done_ = saved_ = std::stoll(step->second);
    return OkStatus();
  }

  TrainingTask& task_;
  BatchDealer& dealer_;
  const LoopOptions& options_;
  std::filesystem::path folder_;
  std::string identity_;
  AdamW optimizer_;
  std::optional<MetricsLog> log_;
  int64_t done_ = 0;
  int64_t saved_ = 0;
};

}  // namespace

Result<bool> ContinuesRun(const LoopOptions& options, const std::filesystem::path& folder) {
  if (!IsThere(folder / kCheckpointFile)) return false;
  if (options.resume) return true;
  return InvalidArgument(
      fmt::format("{} already holds a run; continue it with --resume or choose another folder", folder.string()));
}

Status CheckNothingReplaced(const std::filesystem::path& folder, std::span<const std::filesystem::path> results) {
  if (IsThere(folder / kCheckpointFile)) return OkStatus();
  for (const std::filesystem::path& result : results) {
    if (!IsThere(result)) continue;
    return InvalidArgument(
        fmt::format("{} is already there, and no checkpoint in {} to go on from; choose another folder",
                    result.string(), folder.string()));
  }
  return OkStatus();
}

std::string LoopIdentity(const LoopOptions& options) {
  return fmt::format(
      R"({{"steps":{},"batch":{},"accumulate":{},"rate":{},"final":{},"warmup":{},"clip":{},"decay":{},"beta1":{},"beta2":{},"seed":{}}})",
      options.steps, options.batch, options.accumulate, options.learning_rate, options.final_rate_ratio, options.warmup,
      options.clip, options.weight_decay, options.beta1, options.beta2, options.seed);
}

Status RunTraining(TrainingTask& task, BatchDealer& dealer, const LoopOptions& options,
                   const std::filesystem::path& folder, const std::string& identity) {
  SLUICE_RETURN_IF_ERROR(CheckOptions(options));
  return CatchTorch([&] { return Loop(task, dealer, options, folder, identity).Run(); });
}

}  // namespace sluice
