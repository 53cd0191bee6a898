#ifndef SLUICE_NEURAL_LEARNED_CODEC_H_
#define SLUICE_NEURAL_LEARNED_CODEC_H_

#include <torch/torch.h>

#include "neural/block.h"
#include "neural/class_rows.h"
#include "neural/codec_config.h"
#include "neural/direct_access.h"
#include "neural/frozen_transform.h"
#include "neural/hyper_density.h"

namespace sluice {

/// What a training step needs of the codec.
struct CodecOutput {
  torch::Tensor reconstruction;  ///< x' [B, T, d]
  torch::Tensor bits_hyper;      ///< ideal bits of every z and of the class [B, T, side symbols]
  torch::Tensor bits_latent;     ///< ideal bits of every y [B, T, d]
  torch::Tensor penalty;         ///< scalar that the density asks training to add; undefined for none
};

/// Mean and standard deviation of every latent element. Data: both [B, T, d]; sigma >= sigma_floor.
struct EntropyParameters {
  torch::Tensor mean;
  torch::Tensor sigma;
};

/// What the encoder of a chunk computes: the integers to code, as whole numbers in float tensors, and the parameters
/// they are coded with, which the decoder recomputes from `hyper`.
struct EncoderOutput {
  torch::Tensor hyper;   ///< z, and the class behind its channels [B, T, side symbols]
  torch::Tensor latent;  ///< y, or the residual s when the codec codes residuals [B, T, d]
  EntropyParameters parameters;
};

/// The learned codec of one cut: transform, analysis, hyper-prior density, synthesis.
///
/// Data flow: x -> u (transform) -> y = round(u) -> z = round(analysis(y)) -> (mean, sigma) = synthesis(z), or of z and
/// the y before with direct access. With classes, u also names a class c: z says what c leaves open, and (mean, sigma)
/// = synthesis(z) + rows of c and of the class before.
/// Causal: z_t depends on y_<=t, the parameters of y_t on z_<=t.
/// Source: docs/codec.md, "Preset paper"; arXiv 2601.22002, section 3.
class LearnedCodecImpl : public torch::nn::Module {
 public:
  /// Needs: config.Validate() is Ok. Weights start from torch's current random state.
  explicit LearnedCodecImpl(const CodecConfig& config);

  /// The differentiable pass. Data: x [B, T, d].
  CodecOutput forward(const torch::Tensor& x);
  /// The same for the entropy model alone: the transform gets no gradient and nothing is reconstructed.
  CodecOutput RateOnly(const torch::Tensor& x);

  /// The parts the coder runs, without gradient. With direct access the parameters are left out: they come from
  /// StepDirect, token by token, on both ends.
  EncoderOutput Analyze(const torch::Tensor& x);
  /// Needs: the prior is kHyper.
  EntropyParameters Synthesize(const torch::Tensor& hyper);
  /// Needs: the prior is kDirect.
  DirectAccessImpl::State BeginDirect(const torch::Tensor& hyper) { return direct_->Begin(hyper); }
  /// Parameters of the next token [B, 1, d]. Data: `previous` is the latent of the token before [B, 1, d].
  EntropyParameters StepDirect(DirectAccessImpl::State& state, const torch::Tensor& previous);
  torch::Tensor Reconstruct(const torch::Tensor& latent, const EntropyParameters& parameters);

  /// The mean as the coder rounds it: to 1 / mean_steps.
  torch::Tensor CodedMean(const torch::Tensor& mean) const;
  /// Ideal probability of coded integers. Data: latent as in EncoderOutput.
  torch::Tensor LatentLikelihood(const torch::Tensor& latent, const EntropyParameters& parameters) const;

  /// Ideal bits of what goes beside the latents. Data: hyper as in EncoderOutput -> the same shape.
  torch::Tensor HyperBits(const torch::Tensor& hyper);

  /// Starts the channel prior at the measured spread of u. Data: deviation [d], positive. A no-op without the switch.
  void SetChannelScale(const torch::Tensor& deviation);

  /// Starts classes at the clusters of hidden states, and the channel prior at the spread within them. Data: x [n, d].
  /// Consumes torch's random state. Needs: the transform is set, and classes are more than 0.
  void StartClasses(const torch::Tensor& x);

  const CodecConfig& config() const { return config_; }
  FrozenTransform& transform() { return transform_; }
  HyperDensityImpl& density() { return *density_; }
  /// Null without classes.
  const ClassRowsImpl* classes() const { return classes_.is_empty() ? nullptr : classes_.get(); }

 private:
  // The side symbols of latents as the analysis sees them, y, and as the search for a class does, u.
  torch::Tensor RunAnalysis(const torch::Tensor& y, const torch::Tensor& u);
  // What the side symbols hold: z [B, T, h] and, with classes, int64 [B, T].
  torch::Tensor ChannelsIn(const torch::Tensor& hyper) const;
  torch::Tensor ClassesIn(const torch::Tensor& hyper) const;
  torch::Tensor Normalized(const torch::Tensor& y) const;
  EntropyParameters ToParameters(const torch::Tensor& raw) const;
  CodecOutput Code(const torch::Tensor& u, bool reconstruct);

  CodecConfig config_;
  FrozenTransform transform_{nullptr};
  torch::nn::ModuleList analysis_;
  torch::nn::ModuleList synthesis_;
  DirectAccess direct_{nullptr};  // instead of synthesis_ with direct access
  ClassRows classes_{nullptr};
  HyperDensity density_;
  torch::Tensor log_scale_;  ///< [d], only with channel_prior
};
TORCH_MODULE(LearnedCodec);

}  // namespace sluice

#endif  // SLUICE_NEURAL_LEARNED_CODEC_H_
