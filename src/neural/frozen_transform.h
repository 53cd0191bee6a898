#ifndef SLUICE_NEURAL_FROZEN_TRANSFORM_H_
#define SLUICE_NEURAL_FROZEN_TRANSFORM_H_

#include <torch/torch.h>

#include "neural/codec_config.h"

namespace sluice {

/// The step between a hidden state and the real numbers that are rounded: u = g * (A (x + b)) and back.
///
/// In joint mode it is the identity. Gains are stored as logarithms so that they stay positive.
/// Source: docs/codec.md, "Modes".
class FrozenTransformImpl : public torch::nn::Module {
 public:
  explicit FrozenTransformImpl(const CodecConfig& config);

  /// Sets offset, axes and gains. Data: offset [d]; axes [d, d], one axis a row; gains [d], positive.
  void Set(const torch::Tensor& offset, const torch::Tensor& axes, const torch::Tensor& gains);

  /// Data: x [..., d] -> u [..., d].
  torch::Tensor Forward(const torch::Tensor& x);
  /// Data: u [..., d] -> x [..., d].
  torch::Tensor Inverse(const torch::Tensor& u);

 private:
  bool identity_;
  TransformKind kind_;
  torch::Tensor offset_;
  torch::Tensor axes_;
  torch::Tensor log_gain_;
};
TORCH_MODULE(FrozenTransform);

}  // namespace sluice

#endif  // SLUICE_NEURAL_FROZEN_TRANSFORM_H_
