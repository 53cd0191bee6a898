// Two conventions live side by side. Grid quantization (the paper): y = round(u), and the distance to the mean that the
// Gaussian sees is y - mean with the mean rounded to 1 / mean_steps. Residual quantization: s = round(u - mean), and
// the mean only shifts the reconstruction, so its precision costs nothing; the analysis then sees u, because y does not
// exist before the mean does.
#include "neural/learned_codec.h"

#include "neural/bounds.h"
#include "neural/codec_shape.h"
#include "neural/gaussian.h"
#include "neural/state_classes.h"

namespace sluice {
namespace {

// exp() of the network's output stays finite, and beyond the widest table, whatever the weights do in early training.
constexpr double kLargestLogSigma = 10.0;
// With a channel prior the networks start as small corrections to it.
constexpr double kPriorStart = 0.1;

}  // namespace

LearnedCodecImpl::LearnedCodecImpl(const CodecConfig& config) : config_(config) {
  transform_ = register_module("transform", FrozenTransform(config));
  const auto add = [&config](const std::vector<BlockShape>& blocks, torch::nn::ModuleList& into) {
    for (const BlockShape& b : blocks) {
      into->push_back(Block(b.in, b.out, config.heads, BlockOptions{b.attention, b.mlp, config.causal, config.window}));
    }
  };
  add(AnalysisBlocks(config), analysis_);
  register_module("analysis", analysis_);
  if (config.prior == PriorKind::kDirect) {
    direct_ = register_module("direct", DirectAccess(config));
    if (config.channel_prior) direct_->ShrinkOutput(kPriorStart);
  } else {
    add(SynthesisBlocks(config), synthesis_);
    if (config.channel_prior) synthesis_->children().back()->as<Block>()->ShrinkOutput(kPriorStart);
    register_module("synthesis", synthesis_);
  }
  if (config.classes > 0) classes_ = register_module("classes", ClassRows(config.classes, config.width));
  density_ = register_module("density", MakeHyperDensity(config.density, config.hyper_channels));
  if (config.channel_prior) log_scale_ = register_parameter("log_scale", torch::zeros({config.width}));
}

torch::Tensor LearnedCodecImpl::Normalized(const torch::Tensor& y) const {
  return log_scale_.defined() ? y * torch::exp(-log_scale_) : y;
}

torch::Tensor LearnedCodecImpl::RunAnalysis(const torch::Tensor& y, const torch::Tensor& u) {
  torch::Tensor v = Normalized(y), classes;
  if (!classes_.is_empty()) {
    classes = classes_->Classify(u, log_scale_.defined() ? torch::exp(log_scale_.detach()) : torch::Tensor());
    v = v - classes_->Rows(classes).slice(2, 0, config_.width);  // what the class says of the means is not news to z
  }
  for (const auto& block : *analysis_) v = block->as<Block>()->forward(v);
  const auto z = RoundStraightThrough(v);
  return classes.defined() ? torch::cat({z, classes.to(z.dtype()).unsqueeze(2)}, 2) : z;
}

EntropyParameters LearnedCodecImpl::Synthesize(const torch::Tensor& hyper) {
  torch::Tensor v = ChannelsIn(hyper);
  for (const auto& block : *synthesis_) v = block->as<Block>()->forward(v);
  if (!classes_.is_empty()) v = v + classes_->Rows(ClassesIn(hyper));
  return ToParameters(v);
}

// Not a slice of everything: gradients would add up in another order, and training would take another path.
torch::Tensor LearnedCodecImpl::ChannelsIn(const torch::Tensor& hyper) const {
  return classes_.is_empty() ? hyper : hyper.slice(2, 0, config_.hyper_channels);
}

torch::Tensor LearnedCodecImpl::ClassesIn(const torch::Tensor& hyper) const {
  // A damaged stream may hold anything.
  return hyper.select(2, config_.hyper_channels).clamp(0, config_.classes - 1).to(torch::kInt64);
}

torch::Tensor LearnedCodecImpl::HyperBits(const torch::Tensor& hyper) {
  const auto bits = density_->Bits(ChannelsIn(hyper));
  return classes_.is_empty() ? bits : torch::cat({bits, classes_->Bits(ClassesIn(hyper))}, 2);
}

EntropyParameters LearnedCodecImpl::StepDirect(DirectAccessImpl::State& state, const torch::Tensor& previous) {
  return ToParameters(direct_->Step(state, previous.defined() ? Normalized(previous) : previous));
}

EntropyParameters LearnedCodecImpl::ToParameters(const torch::Tensor& raw) const {
  const auto halves = raw.chunk(2, -1);
  torch::Tensor mean = halves[0];
  torch::Tensor sigma = halves[1];
  if (log_scale_.defined()) mean = mean * torch::exp(log_scale_);
  if (config_.sigma == SigmaKind::kLog) {
    if (log_scale_.defined()) sigma = sigma + log_scale_;
    sigma = torch::exp(torch::clamp_max(sigma, kLargestLogSigma));
  } else if (log_scale_.defined()) {
    sigma = sigma * torch::exp(log_scale_);
  }
  return {mean, LowerBound(sigma, config_.sigma_floor)};
}

void LearnedCodecImpl::SetChannelScale(const torch::Tensor& deviation) {
  if (!log_scale_.defined()) return;
  torch::NoGradGuard no_grad;
  log_scale_.copy_(torch::log(deviation));
}

void LearnedCodecImpl::StartClasses(const torch::Tensor& x) {
  torch::NoGradGuard no_grad;
  const auto u = transform_->Forward(x);
  const auto means = FitClasses(u, config_.classes, kClassRounds);
  const auto nearest = NearestClass(u, means);
  const auto within = (u - means.index_select(0, nearest)).square().mean(0).sqrt().clamp_min(config_.sigma_floor);
  SetChannelScale(within);
  const auto spread = Normalized(within);
  classes_->Start(Normalized(means), config_.sigma == SigmaKind::kLog ? torch::log(spread) : spread,
                  torch::bincount(nearest, {}, config_.classes));
}

torch::Tensor LearnedCodecImpl::CodedMean(const torch::Tensor& mean) const {
  return torch::round(mean * config_.mean_steps) / config_.mean_steps;
}

torch::Tensor LearnedCodecImpl::LatentLikelihood(const torch::Tensor& latent,
                                                 const EntropyParameters& parameters) const {
  if (config_.residual) return GaussianLikelihood(latent, parameters.sigma);
  const auto distance = latent - parameters.mean;
  // Only the integer part of the mean is used at one step a unit: the distance is a whole number, rounded straight
  // through. Finer means are so close to the true one that training sees the true one.
  return GaussianLikelihood(config_.mean_steps == 1 ? RoundStraightThrough(distance) : distance, parameters.sigma);
}

CodecOutput LearnedCodecImpl::forward(const torch::Tensor& x) { return Code(transform_->Forward(x), true); }

CodecOutput LearnedCodecImpl::RateOnly(const torch::Tensor& x) {
  torch::Tensor u;
  {
    torch::NoGradGuard no_grad;
    u = transform_->Forward(x);
  }
  return Code(u, false);
}

CodecOutput LearnedCodecImpl::Code(const torch::Tensor& u, bool reconstruct) {
  // A norm multiplies the gradient of a row of zeros by 300, and a stack of norms by more than a float holds: tokens
  // whose latents are all zero. The limit is far above any slope that says something.
  constexpr double kSteepest = 1e4;
  const auto y = config_.residual ? u : RoundStraightThrough(u);
  const auto seen = LimitGradient(y, kSteepest);
  const auto hyper = RunAnalysis(seen, u);
  const auto parameters = direct_.is_empty() ? Synthesize(hyper) : ToParameters(direct_(hyper, Normalized(seen)));
  const auto latent = config_.residual ? RoundStraightThrough(u - parameters.mean) : y;
  return {reconstruct ? Reconstruct(latent, parameters) : torch::Tensor(), HyperBits(hyper),
          Bits(LatentLikelihood(latent, parameters)), density_->Penalty()};
}

EncoderOutput LearnedCodecImpl::Analyze(const torch::Tensor& x) {
  torch::NoGradGuard no_grad;
  const auto u = transform_->Forward(x);
  const auto hyper = RunAnalysis(config_.residual ? u : torch::round(u), u).contiguous();
  EntropyParameters parameters = direct_.is_empty() ? Synthesize(hyper) : EntropyParameters{};
  return {hyper, torch::round(config_.residual ? u - parameters.mean : u), std::move(parameters)};
}

torch::Tensor LearnedCodecImpl::Reconstruct(const torch::Tensor& latent, const EntropyParameters& parameters) {
  torch::Tensor y = config_.residual ? latent + parameters.mean : latent;
  if (config_.centroid) {
    const auto distance = config_.residual ? latent : latent - parameters.mean;
    y = y + CentroidShift(distance, parameters.sigma);
  }
  return transform_->Inverse(y);
}

}  // namespace sluice
