// Where the service and the transformer meet: matrices on one side, tensors on the other, and the thread count that
// every thread has to be told by itself, because OpenMP keeps it by thread.
#include "cli/torch/torch_stage.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <charconv>
#include <cstring>
#include <mutex>

#include "backbone/generate.h"
#include "backbone/kv_cache.h"
#include "backbone/model_identity.h"
#include "backbone/torch_setup.h"
#include "neural/codec_files.h"
#include "study/torch/tensor_codec.h"

namespace sluice {
namespace {

struct TorchState final : StageState {
  TorchState(const BackboneConfig& config, int64_t positions) : cache(config, 1, positions) {}
  KvCache cache;
};

class TorchSampler final : public TokenSampler {
 public:
  explicit TorchSampler(Sampler sampler) : sampler_(std::move(sampler)) {}
  Result<int64_t> Next(std::span<const float> logits) override { return sampler_.Next(logits); }

 private:
  Sampler sampler_;
};

/// What a thread needs before it computes.
class TorchThread {
 public:
  TorchThread() {
    thread_local bool ready = false;
    if (ready) return;
    at::set_num_threads(at::get_num_threads());
    ready = true;
  }

 private:
  torch::NoGradGuard no_grad_;
};

torch::Tensor TensorOf(MatrixView<const float> rows) {
  return torch::from_blob(const_cast<float*>(rows.data()),
                          {1, static_cast<int64_t>(rows.rows()), static_cast<int64_t>(rows.cols())}, torch::kFloat)
      .clone();
}

Matrix<float> MatrixOf(const torch::Tensor& tensor) {
  const torch::Tensor rows = tensor.contiguous();
  Matrix<float> matrix(static_cast<size_t>(rows.size(0) * rows.size(1)), static_cast<size_t>(rows.size(2)));
  std::memcpy(matrix.data(), rows.data_ptr<float>(), matrix.View().size() * sizeof(float));
  return matrix;
}

/// A trained codec on float networks, between two processes of the same build.
class TensorLinkCodec final : public LinkCodec {
 public:
  explicit TensorLinkCodec(std::unique_ptr<TensorCodec> codec) : codec_(std::move(codec)), header_(codec_->Header()) {}

  std::string name() const override { return codec_->name(); }
  std::string identity() const override { return fmt::format("trained:{:016x}", header_.codec_id); }
  std::string profile() const override { return fmt::format("{}; {} threads", TorchBuildProfile(), header_.threads); }
  int64_t cut() const override { return codec_->cut(); }
  uint32_t longest_chunk() const override { return static_cast<uint32_t>(codec_->longest_chunk()); }
  StreamHeader Header() const override { return header_; }
  Status CheckHeader(const StreamHeader& header) const override { return codec_->Accepts(header); }
  std::unique_ptr<FrameEncoder> NewEncoder() const override { return std::make_unique<Encoder>(*this); }
  std::unique_ptr<FrameDecoder> NewDecoder() const override { return std::make_unique<Decoder>(*this); }

 private:
  class Encoder final : public FrameEncoder {
   public:
    explicit Encoder(const TensorLinkCodec& codec) : codec_(codec) {}
    Status Push(MatrixView<const float> hidden, uint32_t, StreamWriter& writer) override {
      const std::lock_guard<std::mutex> lock(codec_.mutex_);
      const TorchThread thread;
      return CatchTorch([&] { return codec_.codec_->Encode(TensorOf(hidden), writer, nullptr); });
    }

   private:
    const TensorLinkCodec& codec_;
  };

  class Decoder final : public FrameDecoder {
   public:
    explicit Decoder(const TensorLinkCodec& codec) : codec_(codec) {}
    Result<Matrix<float>> Pull(const Frame& frame, StreamReader& reader) override {
      const std::lock_guard<std::mutex> lock(codec_.mutex_);
      const TorchThread thread;
      return CatchTorch([&]() -> Result<Matrix<float>> {
        SLUICE_ASSIGN_OR_RETURN(const torch::Tensor hidden, codec_.codec_->Decode(frame, reader));
        return MatrixOf(hidden);
      });
    }

   private:
    const TensorLinkCodec& codec_;
  };

  mutable std::mutex mutex_;  // one user at a time, of all sessions
  std::unique_ptr<TensorCodec> codec_;
  StreamHeader header_;
};

Result<int64_t> ParseLayer(std::string_view text, int64_t otherwise) {
  if (text.empty()) return otherwise;
  int64_t layer = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), layer);
  if (error != std::errc() || end != text.data() + text.size() || layer < 0) {
    return InvalidArgument(fmt::format("'{}' is not a layer", text));
  }
  return layer;
}

}  // namespace

Result<LayerRange> ParseLayers(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) {
    return InvalidArgument(fmt::format("'{}' are not layers; expected I:J, :J or I:, the last one not included", text));
  }
  LayerRange range;
  SLUICE_ASSIGN_OR_RETURN(range.begin, ParseLayer(text.substr(0, colon), 0));
  SLUICE_ASSIGN_OR_RETURN(range.end, ParseLayer(text.substr(colon + 1), -1));
  return range;
}

Result<std::unique_ptr<TorchStage>> TorchStage::Load(const std::filesystem::path& model, LayerRange range) {
  SLUICE_ASSIGN_OR_RETURN(auto backbone, LoadBackbone(model, range));
  SLUICE_ASSIGN_OR_RETURN(const Sha256Digest identity, ModelIdentity(model));
  const BackboneConfig& config = backbone->config();
  const LayerRange loaded = backbone->range();
  std::unique_ptr<TorchStage> stage(new TorchStage(std::move(backbone)));
  stage->info_ = {.begin = static_cast<uint32_t>(loaded.begin),
                  .end = static_cast<uint32_t>(loaded.end),
                  .total = static_cast<uint32_t>(config.layers),
                  .width = static_cast<uint32_t>(config.width),
                  .context = static_cast<uint64_t>(config.context),
                  .model = identity,
                  .bytes_per_position = static_cast<uint64_t>(2 * (loaded.end - loaded.begin) * config.kv_heads *
                                                              config.head_dim * static_cast<int64_t>(sizeof(float)))};
  return stage;
}

Result<std::unique_ptr<StageState>> TorchStage::NewState(uint64_t positions) {
  return CatchTorch([&]() -> Result<std::unique_ptr<StageState>> {
    return std::unique_ptr<StageState>(new TorchState(config(), static_cast<int64_t>(positions)));
  });
}

Result<std::unique_ptr<TokenSampler>> TorchStage::NewSampler(const SamplingChoice& choice) {
  SLUICE_ASSIGN_OR_RETURN(
      Sampler sampler,
      Sampler::Create(
          {.temperature = choice.temperature, .top_k = choice.top_k, .top_p = choice.top_p, .seed = choice.seed}));
  return std::unique_ptr<TokenSampler>(new TorchSampler(std::move(sampler)));
}

Result<Matrix<float>> TorchStage::Embed(StageState& state, std::span<const int64_t> tokens) {
  return CatchTorch([&]() -> Result<Matrix<float>> {
    const TorchThread thread;
    const auto ids = torch::tensor(std::vector<int64_t>(tokens.begin(), tokens.end()), torch::kLong).unsqueeze(0);
    return MatrixOf(backbone_->Embed(ids, &static_cast<TorchState&>(state).cache));
  });
}

Result<Matrix<float>> TorchStage::Run(StageState& state, MatrixView<const float> hidden) {
  return CatchTorch([&]() -> Result<Matrix<float>> {
    const TorchThread thread;
    return MatrixOf(
        backbone_->Layers(TensorOf(hidden), info_.begin, info_.end, &static_cast<TorchState&>(state).cache));
  });
}

Result<std::vector<float>> TorchStage::Logits(std::span<const float> hidden) {
  return CatchTorch([&]() -> Result<std::vector<float>> {
    const TorchThread thread;
    const torch::Tensor logits = backbone_->Unembed(TensorOf({hidden.data(), 1, hidden.size()})).contiguous();
    return std::vector<float>(logits.data_ptr<float>(), logits.data_ptr<float>() + logits.numel());
  });
}

bool HasOwnCut(const std::string& spec) {
  std::error_code error;
  return IsPackSpec(spec) || std::filesystem::is_directory(spec, error);
}

Result<std::unique_ptr<LinkCodec>> OpenAnyLinkCodec(const std::string& spec, const StageInfo& stage, int64_t cut) {
  if (!IsCodecFolder(spec)) return OpenLinkCodec(spec, {stage.model, stage.width, cut});
  SLUICE_ASSIGN_OR_RETURN(
      auto codec,
      OpenTensorCodec(spec, {.model = stage.model, .layers = stage.total, .width = stage.width, .cut = cut}));
  return std::unique_ptr<LinkCodec>(new TensorLinkCodec(std::move(codec)));
}

}  // namespace sluice
