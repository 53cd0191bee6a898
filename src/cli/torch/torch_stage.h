#ifndef SLUICE_CLI_TORCH_TORCH_STAGE_H_
#define SLUICE_CLI_TORCH_TORCH_STAGE_H_

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "backbone/backbone.h"
#include "wire/link_codec.h"
#include "wire/stage_runner.h"

namespace sluice {

/// Layers as they are asked for: "2:4", ":3", "3:" or ":". Errors: InvalidArgument.
Result<LayerRange> ParseLayers(std::string_view text);

/// Layers of a transformer, plugged into the service.
class TorchStage final : public StageRunner {
 public:
  /// Loads the layers alone, and what belongs to the ends that they have. Errors: those of LoadBackbone.
  static Result<std::unique_ptr<TorchStage>> Load(const std::filesystem::path& model, LayerRange range);

  const StageInfo& info() const override { return info_; }
  const BackboneConfig& config() const { return backbone_->config(); }

  Result<std::unique_ptr<StageState>> NewState(uint64_t positions) override;
  Result<std::unique_ptr<TokenSampler>> NewSampler(const SamplingChoice& choice) override;
  Result<Matrix<float>> Embed(StageState& state, std::span<const int64_t> tokens) override;
  Result<Matrix<float>> Run(StageState& state, MatrixView<const float> hidden) override;
  Result<std::vector<float>> Logits(std::span<const float> hidden) override;

 private:
  explicit TorchStage(std::shared_ptr<Backbone> backbone) : backbone_(std::move(backbone)) {}

  std::shared_ptr<Backbone> backbone_;
  StageInfo info_;
};

/// Whether OpenAnyLinkCodec finds a trained codec, which knows its cut, and not a plain one.
bool HasOwnCut(const std::string& spec);

/// Any codec for a link at layer `cut`: a folder that holds a trained one, a pack, or the name of a plain one.
/// Errors: those of OpenTensorCodec and OpenLinkCodec; Mismatch when it was made for another cut.
Result<std::unique_ptr<LinkCodec>> OpenAnyLinkCodec(const std::string& spec, const StageInfo& stage, int64_t cut);

}  // namespace sluice

#endif  // SLUICE_CLI_TORCH_TORCH_STAGE_H_
