#ifndef SLUICE_TRAIN_ADAMW_H_
#define SLUICE_TRAIN_ADAMW_H_

#include <torch/torch.h>

#include <string>
#include <vector>

#include "neural/tensor_io.h"

namespace sluice {

/// Parameters that share a learning rate.
struct ParameterGroup {
  std::vector<NamedTensor> parameters;
  double rate_scale = 1.0;  ///< times the schedule's learning rate
  bool decay = true;        ///< decoupled weight decay on matrices (never on vectors)
};

/// AdamW (arXiv 1711.05101) whose whole state is named tensors, so that checkpoints are safetensors files: no pickle,
/// and the same bytes under every libtorch.
class AdamW {
 public:
  struct Options {
    double beta1 = 0.9;
    double beta2 = 0.95;
    double epsilon = 1e-8;
    double weight_decay = 0.0;
  };

  AdamW(std::vector<ParameterGroup> groups, Options options);

  void ZeroGrad();
  /// Norm over all gradients; scales them so that it is at most `limit` (0: no limit), unless it is not finite. Returns
  /// the norm before.
  double ClipGradients(double limit);
  /// Name of the first parameter whose gradient's norm is not finite; empty when there is none.
  std::string NotFinite() const;
  /// One update. `step` counts from 1 and corrects the moments' bias.
  void Step(int64_t step, double learning_rate);

  /// First and second moments, named "m.<parameter>" and "v.<parameter>"; the tensors are the optimizer's own, so
  /// copying into them restores it.
  std::vector<NamedTensor> State() const;

 private:
  struct Moments {
    torch::Tensor first;
    torch::Tensor second;
  };

  std::vector<ParameterGroup> groups_;
  std::vector<std::vector<Moments>> moments_;
  Options options_;
};

/// Linear warm-up to 1, then a cosine down to `final_ratio` at the last step. Range: step in 1..steps.
double CosineWithWarmup(int64_t step, int64_t warmup, int64_t steps, double final_ratio);

}  // namespace sluice

#endif  // SLUICE_TRAIN_ADAMW_H_
