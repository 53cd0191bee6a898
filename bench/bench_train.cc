// Training throughput, and how much of the machine's matrix product it reaches.
//
// The yardstick is sgemm itself, measured in the same run at the same threads: two runs on a shared machine differ by
// more than most improvements. The floating-point operations of a step are counted from the shapes of its matrix
// products, by hand: 2 a multiply-add, backward twice forward where weights and inputs both get a gradient, once where
// only inputs do. Attention in the codec is counted in full (it computes the masked half too), in the backbone by half.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "backbone/backbone.h"
#include "backbone/lm_score.h"
#include "backbone/torch_setup.h"
#include "base/clock.h"
#include "measuring.h"
#include "neural/codec_shape.h"
#include "neural/learned_codec.h"
#include "train/adamw.h"
#include "train/distortion_loss.h"

namespace sluice {
namespace {

using nlohmann::ordered_json;

struct Shape {
  int64_t layers = 6, width = 128, heads = 4, vocab = 1024, context = 256, batch = 8, steps = 7;
  int threads = 0;
};

template <typename Work>
double MedianSeconds(int64_t repeats, Work&& work) {
  work();  // allocations and thread pools of the first time are nobody's throughput
  std::vector<double> seconds;
  for (int64_t i = 0; i < repeats; ++i) {
    const auto start = Clock::now();
    work();
    seconds.push_back(SecondsSince(start));
  }
  return Median(seconds);
}

double SgemmFlops() {
  constexpr int64_t m = 1024, k = 768, n = 3072;
  const auto a = torch::randn({m, k}), b = torch::randn({k, n});
  auto c = torch::empty({m, n});
  return 2.0 * m * k * n / MedianSeconds(9, [&] { torch::mm_out(c, a, b); });
}

// ---- multiply-adds of a forward pass, per token

double BlockMacs(int64_t in, int64_t out, int64_t tokens, const BlockOptions& options) {
  double macs = in != out ? static_cast<double>(in * out) : 0;
  if (options.attention) macs += static_cast<double>(4 * in * in + 2 * tokens * in);
  macs += static_cast<double>(2 * options.mlp * out * out);
  return macs;
}

double CodecMacs(const CodecConfig& config, int64_t tokens) {
  std::vector<int64_t> widths = {config.width};
  widths.insert(widths.end(), config.widths.begin(), config.widths.end());
  widths.push_back(config.hyper_channels);
  const int64_t last_ratio = config.last_mlp ? config.last_mlp_ratio : 0;
  double macs = 0;
  for (size_t i = 1; i < widths.size(); ++i) {
    const bool last = i == 1;  // of the synthesis, which runs the same widths backwards
    macs += BlockMacs(widths[i - 1], widths[i], tokens, {.attention = config.attention});
    macs += BlockMacs(widths[i], last ? 2 * config.width : widths[i - 1], tokens,
                      {config.attention, last ? last_ratio : kMlpRatio});
  }
  return macs;
}

double LayerMacs(const Shape& shape) {
  return static_cast<double>(12 * shape.width * shape.width + shape.context * shape.width);
}

double OutputMacs(const Shape& shape) { return static_cast<double>(shape.width * shape.vocab); }

// ---- what is measured

struct Measurement {
  std::string name;
  double seconds_a_step = 0, flops_a_token = 0;
};

std::vector<NamedTensor> Parameters(const torch::nn::Module& module) { return NamedState(module, ""); }

template <typename Loss>
double SecondsAStep(AdamW& optimizer, const Shape& shape, Loss&& loss) {
  int64_t step = 0;
  return MedianSeconds(shape.steps, [&] {
    optimizer.ZeroGrad();
    loss().backward();
    optimizer.ClipGradients(1.0);
    optimizer.Step(++step, 1e-4);
  });
}

std::shared_ptr<Backbone> Model(const Shape& shape) {
  return ValueOrThrow(
      CreateBackbone(BackboneConfig::Gpt2(shape.layers, shape.width, shape.heads, shape.vocab, shape.context), 1));
}

torch::Tensor Tokens(const Shape& shape) {
  return torch::randint(0, shape.vocab, {shape.batch, shape.context}, torch::kLong);
}

Measurement MeasurePretraining(const Shape& shape) {
  auto model = Model(shape);
  AdamW optimizer({{.parameters = Parameters(*model)}}, {});
  const auto tokens = Tokens(shape);
  const double seconds =
      SecondsAStep(optimizer, shape, [&] { return NextTokenNats(model->Logits(tokens), tokens).mean(); });
  return {"pretrain", seconds, 2 * 3 * (static_cast<double>(shape.layers) * LayerMacs(shape) + OutputMacs(shape))};
}

Measurement MeasureCodec(const Shape& shape, CodecMode mode, bool rate_only) {
  const bool joint = mode == CodecMode::kJoint;
  const int64_t cut = shape.layers / 2;
  auto model = Model(shape);
  for (auto& parameter : model->parameters()) parameter.set_requires_grad(joint);
  LearnedCodec codec(CodecConfig::Paper(shape.width, shape.heads, shape.context, mode));
  std::vector<ParameterGroup> groups = {{.parameters = {}}};
  for (const auto& item : codec->named_parameters()) groups[0].parameters.emplace_back(item.key(), item.value());
  if (joint) groups.push_back({.parameters = Parameters(*model), .rate_scale = 0.1});
  AdamW optimizer(groups, {});
  const auto tokens = Tokens(shape);
  const double seconds = SecondsAStep(optimizer, shape, [&] {
    torch::Tensor hidden, reference;
    {
      torch::AutoGradMode grad(joint);
      hidden = model->Head(tokens, cut);
      if (!joint && !rate_only) reference = model->Tail(hidden, cut);
    }
    const CodecOutput output = rate_only ? codec->RateOnly(hidden) : codec->forward(hidden);
    const auto rate = (output.bits_hyper.sum() + output.bits_latent.sum()) / tokens.numel();
    if (rate_only) return 1e-3 * rate;
    return 1e-3 * rate + DistortionLoss(joint ? Distortion::kCrossEntropy : Distortion::kKl, *model, cut, tokens,
                                        hidden, output.reconstruction, reference);
  });
  const double head = static_cast<double>(cut) * LayerMacs(shape);
  const double tail = static_cast<double>(shape.layers - cut) * LayerMacs(shape) + OutputMacs(shape);
  const double transform = joint ? 0 : static_cast<double>(shape.width * shape.width);
  double macs = 3 * CodecMacs(codec->config(), shape.context);
  if (joint) {
    macs += 3 * (head + tail);
  } else {
    macs += head + transform;                          // without a gradient
    if (!rate_only) macs += 3 * tail + 2 * transform;  // the reference, the cut model, and the way back to its input
  }
  return {joint ? "codec, joint" : rate_only ? "codec, frozen, rate only" : "codec, frozen", seconds, 2 * macs};
}

ordered_json Report(const Shape& shape, double sgemm, const std::vector<Measurement>& measurements) {
  ordered_json json = {{"layers", shape.layers},
                       {"width", shape.width},
                       {"heads", shape.heads},
                       {"vocab", shape.vocab},
                       {"context", shape.context},
                       {"batch", shape.batch},
                       {"threads", at::get_num_threads()},
                       {"blas", BlasKindName(FindBlas().kind)},
                       {"sgemm_gflops", sgemm * 1e-9},
                       {"training", ordered_json::array()}};
  for (const Measurement& m : measurements) {
    const double tokens_per_second = static_cast<double>(shape.batch * shape.context) / m.seconds_a_step;
    const double flops = m.flops_a_token * tokens_per_second;
    json["training"].push_back({{"what", m.name},
                                {"tokens_per_second", tokens_per_second},
                                {"mflop_per_token", m.flops_a_token * 1e-6},
                                {"gflops", flops * 1e-9},
                                {"share_of_sgemm", flops / sgemm}});
  }
  return json;
}

void Print(const ordered_json& report) {
  std::printf("layers %s  width %s  context %s  batch %s  threads %s  %s\n", report["layers"].dump().c_str(),
              report["width"].dump().c_str(), report["context"].dump().c_str(), report["batch"].dump().c_str(),
              report["threads"].dump().c_str(), report["blas"].get<std::string>().c_str());
  std::printf("sgemm 1024x768x3072: %.1f GFLOP/s\n\n", report["sgemm_gflops"].get<double>());
  std::printf("%-26s %12s %14s %10s %10s\n", "training", "tokens/s", "MFLOP/token", "GFLOP/s", "of sgemm");
  for (const auto& row : report["training"]) {
    std::printf("%-26s %12.0f %14.2f %10.1f %8.0f %%\n", row["what"].get<std::string>().c_str(),
                row["tokens_per_second"].get<double>(), row["mflop_per_token"].get<double>(),
                row["gflops"].get<double>(), 100 * row["share_of_sgemm"].get<double>());
  }
}

void Run(const Shape& shape, bool as_json) {
  ThrowIfError(InitTorch(shape.threads));
  torch::manual_seed(1);
  std::vector<double> peaks = {SgemmFlops()};
  std::vector<Measurement> measurements;
  measurements.push_back(MeasurePretraining(shape));
  peaks.push_back(SgemmFlops());
  measurements.push_back(MeasureCodec(shape, CodecMode::kFrozen, true));
  measurements.push_back(MeasureCodec(shape, CodecMode::kFrozen, false));
  peaks.push_back(SgemmFlops());
  measurements.push_back(MeasureCodec(shape, CodecMode::kJoint, false));
  peaks.push_back(SgemmFlops());
  const ordered_json report = Report(shape, Median(peaks), measurements);
  if (as_json) {
    std::printf("%s\n", report.dump(2).c_str());
  } else {
    Print(report);
  }
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  sluice::Shape shape;
  bool as_json = false;
  CLI::App app("Tokens a second of pre-training and codec training, beside the peak of sgemm in the same run");
  app.add_option("--layers", shape.layers, "Layers of the synthetic GPT-2")->check(CLI::Range(1, 96));
  app.add_option("--width", shape.width,
                 "Width of the hidden state; 768 with --layers 1 --heads 12 is one GPT-2 block");
  app.add_option("--heads", shape.heads, "Attention heads, of model and codec");
  app.add_option("--vocab", shape.vocab, "Tokens in the vocabulary");
  app.add_option("--context", shape.context, "Tokens of a window");
  app.add_option("--batch", shape.batch, "Windows of a step");
  app.add_option("--steps", shape.steps, "Steps measured; the median counts")->check(CLI::Range(1, 10000));
  app.add_option("-t,--threads", shape.threads, "Threads; 0: one a core");
  app.add_flag("--json", as_json, "Print JSON");
  CLI11_PARSE(app, argc, argv);
  const sluice::Status status = sluice::CatchTorch([&] { sluice::Run(shape, as_json); });
  if (!status.ok()) std::fprintf(stderr, "bench_train: %s\n", status.ToString().c_str());
  return sluice::ExitCode(status.code());
}
