#ifndef SLUICE_TRAIN_TRAINING_LOOP_H_
#define SLUICE_TRAIN_TRAINING_LOOP_H_

#include <torch/torch.h>

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "train/adamw.h"
#include "train/batches.h"
#include "train/metrics_log.h"

namespace sluice {

/// How long and how fast to train.
struct LoopOptions {
  int64_t steps = 1000;
  int64_t batch = 8;       ///< windows in one forward and backward pass
  int64_t accumulate = 1;  ///< passes whose gradients are averaged into one step
  double learning_rate = 1e-3;
  double final_rate_ratio = 0.1;
  int64_t warmup = 100;  ///< steps
  double clip = 1.0;     ///< largest gradient norm
  double weight_decay = 0.0;
  double beta1 = 0.9;
  double beta2 = 0.95;
  uint64_t seed = 1;
  int64_t checkpoint_every = 200;  ///< steps; what an interruption can lose
  int64_t log_every = 10;          ///< steps
  int64_t evaluate_every = 0;      ///< steps; 0: never
  bool resume = false;
};

/// The settings that the numbers of a run depend on, as one line of JSON.
std::string LoopIdentity(const LoopOptions& options);

/// Loss of one pass, with the numbers worth logging.
struct StepLoss {
  torch::Tensor loss;
  Metrics metrics;
};

/// What is trained: a pre-training, a codec, both jointly.
class TrainingTask {
 public:
  virtual ~TrainingTask() = default;

  virtual std::vector<ParameterGroup> Groups() = 0;
  /// Everything that must survive an interruption apart from the optimizer; the module's own tensors.
  virtual std::vector<NamedTensor> State() = 0;
  /// One pass over windows [first_window, first_window + batch) of the run. Data: tokens int64 [batch, context].
  /// May throw.
  virtual StepLoss Forward(const torch::Tensor& tokens, int64_t first_window) = 0;
  /// Numbers on the selection split, never on the reported one. May throw.
  virtual Metrics Evaluate() { return {}; }
  /// What the progress bar shows.
  virtual std::string Note(const Metrics& metrics) const = 0;
};

/// Whether `folder` holds a checkpoint to go on from. Errors: InvalidArgument when it holds one and `resume` is off.
Result<bool> ContinuesRun(const LoopOptions& options, const std::filesystem::path& folder);
/// Errors: InvalidArgument when one of `results` is there and `folder` holds no checkpoint of the run that made it: a
/// new run would replace a finished codec or model.
Status CheckNothingReplaced(const std::filesystem::path& folder, std::span<const std::filesystem::path> results);

/// Trains until `steps`, an interrupt, or divergence. Checkpoints are one safetensors file, replaced atomically.
///
/// Exact: a resumed run reaches the same weights, bit for bit, as one that was never interrupted, on the same build
/// with the same threads. `identity` names what the numbers depend on; a checkpoint of another identity is refused.
/// Errors: Interrupted after the checkpoint was written; Internal on a loss or gradient that is not finite, naming the
/// step and the last good checkpoint; Mismatch on resuming other settings; InvalidArgument when the folder already
/// holds a run and `resume` is off, or naming an option out of range; Io.
Status RunTraining(TrainingTask& task, BatchDealer& dealer, const LoopOptions& options,
                   const std::filesystem::path& folder, const std::string& identity);

}  // namespace sluice

#endif  // SLUICE_TRAIN_TRAINING_LOOP_H_
