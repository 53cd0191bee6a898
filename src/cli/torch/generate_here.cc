// One process plays both ends: what the head has computed goes through the link's codec, as the bytes that a network
// would carry, before the tail computes. A chain of nodes must give the same tokens, since it makes the same calls.
#include <fmt/format.h>
#include <torch/torch.h>

#include <cstring>
#include <optional>

#include "backbone/kv_cache.h"
#include "backbone/model_identity.h"
#include "backbone/torch_setup.h"
#include "cli/torch/generate_run.h"
#include "cli/torch/torch_stage.h"
#include "train/codec_training.h"
#include "wire/handshake.h"

namespace sluice {
namespace {

class Runner {
 public:
  static Result<Runner> Open(const GenerateVerbOptions& options) {
    Runner runner;
    SLUICE_ASSIGN_OR_RETURN(runner.backbone_, LoadBackbone(options.model));
    runner.cache_.emplace(runner.config(), 1);
    runner.chunk_ = options.chunk;
    if (options.codec.empty()) {
      if (!options.require.empty())
        return InvalidArgument("--require: there is no codec whose certificate could say it");
      return runner;
    }
    SLUICE_ASSIGN_OR_RETURN(const Sha256Digest model, ModelIdentity(options.model));
    SLUICE_ASSIGN_OR_RETURN(runner.cut_, CutOf(options, runner.config().layers));
    const StageInfo place{.total = static_cast<uint32_t>(runner.config().layers),
                          .width = static_cast<uint32_t>(runner.config().width),
                          .context = static_cast<uint64_t>(runner.config().context),
                          .model = model};
    SLUICE_ASSIGN_OR_RETURN(runner.codec_, OpenAnyLinkCodec(options.codec, place, runner.cut_));
    SLUICE_RETURN_IF_ERROR(CheckRequirement(*runner.codec_, options.require));
    if (runner.codec_->cut() >= 0) runner.cut_ = runner.codec_->cut();
    SLUICE_ASSIGN_OR_RETURN(runner.cut_, ChooseCut(runner.cut_, runner.config().layers));
    SLUICE_ASSIGN_OR_RETURN(LinkSender sender, LinkSender::Make(*runner.codec_));
    runner.sender_.emplace(std::move(sender));
    runner.receiver_.emplace(*runner.codec_);
    return runner;
  }

  const BackboneConfig& config() const { return backbone_->config(); }
  uint64_t wire_bytes() const { return wire_bytes_; }
  bool cut() const { return codec_ != nullptr; }

  torch::Tensor Next(const torch::Tensor& tokens) {
    torch::NoGradGuard no_grad;
    const int64_t count = tokens.size(1), chunk = chunk_ == 0 ? count : static_cast<int64_t>(chunk_);
    torch::Tensor hidden;
    for (int64_t begin = 0; begin < count; begin += chunk) {
      hidden = RunChunk(tokens.slice(1, begin, std::min(begin + chunk, count)));
    }
    return backbone_->Unembed(hidden.slice(1, hidden.size(1) - 1));
  }

 private:
  /// The codec's own cut, the one asked for, or the middle.
  static Result<int64_t> CutOf(const GenerateVerbOptions& options, int64_t layers) {
    if (options.cut < 0 && HasOwnCut(options.codec)) return -1;
    return ChooseCut(options.cut, layers);
  }

  torch::Tensor RunChunk(const torch::Tensor& tokens) {
    if (!cut()) return backbone_->Head(tokens, config().layers, &*cache_);
    const torch::Tensor hidden = backbone_->Head(tokens, cut_, &*cache_).contiguous();
    const LinkFrame frame = ValueOrThrow(sender_->Push(
        {hidden.data_ptr<float>(), static_cast<size_t>(hidden.size(1)), static_cast<size_t>(hidden.size(2))}));
    wire_bytes_ += frame.payload.size();
    const Matrix<float> decoded = ValueOrThrow(receiver_->Pull(frame));
    torch::Tensor received = torch::empty_like(hidden);
    std::memcpy(received.data_ptr<float>(), decoded.data(), decoded.View().size() * sizeof(float));
    return backbone_->Layers(received, cut_, config().layers, &*cache_);
  }

  std::shared_ptr<Backbone> backbone_;
  std::optional<KvCache> cache_;
  std::unique_ptr<LinkCodec> codec_;
  std::optional<LinkSender> sender_;
  std::optional<LinkReceiver> receiver_;
  int64_t cut_ = 0;
  uint32_t chunk_ = 0;
  uint64_t wire_bytes_ = 0;
};

}  // namespace

Result<GenerateResult> GenerateHere(const GenerateVerbOptions& options, const std::vector<int64_t>& prompt,
                                    const TokenSink& on_token) {
  SLUICE_ASSIGN_OR_RETURN(Runner runner, Runner::Open(options));
  GenerateOptions generate = options.generate;
  generate.context = runner.config().context;
  generate.stop = runner.config().eos;
  GenerateResult result;
  SLUICE_ASSIGN_OR_RETURN(result.ids,
                          Generate([&](const torch::Tensor& t) { return runner.Next(t); }, prompt, generate, on_token));
  if (!runner.cut()) return result;
  const auto sent = static_cast<double>(prompt.size() + result.ids.size());
  const double bits = 8.0 * static_cast<double>(runner.wire_bytes()) / sent;
  result.details = {{"wire_bytes", runner.wire_bytes()}, {"bits_per_token", bits}};
  result.text = fmt::format("[{} bytes crossed the cut, {:.1f} bits per token]", runner.wire_bytes(), bits);
  return result;
}

}  // namespace sluice
