// From a folder, or from a seed, to a model, and back to a folder. The family's constructor asks for what its range
// needs; this file only decides the range, the source of the numbers and how they are written.
#include <fmt/format.h>

#include <cmath>
#include <memory>

#include "backbone/backbone.h"
#include "backbone/backbone_weights.h"
#include "backbone/gpt2_backbone.h"
#include "backbone/llama_backbone.h"
#include "backbone/model_identity.h"
#include "backbone/torch_setup.h"
#include "base/file.h"

namespace sluice {
namespace {

std::shared_ptr<Backbone> Build(const BackboneConfig& config, LayerRange range, bool embeddings, WeightSource& source) {
  switch (config.family) {
    case BackboneFamily::kGpt2:
      return std::make_shared<Gpt2Backbone>(config, range, embeddings, source);
    case BackboneFamily::kLlama:
      return std::make_shared<LlamaBackbone>(config, range, embeddings, source);
  }
  return nullptr;
}

const char* PrefixOf(BackboneFamily family) {
  return family == BackboneFamily::kGpt2 ? Gpt2Backbone::kPrefix : LlamaBackbone::kPrefix;
}

Result<LayerRange> Complete(LayerRange range, int64_t layers) {
  if (range.end == -1) range.end = layers;
  if (range.begin >= 0 && range.begin <= range.end && range.end <= layers) return range;
  return InvalidArgument(fmt::format("layers [{}, {}): expected 0 <= begin <= end <= {}, the layers of the model",
                                     range.begin, range.end, layers));
}

/// The parameter as float32 or float16 on the CPU. Errors: InvalidArgument when float16 would make it infinite.
Result<torch::Tensor> Stored(const std::string& name, const torch::Tensor& parameter, StoredType type) {
  const torch::Tensor plain = parameter.detach().to(torch::kCPU, torch::kFloat).contiguous();
  if (type == StoredType::kFloat32) return plain;
  const torch::Tensor half = plain.to(torch::kHalf);
  const torch::Tensor lost = half.isinf().logical_and(plain.isfinite());
  if (!lost.any().item<bool>()) return half;
  return InvalidArgument(fmt::format("tensor \"{}\": largest magnitude {} does not fit float16; store float32", name,
                                     plain.abs().max().item<float>()));
}

Status WriteWeights(const Backbone& backbone, const std::filesystem::path& path, StoredType type) {
  std::vector<torch::Tensor> kept;
  std::vector<TensorView> views;
  for (const auto& item : backbone.named_parameters()) {
    SLUICE_ASSIGN_OR_RETURN(torch::Tensor tensor, Stored(item.key(), item.value(), type));
    const auto* bytes = static_cast<const uint8_t*>(tensor.data_ptr());
    const std::vector<uint64_t> shape(tensor.sizes().begin(), tensor.sizes().end());
    views.push_back({item.key(),
                     type == StoredType::kFloat32 ? DType::kF32 : DType::kF16,
                     shape,
                     {bytes, static_cast<size_t>(tensor.numel() * tensor.element_size())}});
    kept.push_back(std::move(tensor));
  }
  return WriteSafetensors(path, views, {{"format", "pt"}});
}

}  // namespace

Result<std::shared_ptr<Backbone>> LoadBackbone(const std::filesystem::path& folder, LayerRange range,
                                               const LoadBackboneOptions& options) {
  SLUICE_ASSIGN_OR_RETURN(const BackboneConfig config, BackboneConfig::Load(folder));
  SLUICE_ASSIGN_OR_RETURN(range, Complete(range, config.layers));
  SLUICE_ASSIGN_OR_RETURN(CheckpointFiles files, CheckpointFiles::Open(folder));
  Result<std::shared_ptr<Backbone>> model = CatchTorch([&] {
    const torch::NoGradGuard no_grad;
    CheckpointWeights source(files, PrefixOf(config.family));
    return Build(config, range, options.embeddings, source);
  });
  if (!model.ok()) return model.status().WithContext(folder.string());
  (*model)->eval();
  return model;
}

Result<std::shared_ptr<Backbone>> CreateBackbone(const BackboneConfig& config, uint64_t seed) {
  SLUICE_RETURN_IF_ERROR(config.Check());
  return CatchTorch([&] {
    FreshWeights source(config, seed);
    return Build(config, {0, config.layers}, true, source);
  });
}

Status SaveBackbone(const Backbone& backbone, const std::filesystem::path& folder, StoredType type) {
  const LayerRange range = backbone.range();
  const BackboneConfig& config = backbone.config();
  if (range.begin != 0 || range.end != config.layers) {
    return InvalidArgument(fmt::format("only layers [{}, {}) of {} are loaded; a model is saved whole", range.begin,
                                       range.end, config.layers));
  }
  SLUICE_RETURN_IF_ERROR(MakeFolder(folder));
  SLUICE_RETURN_IF_ERROR(config.Save(folder, type == StoredType::kFloat32 ? "float32" : "float16"));
  SLUICE_RETURN_IF_ERROR(CatchTorch([&] { return WriteWeights(backbone, folder / "model.safetensors", type); }));
  return WriteModelManifest(folder);
}

}  // namespace sluice
