#ifndef SLUICE_NEURAL_HYPER_DENSITY_H_
#define SLUICE_NEURAL_HYPER_DENSITY_H_

#include <torch/torch.h>

#include <memory>

#include "neural/codec_config.h"

namespace sluice {

/// The learned distribution of the hyper-latents: integers, one distribution a channel.
class HyperDensityImpl : public torch::nn::Module {
 public:
  explicit HyperDensityImpl(int64_t channels) : channels_(channels) {}

  /// Ideal bits of integer symbols. Data: z [..., channels] -> the same shape. Differentiable in z, too.
  virtual torch::Tensor Bits(const torch::Tensor& z) = 0;
  /// A scalar that training adds to the loss; undefined for a density that needs none.
  virtual torch::Tensor Penalty() { return {}; }

  int64_t channels() const { return channels_; }

 private:
  int64_t channels_;
};
using HyperDensity = std::shared_ptr<HyperDensityImpl>;

HyperDensity MakeHyperDensity(DensityKind kind, int64_t channels);

}  // namespace sluice

#endif  // SLUICE_NEURAL_HYPER_DENSITY_H_
