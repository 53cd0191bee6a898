#ifndef SLUICE_NEURAL_CODEC_CONFIG_H_
#define SLUICE_NEURAL_CODEC_CONFIG_H_

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/status.h"

namespace sluice {

/// How the codec relates to the model it cuts.
enum class CodecMode {
  kJoint,   ///< the model is trained with the codec and learns its own scale: y = round(x), step 1
  kFrozen,  ///< the model is untouched: y = round(g * (A (x + b)))
};

/// The linear transform A of frozen mode.
enum class TransformKind {
  kNone,     ///< A = I
  kFixed,    ///< orthonormal, principal axes of the training hidden states
  kLearned,  ///< starts as kFixed or as sensitivity axes and is trained with the codec
};

/// How sigma comes out of the synthesis network.
enum class SigmaKind {
  kLinear,  ///< the network's output itself, clamped below (the paper)
  kLog,     ///< its exponential: the gradient is relative, so wide and narrow channels learn alike
};

/// The density of the hyper-latents.
enum class DensityKind {
  kFactorized,   ///< deep factorized (the paper)
  kFourier,      ///< Fourier basis as published: a baseline of the paper
  kFourierSafe,  ///< the same with its tails in the log domain, where they keep a gradient
};

/// What the parameters of y_t are predicted from.
enum class PriorKind {
  kHyper,   ///< z_<=t (the paper)
  kDirect,  ///< z_<=t and y_<t: direct access, a baseline of the paper; decoding goes token by token
};

/// Everything that shapes a learned codec. Presets set all of it; every field is a switch of the ablations.
/// Source: docs/codec.md, "Switches".
struct CodecConfig {
  std::string preset = "paper";
  CodecMode mode = CodecMode::kFrozen;
  int64_t width = 0;            ///< d, of the hidden state
  int64_t heads = 0;            ///< attention heads in every block, as the backbone's
  int64_t context = 0;          ///< longest chunk in tokens
  std::vector<int64_t> widths;  ///< d -> widths... -> hyper_channels, and back
  int64_t hyper_channels = 0;   ///< h

  TransformKind transform = TransformKind::kFixed;
  bool gain = true;            ///< learned gain per channel; off: one common step
  bool residual = false;       ///< s = round(x' - mean), y = mean + s instead of y = round(x')
  bool centroid = false;       ///< rebuild a latent at the centroid of its cell under its Gaussian, not at the middle
  int mean_steps = 1;          ///< mean precision, steps per unit: 1 (integer part), 8 or 16
  bool last_mlp = true;        ///< the MLP of the last synthesis block, 70 % of the parameters
  int64_t last_mlp_ratio = 4;  ///< its hidden width over its output, 1 to 4
  bool attention = true;       ///< attention in every block
  bool causal = true;          ///< off: attention sees the whole chunk, which then codes only as a whole
  int64_t window = 0;          ///< most tokens that attention sees; 0: all of the chunk
  int64_t classes = 0;         ///< classes of states, one of which each token names beside z; 0: none
  DensityKind density = DensityKind::kFactorized;
  PriorKind prior = PriorKind::kHyper;
  SigmaKind sigma = SigmaKind::kLinear;
  bool channel_prior = false;  ///< a learned scale per channel: networks see and predict y in units of it
  double sigma_floor = 0.11;
  bool stream_per_token = false;  ///< two rANS streams a token, as the paper; off: one stream a chunk
  int precision_bits = 14;        ///< log2 of the probability tables' total

  /// The paper's configuration for any width and head count.
  /// w_i = heads * max(1, round(d / 2^i / heads)) for i = 1, 2, 3; h = the multiple of heads nearest min(24, d / 16).
  static CodecConfig Paper(int64_t width, int64_t heads, int64_t context, CodecMode mode);

  /// Errors: InvalidArgument or Unsupported naming the field.
  static Result<CodecConfig> FromJson(const nlohmann::json& json);
  nlohmann::json ToJson() const;

  /// Symbols a token besides its latents: the channels of z, and the class.
  int64_t SideSymbols() const { return hyper_channels + (classes > 0 ? 1 : 0); }

  /// Sets one switch from "name=value", as given to `--set`. Errors: InvalidArgument naming the switches that exist.
  Status Set(const std::string& assignment);

  /// Errors: InvalidArgument naming the field that contradicts another or is out of range.
  Status Validate() const;
};

/// The preset of that name for a model. Errors: InvalidArgument listing the presets.
Result<CodecConfig> MakePreset(const std::string& name, int64_t width, int64_t heads, int64_t context, CodecMode mode);

}  // namespace sluice

#endif  // SLUICE_NEURAL_CODEC_CONFIG_H_
