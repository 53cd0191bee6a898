// Two stages. In the first the distortion is a quadratic form in the error of the hidden state, the Fisher information
// of the tail scaled to what rounding is seen to cost; it needs no tail and tells gains, axes and network nearly all
// there is to learn. In the second the tail itself judges. Axes start where the error is white for the tail and the
// signal uncorrelated at once.
#include "train/context_training.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <numbers>
#include <optional>
#include <vector>

#include "backbone/lm_score.h"
#include "backbone/model_identity.h"
#include "backbone/torch_setup.h"
#include "base/file.h"
#include "neural/context_coder.h"
#include "neural/state_classes.h"
#include "train/distortion_loss.h"
#include "train/initial_scale.h"
#include "train/run_text.h"

namespace sluice {
namespace {

constexpr int64_t kClassWindows = 400;
constexpr int64_t kClassBatch = 40;
constexpr int64_t kScaleWindows = 8;
// Learning rates relative to the network's.
constexpr double kTableRateScale = 2.0;  // a row of a table moves only when its id comes up
constexpr double kContextScaleRateScale = 0.3;
constexpr double kContextAxesRateScale = 0.1;

// Where a context codec starts: its transform, the spread of its channels, and the distortion's quadratic form.
struct Start {
  ContextTransform transform;
  torch::Tensor deviation;
  torch::Tensor metric;
  torch::Tensor rows, ids;  // hidden states [n, d] that the rest was found from, and their tokens [n]
};

// Rows that make `covariance` diagonal and `metric` the identity, by falling deviation, which is `deviation`.
torch::Tensor WhiteningAxes(const torch::Tensor& covariance, const torch::Tensor& metric, torch::Tensor& deviation) {
  auto [strength, directions] = torch::linalg_eigh(metric);
  strength = strength.clamp_min(strength.max().item<double>() * 1e-6);
  const auto root = torch::matmul(directions * strength.sqrt(), directions.t());
  const auto [values, vectors] = torch::linalg_eigh(torch::matmul(torch::matmul(root, covariance), root));
  deviation = values.flip(0).clamp_min(1e-12).sqrt();
  return torch::matmul(vectors.t().flip(0), root);
}

void BlockAxes(const ContextConfig& config, const torch::Tensor& covariance, const torch::Tensor& metric,
               Start& start) {
  const int64_t width = config.block > 0 ? config.block : config.width;
  std::vector<torch::Tensor> axes, deviations;
  for (int64_t from = 0; from < config.width; from += width) {
    const auto part = [&](const torch::Tensor& m) {
      return m.slice(0, from, from + width).slice(1, from, from + width);
    };
    torch::Tensor deviation;
    axes.push_back(WhiteningAxes(part(covariance), part(metric), deviation));
    deviations.push_back(deviation);
  }
  start.transform.axes = torch::stack(axes).to(torch::kFloat32);
  const auto all = torch::cat(deviations).to(torch::kFloat32);
  // What no other latent is predicted from may be coded in any order; that of the transform needs no permutation.
  start.transform.order = config.latents ? torch::argsort(all, 0, /*descending=*/true) : torch::arange(config.width);
  start.deviation = all.index_select(0, start.transform.order);
}

// Sets gains so that rounding costs what `lambda` pays for, and scales the metric to the KL that is really seen.
void FitGain(Backbone& backbone, int64_t cut, const torch::Tensor& sample, double lambda, Start& start) {
  const int64_t d = sample.size(2);
  const auto clean = backbone.Tail(sample, cut);
  start.transform.log_gain = torch::zeros({d});
  const auto kl = [&](double gain) {
    start.transform.log_gain.fill_(std::log(gain));
    const auto rounded = start.transform.Inverse(torch::round(start.transform.Forward(sample)));
    return KlNats(clean, backbone.Tail(rounded, cut)).mean().item<double>();
  };
  const double gain = GainForLambda(kl, lambda, d);
  const double measured = kl(gain);  // leaves the gain set
  const auto error = start.transform.Inverse(torch::round(start.transform.Forward(sample))) - sample;
  const double predicted = 0.5 * (torch::matmul(error, start.metric) * error).sum(2).mean().item<double>();
  start.metric = start.metric * (measured / predicted);
  start.deviation = start.deviation * gain;
}

Start FindStart(Backbone& backbone, int64_t cut, const ContextConfig& config, double lambda, BatchDealer& dealer) {
  torch::NoGradGuard no_grad;
  // Only classes and direct rows are found id by id; a large vocabulary alone needs no more than the statistics do.
  const bool by_id = config.ids == ContextIds::kClasses || config.direct > 0;
  const int64_t windows = StartWindows(by_id ? config.id_count : 0, config.context);
  const auto tokens = dealer.Deal(0, windows);
  const auto hidden = HeadInParts(backbone, tokens, cut);
  Start start;
  start.rows = hidden.reshape({-1, config.width});
  start.ids = tokens.reshape({-1});
  const HiddenStatistics statistics = MeasureHidden(hidden);
  const auto spread = statistics.axes * statistics.deviation.unsqueeze(1);
  const auto covariance = torch::matmul(spread.t(), spread).to(torch::kDouble);
  const auto metric = MeasureSensitivity(backbone, cut, hidden.slice(0, 0, kStatisticsWindows));
  start.metric = metric.to(torch::kFloat32);
  start.transform.offset = statistics.mean;
  BlockAxes(config, covariance, metric, start);
  FitGain(backbone, cut, hidden.slice(0, 0, kScaleWindows), lambda, start);
  if (config.ids == ContextIds::kClasses) {
    torch::Tensor deviation;
    const auto axes = WhiteningAxes(covariance, metric, deviation).to(torch::kFloat32);
    start.transform.class_axes = axes.slice(0, 0, config.class_width).contiguous();
    start.transform.class_means = FitClasses(
        torch::matmul(start.rows - statistics.mean, start.transform.class_axes.t()), config.id_count, kClassRounds);
    if (config.class_groups > 0) {
      start.transform.class_sizes = GroupClasses(start.transform.class_means, config.class_groups, kClassRounds);
    }
  }
  return start;
}

class ContextTask : public TrainingTask {
 public:
  ContextTask(const CodecTrainOptions& options, std::shared_ptr<Backbone> backbone, ContextCodec codec,
              torch::Tensor metric, int64_t cut, std::optional<BatchDealer> select)
      : options_(options),
        backbone_(std::move(backbone)),
        codec_(std::move(codec)),
        metric_(std::move(metric)),
        cut_(cut),
        select_(std::move(select)),
        first_tail_window_(static_cast<int64_t>(options.rate_only_share * static_cast<double>(options.loop.steps)) *
                           options.loop.batch * options.loop.accumulate) {}

  std::vector<ParameterGroup> Groups() override {
    ParameterGroup network;
    ParameterGroup tables{.parameters = {}, .rate_scale = kTableRateScale, .decay = false};
    ParameterGroup scales{.parameters = {}, .rate_scale = kContextScaleRateScale, .decay = false};
    ParameterGroup axes{.parameters = {}, .rate_scale = kContextAxesRateScale, .decay = false};
    for (const auto& item : codec_->named_parameters()) {
      const std::string& name = item.key();
      ParameterGroup& group = name == "axes"                             ? axes
                              : name == "log_gain" || name == "centroid" ? scales
                              : name.starts_with("table_")               ? tables
                                                                         : network;
      group.parameters.emplace_back(name, item.value());
    }
    std::vector<ParameterGroup> groups = {network, tables, scales, axes};
    std::erase_if(groups, [](const ParameterGroup& group) { return group.parameters.empty(); });
    return groups;
  }

  std::vector<NamedTensor> State() override { return NamedState(*codec_, ""); }

  StepLoss Forward(const torch::Tensor& tokens, int64_t first_window) override {
    const auto hidden = Hidden(tokens);
    const auto point = static_cast<int>(first_window / options_.loop.batch % codec_->config().points);
    const double lambda = LambdaOf(point);
    const auto output = codec_->Run(hidden, Ids(tokens, hidden), point);
    const auto bits = output.bits.sum() / tokens.numel();
    torch::Tensor distortion;
    if (first_window < first_tail_window_) {
      const auto error = output.reconstruction - hidden;
      distortion = 0.5 * (torch::matmul(error, metric_) * error).sum(2).mean();
    } else {
      torch::Tensor reference;
      if (options_.distortion == Distortion::kKl) {
        torch::NoGradGuard no_grad;
        reference = backbone_->Tail(hidden, cut_);
      }
      distortion =
          DistortionLoss(options_.distortion, *backbone_, cut_, tokens, hidden, output.reconstruction, reference);
    }
    const auto loss = options_.lambda * (bits + distortion / lambda);
    return {loss, {{"distortion", distortion.item<double>()}, {"bits_latent", bits.item<double>()}}};
  }

  Metrics Evaluate() override {
    if (!select_.has_value()) return {};
    const int64_t windows = std::min(kMostSelectWindows, select_->epoch_windows());
    const auto point = static_cast<int>(codec_->config().points / 2);
    double uncut = 0, cut = 0, bits = 0, kl = 0;
    for (int64_t i = 0; i < windows; ++i) {
      const auto tokens = select_->Deal(i, 1);
      const auto hidden = backbone_->Head(tokens, cut_);
      const auto output = codec_->Run(hidden, Ids(tokens, hidden), point);
      const auto clean = backbone_->Tail(hidden, cut_), coded = backbone_->Tail(output.reconstruction, cut_);
      uncut += NextTokenNats(clean, tokens).mean().item<double>();
      cut += NextTokenNats(coded, tokens).mean().item<double>();
      kl += KlNats(clean, coded).mean().item<double>();
      bits += (output.bits.sum() / tokens.numel()).item<double>();
    }
    const auto n = static_cast<double>(windows);
    return {{"bits_latent", bits / n},
            {"kl", kl / n},
            {"perplexity", std::exp(cut / n)},
            {"uncut_perplexity", std::exp(uncut / n)},
            {"perplexity_ratio", std::exp((cut - uncut) / n)}};
  }

  std::string Note(const Metrics& metrics) const override {
    return fmt::format("{:.1f} bits/token  D {:.4f}  {:.0f} tokens/s", MetricValue(metrics, "bits_latent"),
                       MetricValue(metrics, "distortion"), MetricValue(metrics, "tokens_per_second"));
  }

  // All ids that were trained on, for the tables of streams that carry them.
  static torch::Tensor SampleIds(BatchDealer& dealer) {
    std::vector<torch::Tensor> ids;
    for (int64_t i = 0; i < dealer.epoch_windows(); i += kClassBatch) ids.push_back(dealer.Deal(i, kClassBatch));
    return torch::cat(ids, 0);
  }

  // Classes of windows that were trained on, for the tables they are coded with.
  torch::Tensor SampleClasses(BatchDealer& dealer) {
    std::vector<torch::Tensor> classes;
    for (int64_t i = 0; i < std::min(kClassWindows, dealer.epoch_windows()); i += kClassBatch) {
      classes.push_back(codec_->Transform().Classify(Hidden(dealer.Deal(i, kClassBatch))));
    }
    return torch::cat(classes, 0);
  }

 private:
  double LambdaOf(int point) const {
    return options_.lambda * std::exp2(point - static_cast<int>(codec_->config().points / 2));
  }

  torch::Tensor Hidden(const torch::Tensor& tokens) {
    torch::NoGradGuard no_grad;
    return backbone_->Head(tokens, cut_);
  }

  torch::Tensor Ids(const torch::Tensor& tokens, const torch::Tensor& hidden) const {
    if (codec_->config().ids == ContextIds::kTokens) return tokens;
    return codec_->config().ids == ContextIds::kClasses ? codec_->Transform().Classify(hidden) : torch::Tensor();
  }

  const CodecTrainOptions& options_;
  std::shared_ptr<Backbone> backbone_;
  ContextCodec codec_;
  torch::Tensor metric_;
  int64_t cut_;
  std::optional<BatchDealer> select_;
  int64_t first_tail_window_;
};

Result<ContextConfig> ContextConfigFor(const CodecTrainOptions& options, const BackboneConfig& backbone,
                                       int64_t context) {
  SLUICE_ASSIGN_OR_RETURN(ContextConfig config, MakeContextPreset(options.preset, backbone.width, context));
  if (options.side == "tokens") {
    config.ids = ContextIds::kTokens;
    config.id_count = backbone.vocab;
    // A token says less of its state than a class does, so the network has more to say: it is that of decision 17
    // before there were many classes.
    constexpr int64_t kTokenHidden = 160;
    config.hidden = std::max(config.hidden, kTokenHidden);
    config.scale_hidden = config.hidden;
    config.class_groups = 0;
    config.direct = 0;
  } else if (options.side != "none") {
    return InvalidArgument(fmt::format("side information '{}': expected none or tokens", options.side));
  }
  for (const std::string& assignment : options.switches) SLUICE_RETURN_IF_ERROR(config.Set(assignment));
  SLUICE_RETURN_IF_ERROR(config.Validate());
  return config;
}

std::string RunIdentity(const CodecTrainOptions& options, const ContextConfig& config, const std::string& model,
                        const std::string& text, int64_t cut) {
  return nlohmann::ordered_json{{"task", "context"},
                                {"model", model.substr(0, 16)},
                                {"text", text},
                                {"cut", cut},
                                {"codec", config.ToJson()},
                                {"lambda", options.lambda},
                                {"distortion", static_cast<int>(options.distortion)},
                                {"select_share", options.select_share},
                                {"rate_only", options.rate_only_share},
                                {"loop", LoopIdentity(options.loop)}}
      .dump();
}

Status TrainContext(const CodecTrainOptions& options) {
  SLUICE_ASSIGN_OR_RETURN(const auto backbone, LoadBackbone(options.model));
  SLUICE_ASSIGN_OR_RETURN(const int64_t cut, ChooseCut(options.cut, backbone->config().layers));
  SLUICE_ASSIGN_OR_RETURN(RunText text, LoadRunText(options, backbone->config()));
  SLUICE_ASSIGN_OR_RETURN(const ContextConfig config,
                          ContextConfigFor(options, backbone->config(), text.batches.train.context()));
  SLUICE_ASSIGN_OR_RETURN(const Sha256Digest model_digest, ModelIdentity(options.model));
  torch::manual_seed(options.loop.seed);
  ContextCodec codec(config);
  const double finest = options.lambda * std::exp2(-static_cast<int>(config.points / 2));
  Start start = FindStart(*backbone, cut, config, finest, text.batches.train);
  codec->Initialize(start.transform, start.deviation);
  if (config.direct > 0) {
    const bool classes = config.ids == ContextIds::kClasses;
    codec->InitializeDirect(start.rows, classes ? codec->Transform().Classify(start.rows) : start.ids);
  }
  start.rows = start.ids = torch::Tensor();  // hundreds of megabytes at the width of GPT-2
  ContextTask task(options, backbone, codec, start.metric, cut, std::move(text.batches.select));
  const std::string identity = RunIdentity(options, config, ToHex(model_digest), text.identity, cut);
  SLUICE_RETURN_IF_ERROR(RunTraining(task, text.batches.train, options.loop, options.out / "run", identity));
  StoredContext stored;
  stored.network = codec->ToIntegers();
  stored.transform = codec->Transform();
  stored.origin = {.model = model_digest, .cut = cut, .lambda = options.lambda};
  if (config.ids == ContextIds::kClasses) {
    SLUICE_ASSIGN_OR_RETURN(
        stored.classes, FitClassTables(task.SampleClasses(text.batches.train), config, stored.transform.class_sizes));
  }
  if (config.ids == ContextIds::kTokens && HasIdTables(config)) {
    SLUICE_ASSIGN_OR_RETURN(stored.classes,
                            FitClassTables(task.SampleIds(text.batches.train), config, stored.transform.class_sizes));
  }
  return SaveContext(stored, options.out);
}

}  // namespace

Status TrainContextCodec(const CodecTrainOptions& options) {
  if (options.mode != CodecMode::kFrozen) {
    return InvalidArgument(fmt::format("preset {}: only frozen models, mode joint is not for it", options.preset));
  }
  return CatchTorch([&] { return TrainContext(options); });
}

}  // namespace sluice
