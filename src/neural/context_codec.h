#ifndef SLUICE_NEURAL_CONTEXT_CODEC_H_
#define SLUICE_NEURAL_CONTEXT_CODEC_H_

#include <torch/torch.h>

#include <vector>

#include "neural/context_network.h"

namespace sluice {

/// The float side of a context codec: what turns hidden states into numbers to round, and back. Only the encoder's
/// rounded output and the decoder's result depend on it.
struct ContextTransform {
  torch::Tensor offset;       ///< [d], subtracted
  torch::Tensor axes;         ///< [blocks, d / blocks, d / blocks], one axis a row
  torch::Tensor order;        ///< [d] int64, which axis is which channel
  torch::Tensor log_gain;     ///< [d], by channel
  torch::Tensor centroid;     ///< [d], how far a decoded value moves towards the centroid of its cell, 0 to 1
  torch::Tensor class_axes;   ///< [r, d]; empty without classes
  torch::Tensor class_means;  ///< [classes, r]
  torch::Tensor class_sizes;  ///< [groups] int64, how many neighbouring classes each has; empty without groups

  /// u = gain * axes (x - offset) in coding order. Data: [..., d] -> [..., d]. Differentiable.
  torch::Tensor Forward(const torch::Tensor& x) const;
  torch::Tensor Inverse(const torch::Tensor& u) const;
  /// The nearest class of every hidden state. Data: [..., d] -> int64 [...].
  torch::Tensor Classify(const torch::Tensor& x) const;
  /// Name, tensor: what is stored of a codec beside its integers.
  std::vector<std::pair<std::string, torch::Tensor*>> Tensors();
};

/// Width of the cells of an operating point: sqrt(2)^point.
double PointStep(int point);

/// A context codec as it is trained: the integer network of docs/numerics.md in float, with rounded weights.
///
/// Causal: the parameters of group g of token t depend on ids up to t, latents before t, and the groups before g of t.
class ContextCodecImpl : public torch::nn::Module {
 public:
  /// Needs: config.Validate() is Ok. Weights start from torch's current random state.
  explicit ContextCodecImpl(const ContextConfig& config);

  struct Output {
    torch::Tensor reconstruction;  ///< x' [B, T, d]
    torch::Tensor bits;            ///< of every latent [B, T, d], without the ids'
    torch::Tensor latent;          ///< y, whole numbers in float
    torch::Tensor mean, sigma;     ///< in units of y
  };
  /// Data: x [B, T, d]; ids int64 [B, T], undefined without ids; point in [0, points). Differentiable.
  Output Run(const torch::Tensor& x, const torch::Tensor& ids, int point);

  /// Where training starts. Data: axes as in ContextTransform, already in `order`'s terms; deviation [d] of u by
  /// channel.
  void Initialize(const ContextTransform& transform, const torch::Tensor& deviation);

  /// Sets the rows of means that ids add directly to what their tokens have on average, after Initialize.
  /// Data: x [n, d], ids int64 [n]. Needs: config().direct > 0.
  void InitializeDirect(const torch::Tensor& x, const torch::Tensor& ids);

  ContextTransform Transform() const;
  /// The integers that this network stands for.
  ContextNetwork ToIntegers() const;
  const ContextConfig& config() const { return config_; }

 private:
  torch::Tensor Leak(const torch::Tensor& features) const;
  torch::Tensor Look(const torch::Tensor& table, const torch::Tensor& rows) const;
  // What the past and the ids add to the hidden units and to the features.
  struct Base {
    torch::Tensor hidden, feature;
  };
  Base FromIds(const torch::Tensor& ids, int point) const;
  // Of single tokens; what later tokens remember of them. Data: n [B, T, d] latents as the network sees them.
  torch::Tensor Features(const torch::Tensor& n, const torch::Tensor& input, const torch::Tensor& base) const;
  // In units of the channels. Data: both [B, T, d].
  struct Outputs {
    torch::Tensor mean, log_sigma;
  };
  Outputs Predict(const torch::Tensor& n, const torch::Tensor& ids, int point) const;

  ContextConfig config_;
  torch::Tensor offset_, axes_, order_, log_gain_, centroid_, class_axes_, class_means_, class_sizes_, exponent_;
  torch::Tensor input_, past_, output_, scale_output_, base_bias_, feature_bias_, point_bias_, output_bias_;
  torch::Tensor now_, previous_, before_, feature_now_, feature_previous_, pair_, direct_now_, direct_previous_;
};
TORCH_MODULE(ContextCodec);

}  // namespace sluice

#endif  // SLUICE_NEURAL_CONTEXT_CODEC_H_
