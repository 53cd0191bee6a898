// The simplest lossy codec there is: one step for all channels and a histogram for each. It answers how much of the
// task survives rounding alone, and what an entropy model without a network pays for the same integers.
#include "study/torch/step_codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "backbone/torch_setup.h"
#include "plain/static_integers.h"
#include "train/codec_training.h"
#include "train/initial_scale.h"

namespace sluice {
namespace {

constexpr int64_t kFitWindows = 64;
constexpr int64_t kFitBatch = 8;
// Beyond this a step says nothing: 2^30 steps of a hidden state are more than a float tells apart.
constexpr double kMostSteps = 1 << 30;

struct StepSpec {
  std::string basis;
  double step = 0;
};

std::optional<StepSpec> ParseSpec(const std::string& spec) {
  const size_t colon = spec.find(':');
  const std::string basis = spec.substr(0, colon);
  if (colon == std::string::npos || (basis != "step" && basis != "static")) return std::nullopt;
  return StepSpec{basis, std::strtod(spec.c_str() + colon + 1, nullptr)};
}

class StepCodec final : public TensorCodec {
 public:
  // Data: sample [B, T, d].
  static Result<std::unique_ptr<TensorCodec>> Fit(const std::string& name, const StepSpec& spec,
                                                  const torch::Tensor& sample, const CutContext& context) {
    std::unique_ptr<StepCodec> codec(new StepCodec(name, spec.basis, context));
    const HiddenStatistics statistics = MeasureHidden(sample);
    codec->mean_ = statistics.mean;
    codec->axes_ = spec.basis == "static" ? statistics.axes : torch::eye(context.width);
    codec->step_ = spec.step * statistics.deviation.square().mean().sqrt().item<double>();
    const std::vector<int32_t> integers = codec->Quantize(sample);
    const auto width = static_cast<size_t>(context.width);
    SLUICE_ASSIGN_OR_RETURN(codec->coder_, MakeFixedStaticIntegers({integers.data(), integers.size() / width, width}));
    return std::unique_ptr<TensorCodec>(std::move(codec));
  }

  std::string name() const override { return name_; }
  bool learned() const override { return false; }
  int64_t cut() const override { return context_.cut; }
  int64_t longest_chunk() const override { return static_cast<int64_t>(kMaxFrameTokens); }

  StreamHeader Header() const override {
    StreamHeader header;
    header.flags = kFreshFrames;
    header.kind = CodecKind::kPlain;
    std::memcpy(&header.codec_id, basis_.data(), std::min(basis_.size(), sizeof(header.codec_id)));
    header.model_id = ShortId(context_.model);
    header.cut = static_cast<uint16_t>(context_.cut);
    header.width = static_cast<uint32_t>(context_.width);
    return header;
  }

  Status Encode(const torch::Tensor& x, StreamWriter& writer, ChunkBits*) override {
    const std::vector<int32_t> integers = Quantize(x);
    const auto width = static_cast<size_t>(context_.width);
    SLUICE_ASSIGN_OR_RETURN(const IntegerMessages messages,
                            coder_->Encode({integers.data(), integers.size() / width, width}));
    if (messages.parts.size() != 1) return Internal("a chunk of integers became several messages");
    return writer.AddStored(static_cast<uint32_t>(x.size(0)), static_cast<uint32_t>(x.size(1)), messages.parts.front());
  }

  Result<torch::Tensor> Decode(const Frame& frame, StreamReader& /*reader*/) override {
    const auto section = frame.sections.front();
    const IntegerMessages messages{{std::vector<uint8_t>(section.begin(), section.end())}};
    SLUICE_ASSIGN_OR_RETURN(const Matrix<int32_t> integers, coder_->Decode(messages, size_t{frame.batch} * frame.tokens,
                                                                           static_cast<size_t>(context_.width)));
    const auto y = torch::tensor(at::ArrayRef<int32_t>(integers.data(), integers.rows() * integers.cols()))
                       .reshape({frame.batch, frame.tokens, context_.width})
                       .to(torch::kFloat32);
    return torch::matmul(y * step_, axes_) + mean_;
  }

  Status Accepts(const StreamHeader& header) const override {
    return header.codec_id == Header().codec_id ? OkStatus() : Mismatch("a stream of another codec");
  }

 private:
  StepCodec(std::string name, std::string basis, const CutContext& context)
      : name_(std::move(name)), basis_(std::move(basis)), context_(context) {}

  std::vector<int32_t> Quantize(const torch::Tensor& x) const {
    torch::NoGradGuard no_grad;
    const auto y = torch::round(torch::matmul(x - mean_, axes_.t()) / step_)
                       .clamp(-kMostSteps, kMostSteps)
                       .to(torch::kInt32)
                       .contiguous();
    const int32_t* data = y.data_ptr<int32_t>();
    return {data, data + y.numel()};
  }

  std::string name_;
  std::string basis_;
  CutContext context_;
  torch::Tensor mean_, axes_;  // [d], [d, d] with orthonormal rows
  double step_ = 0;
  std::unique_ptr<IntegerCodec> coder_;
};

Result<torch::Tensor> SampleHidden(Backbone& backbone, const std::filesystem::path& model, TextSource fit,
                                   int64_t cut) {
  const int64_t context = fit.context > 0 ? fit.context : backbone.config().context;
  fit.max_tokens = kFitWindows * context;
  SLUICE_ASSIGN_OR_RETURN(const TextWindows windows, TextWindows::Load(model, backbone.config(), fit));
  std::vector<torch::Tensor> parts;
  torch::NoGradGuard no_grad;
  SLUICE_RETURN_IF_ERROR(windows.Visit(kFitBatch, "fit", [&](const torch::Tensor& tokens) {
    if (parts.empty() || parts.front().size(1) == tokens.size(1)) parts.push_back(backbone.Head(tokens, cut));
    return OkStatus();
  }));
  return torch::cat(parts, 0);
}

}  // namespace

Result<std::unique_ptr<TensorCodec>> OpenStudyCodec(const std::string& spec, const CutContext& given,
                                                    Backbone& backbone, const std::filesystem::path& model,
                                                    const TextSource& fit) {
  const auto step = ParseSpec(spec);
  if (!step || std::filesystem::exists(spec)) return OpenTensorCodec(spec, given);
  if (!(step->step > 0)) return InvalidArgument(fmt::format("codec '{}': expected a step above 0", spec));
  if (fit.files.empty()) {
    return InvalidArgument(fmt::format("codec '{}' has tables to fit: --fit-text names no file", spec));
  }
  CutContext context = given;
  SLUICE_ASSIGN_OR_RETURN(context.cut, ChooseCut(context.cut, context.layers));
  SLUICE_ASSIGN_OR_RETURN(const torch::Tensor sample, SampleHidden(backbone, model, fit, context.cut));
  return StepCodec::Fit(spec, *step, sample, context);
}

}  // namespace sluice
