// Frozen mode trains in two stages. While only the entropy model is off, running the tail to learn about distortion is
// wasted time: for the first part of the steps the transform stands still at the gain that lambda asks for and only the
// rate is minimized. Then everything moves under D + lambda R.
#include "train/codec_training.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <numbers>
#include <optional>

#include "backbone/lm_score.h"
#include "backbone/model_identity.h"
#include "backbone/torch_setup.h"
#include "base/file.h"
#include "base/hash.h"
#include "neural/codec_files.h"
#include "neural/context_config.h"
#include "neural/learned_codec.h"
#include "text/tokenizer.h"
#include "train/context_training.h"
#include "train/distortion_loss.h"
#include "train/initial_scale.h"
#include "train/run_text.h"

namespace sluice {
namespace {

constexpr int64_t kScaleSearchWindows = 8;
// Learning rates relative to the networks'.
constexpr double kDensityRateScale = 0.6;
constexpr double kClassRateScale = 2.0;    // a row moves only when its class comes up
constexpr double kScaleRateScale = 0.375;  // gains and channel scales
constexpr double kAxesRateScale = 0.125;
constexpr double kLargestJointGain = 4096;
constexpr double kCoarsestStart = 0.5;  // steps in the deviation of the widest channel

class CodecTask : public TrainingTask {
 public:
  // `teacher`: whose distribution KL compares with; the backbone itself where that stands still.
  CodecTask(const CodecTrainOptions& options, std::shared_ptr<Backbone> backbone, std::shared_ptr<Backbone> teacher,
            LearnedCodec codec, int64_t cut, std::optional<BatchDealer> select)
      : options_(options),
        backbone_(std::move(backbone)),
        teacher_(std::move(teacher)),
        codec_(std::move(codec)),
        cut_(cut),
        select_(std::move(select)),
        rate_only_windows_(
            options.mode == CodecMode::kFrozen
                ? static_cast<int64_t>(options.rate_only_share * static_cast<double>(options.loop.steps)) *
                      options.loop.batch * options.loop.accumulate
                : 0) {}

  std::vector<ParameterGroup> Groups() override {
    ParameterGroup networks;
    ParameterGroup density{.parameters = {}, .rate_scale = kDensityRateScale, .decay = false};
    ParameterGroup tables{.parameters = {}, .rate_scale = kClassRateScale, .decay = false};
    ParameterGroup scales{.parameters = {}, .rate_scale = kScaleRateScale, .decay = false};
    ParameterGroup axes{.parameters = {}, .rate_scale = kAxesRateScale, .decay = false};
    for (const auto& item : codec_->named_parameters()) {
      const std::string& name = item.key();
      ParameterGroup& group = name == "transform.axes"                              ? axes
                              : name == "transform.log_gain" || name == "log_scale" ? scales
                              : name.starts_with("density.")                        ? density
                              : name.starts_with("classes.")                        ? tables
                                                                                    : networks;
      group.parameters.emplace_back("codec." + name, item.value());
    }
    std::vector<ParameterGroup> groups = {networks, density, tables, scales, axes};
    if (options_.mode == CodecMode::kJoint) {
      ParameterGroup backbone{.parameters = {}, .rate_scale = options_.backbone_rate_scale};
      for (const auto& item : backbone_->named_parameters()) {
        backbone.parameters.emplace_back("model." + item.key(), item.value());
      }
      groups.push_back(backbone);
    }
    return groups;
  }

  std::vector<NamedTensor> State() override {
    std::vector<NamedTensor> state = NamedState(*codec_, "codec.");
    if (options_.mode == CodecMode::kJoint) {
      for (auto& item : NamedState(*backbone_, "model.")) state.push_back(std::move(item));
    }
    return state;
  }

  StepLoss Forward(const torch::Tensor& tokens, int64_t first_window) override {
    const torch::Tensor hidden = Hidden(tokens);
    const bool rate_only = first_window < rate_only_windows_;
    const CodecOutput output = rate_only ? codec_->RateOnly(hidden) : codec_->forward(hidden);
    const auto count = static_cast<double>(tokens.numel());
    const auto hyper = output.bits_hyper.sum() / count;
    const auto latent = output.bits_latent.sum() / count;
    torch::Tensor loss = options_.lambda * (hyper + latent);
    if (output.penalty.defined()) loss = loss + output.penalty;
    Metrics metrics;
    if (!rate_only) {
      const auto distortion = DistortionLoss(options_.distortion, *backbone_, cut_, tokens, hidden,
                                             output.reconstruction, ReferenceLogits(tokens, hidden));
      loss = loss + distortion;
      metrics.emplace_back("distortion", distortion.item<double>());
    }
    metrics.emplace_back("bits_per_token", (hyper + latent).item<double>());
    metrics.emplace_back("bits_hyper", hyper.item<double>());
    metrics.emplace_back("bits_latent", latent.item<double>());
    return {loss, metrics};
  }

  Metrics Evaluate() override {
    if (!select_.has_value()) return {};
    const int64_t windows = std::min(kMostSelectWindows, select_->epoch_windows());
    double uncut = 0, cut = 0, bits = 0;
    for (int64_t i = 0; i < windows; ++i) {
      const auto tokens = select_->Deal(i, 1);
      const auto hidden = backbone_->Head(tokens, cut_);
      const CodecOutput output = codec_->forward(hidden);
      uncut += NextTokenNats(backbone_->Tail(hidden, cut_), tokens).mean().item<double>();
      cut += NextTokenNats(backbone_->Tail(output.reconstruction, cut_), tokens).mean().item<double>();
      bits += ((output.bits_hyper.sum() + output.bits_latent.sum()) / tokens.numel()).item<double>();
    }
    const auto n = static_cast<double>(windows);
    return {{"bits_per_token", bits / n},
            {"perplexity", std::exp(cut / n)},
            {"uncut_perplexity", std::exp(uncut / n)},
            {"perplexity_ratio", std::exp((cut - uncut) / n)}};
  }

  std::string Note(const Metrics& metrics) const override {
    const double distortion = MetricValue(metrics, "distortion");
    return fmt::format("{:.1f} bits/token{}  {:.0f} tokens/s", MetricValue(metrics, "bits_per_token"),
                       std::isnan(distortion) ? "" : fmt::format("  D {:.4f}", distortion),
                       MetricValue(metrics, "tokens_per_second"));
  }

 private:
  torch::Tensor Hidden(const torch::Tensor& tokens) {
    if (options_.mode == CodecMode::kJoint) return backbone_->Head(tokens, cut_);
    torch::NoGradGuard no_grad;
    return backbone_->Head(tokens, cut_);
  }

  torch::Tensor ReferenceLogits(const torch::Tensor& tokens, const torch::Tensor& hidden) {
    if (options_.distortion != Distortion::kKl) return {};
    torch::NoGradGuard no_grad;
    return teacher_ == backbone_ ? backbone_->Tail(hidden, cut_) : teacher_->Logits(tokens);
  }

  const CodecTrainOptions& options_;
  std::shared_ptr<Backbone> backbone_;
  std::shared_ptr<Backbone> teacher_;
  LearnedCodec codec_;
  int64_t cut_;
  std::optional<BatchDealer> select_;
  int64_t rate_only_windows_;
};

// The backbone of joint mode trained on the same batches without the codec: what its quality must be compared with.
class ReferenceTask : public TrainingTask {
 public:
  ReferenceTask(const CodecTrainOptions& options, std::shared_ptr<Backbone> backbone)
      : options_(options), backbone_(std::move(backbone)) {}

  std::vector<ParameterGroup> Groups() override {
    ParameterGroup group{.parameters = {}, .rate_scale = options_.backbone_rate_scale};
    for (const auto& item : backbone_->named_parameters()) {
      group.parameters.emplace_back("model." + item.key(), item.value());
    }
    return {group};
  }
  std::vector<NamedTensor> State() override { return NamedState(*backbone_, "model."); }
  StepLoss Forward(const torch::Tensor& tokens, int64_t) override {
    return {NextTokenNats(backbone_->Logits(tokens), tokens).mean(), {}};
  }
  std::string Note(const Metrics& metrics) const override {
    return fmt::format("reference: loss {:.4f} nats", MetricValue(metrics, "loss"));
  }

 private:
  const CodecTrainOptions& options_;
  std::shared_ptr<Backbone> backbone_;
};

// Sets where training starts: axes, offset and gain in frozen mode, the stream's own scale in joint mode.
void Initialize(const CodecTrainOptions& options, Backbone& backbone, LearnedCodec& codec, int64_t cut,
                BatchDealer& dealer) {
  torch::NoGradGuard no_grad;
  const auto hidden = backbone.Head(dealer.Deal(0, kStatisticsWindows), cut);
  HiddenStatistics statistics = MeasureHidden(hidden);
  const auto sample = hidden.slice(0, 0, kScaleSearchWindows);
  const CodecConfig& config = codec->config();
  const bool axes = config.transform != TransformKind::kNone;
  if (!axes) {
    statistics.axes = torch::eye(config.width);
    statistics.deviation = hidden.slice(1, 1).reshape({-1, config.width}).std(0, false).clamp_min(1e-6);
  }
  const auto distortion = [&](double gain) {
    if (options.distortion == Distortion::kMse) return 1 / (12 * gain * gain);
    return RoundingKl(backbone, cut, sample, statistics.axes, gain);
  };
  // Where the layers after the cut hardly listen, rounding everything to zero may cost less than lambda pays; a codec
  // that starts there has nothing to learn from.
  const double coarsest = kCoarsestStart / statistics.deviation.max().item<double>();
  const double gain = std::max(coarsest, GainForLambda(distortion, options.lambda, config.width));
  if (options.mode == CodecMode::kFrozen) {
    codec->transform()->Set(-statistics.mean, statistics.axes, torch::full({config.width}, gain));
  } else {
    RescaleResidualStream(backbone, std::min(gain, kLargestJointGain));
  }
  if (config.classes == 0) return codec->SetChannelScale(statistics.deviation * gain);
  const auto tokens = dealer.Deal(0, StartWindows(config.classes, config.context));
  codec->StartClasses(HeadInParts(backbone, tokens, cut).reshape({-1, config.width}));
}

std::string RunIdentity(const CodecTrainOptions& options, const CodecConfig& config, const std::string& model,
                        const std::string& text, int64_t cut) {
  return nlohmann::ordered_json{{"task", "codec"},
                                {"model", model.substr(0, 16)},
                                {"text", text},
                                {"cut", cut},
                                {"codec", config.ToJson()},
                                {"lambda", options.lambda},
                                {"distortion", static_cast<int>(options.distortion)},
                                {"context", options.context},
                                {"select_share", options.select_share},
                                {"rate_only", options.rate_only_share},
                                {"backbone_rate", options.backbone_rate_scale},
                                {"loop", LoopIdentity(options.loop)}}
      .dump();
}

Result<CodecConfig> ConfigFor(const CodecTrainOptions& options, const BackboneConfig& backbone, int64_t context) {
  SLUICE_ASSIGN_OR_RETURN(CodecConfig config,
                          MakePreset(options.preset, backbone.width, backbone.heads, context, options.mode));
  for (const std::string& assignment : options.switches) SLUICE_RETURN_IF_ERROR(config.Set(assignment));
  SLUICE_RETURN_IF_ERROR(config.Validate());
  return config;
}

void RequireGradients(torch::nn::Module& module) {
  for (auto& parameter : module.parameters()) parameter.set_requires_grad(true);
}

Status CopyTokenizer(const std::filesystem::path& from, const std::filesystem::path& to) {
  SLUICE_ASSIGN_OR_RETURN(const auto files, TokenizerFiles(from));
  for (const auto& file : files) {
    SLUICE_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(file));
    SLUICE_RETURN_IF_ERROR(WriteFileAtomic(to / file.filename(), bytes));
  }
  return OkStatus();
}

Status SaveModel(const Backbone& backbone, const CodecTrainOptions& options, const std::filesystem::path& folder) {
  SLUICE_RETURN_IF_ERROR(MakeFolder(folder));
  SLUICE_RETURN_IF_ERROR(SaveBackbone(backbone, folder));
  return CopyTokenizer(options.model, folder);
}

Status TrainReference(const CodecTrainOptions& options, BatchDealer& dealer, const std::string& identity) {
  SLUICE_ASSIGN_OR_RETURN(const auto backbone, LoadBackbone(options.model));
  RequireGradients(*backbone);
  ReferenceTask task(options, backbone);
  SLUICE_RETURN_IF_ERROR(RunTraining(task, dealer, options.loop, options.out / "run-reference", identity));
  return SaveModel(*backbone, options, options.out / "reference");
}

Status TrainAll(const CodecTrainOptions& options) {
  const std::filesystem::path results[] = {options.out / "codec.json", options.out / "codec" / "codec.json"};
  SLUICE_RETURN_IF_ERROR(CheckNothingReplaced(options.out / "run", results));
  SLUICE_ASSIGN_OR_RETURN(const auto backbone, LoadBackbone(options.model));
  SLUICE_ASSIGN_OR_RETURN(const int64_t cut, ChooseCut(options.cut, backbone->config().layers));
  SLUICE_ASSIGN_OR_RETURN(RunText text, LoadRunText(options, backbone->config()));
  SLUICE_ASSIGN_OR_RETURN(const CodecConfig config,
                          ConfigFor(options, backbone->config(), text.batches.train.context()));
  SLUICE_ASSIGN_OR_RETURN(const Sha256Digest model_digest, ModelIdentity(options.model));

  torch::manual_seed(options.loop.seed);
  LearnedCodec codec(config);
  Initialize(options, *backbone, codec, cut, text.batches.train);
  const bool joint = options.mode == CodecMode::kJoint;
  std::shared_ptr<Backbone> teacher = backbone;
  if (joint) {
    RequireGradients(*backbone);
    if (options.distortion == Distortion::kKl) {
      SLUICE_ASSIGN_OR_RETURN(teacher, LoadBackbone(options.model));
    }
  }
  CodecTask task(options, backbone, teacher, codec, cut, std::move(text.batches.select));
  const std::string identity = RunIdentity(options, config, ToHex(model_digest), text.identity, cut);
  SLUICE_RETURN_IF_ERROR(RunTraining(task, text.batches.train, options.loop, options.out / "run", identity));
  CodecOrigin origin{.model = model_digest, .cut = cut, .lambda = options.lambda};
  if (!joint) return SaveCodec(codec, origin, options.out);

  SLUICE_RETURN_IF_ERROR(SaveModel(*backbone, options, options.out / "model"));
  SLUICE_ASSIGN_OR_RETURN(origin.model, ModelIdentity(options.out / "model"));
  SLUICE_RETURN_IF_ERROR(SaveCodec(codec, origin, options.out / "codec"));
  if (!options.train_reference) return OkStatus();
  return TrainReference(options, text.batches.train, identity);
}

}  // namespace

Result<int64_t> ChooseCut(int64_t asked, int64_t layers) {
  const int64_t cut = asked < 0 ? layers / 2 : asked;
  if (cut > layers) {
    return InvalidArgument(
        fmt::format("cut {} is out of range: the model has {} layers, so 0 to {}", cut, layers, layers));
  }
  return cut;
}

Result<Distortion> ParseDistortion(const std::string& name) {
  if (name == "ce") return Distortion::kCrossEntropy;
  if (name == "kl") return Distortion::kKl;
  if (name == "mse") return Distortion::kMse;
  return InvalidArgument(fmt::format("distortion '{}': expected one of ce, kl, mse", name));
}

Status TrainCodec(const CodecTrainOptions& options) {
  if (!(options.lambda > 0)) return InvalidArgument(fmt::format("lambda must be positive, got {}", options.lambda));
  SLUICE_RETURN_IF_ERROR(CheckSelectShare(options.select_share));
  if (options.mode == CodecMode::kJoint && options.distortion == Distortion::kMse) {
    return InvalidArgument(
        "distortion mse: in joint mode the model would shrink its hidden states to please it; use ce or kl");
  }
  if (IsContextPreset(options.preset)) return TrainContextCodec(options);
  if (options.side != "none") {
    return InvalidArgument(fmt::format("side information: preset {} takes none", options.preset));
  }
  return CatchTorch([&] { return TrainAll(options); });
}

}  // namespace sluice
