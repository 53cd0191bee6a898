#ifndef SLUICE_BACKBONE_BACKBONE_TEST_UTIL_H_
#define SLUICE_BACKBONE_BACKBONE_TEST_UTIL_H_

#include <ATen/CPUGeneratorImpl.h>
#include <torch/torch.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "backbone/backbone.h"
#include "backbone/torch_setup.h"
#include "format/safetensors.h"
#include "format/temporary_folder.h"

namespace sluice {

/// Where the reference outputs of other implementations are.
inline std::filesystem::path GoldenFolder() {
  const char* given = std::getenv("SLUICE_GOLDEN");
  return given != nullptr ? std::filesystem::path(given)
                          : std::filesystem::path(SLUICE_SOURCE_DIR) / "../shared/golden";
}

/// Any stored tensor as float32 or int64.
inline torch::Tensor ReadTensor(const SafetensorsFile& file, const std::string& name) {
  const TensorView view = ValueOrThrow(file.Find(name));
  const std::vector<int64_t> shape(view.shape.begin(), view.shape.end());
  if (view.dtype == DType::kI32 || view.dtype == DType::kI64) {
    return torch::tensor(ValueOrThrow(ToInts(view)), torch::kLong).view(shape);
  }
  return torch::tensor(ValueOrThrow(ToFloats(view)), torch::kFloat).view(shape);
}

/// A GPT-2 small enough to be run a hundred times in a test.
inline BackboneConfig TinyGpt2() { return BackboneConfig::Gpt2(4, 40, 5, 97, 48); }

/// A Llama with grouped keys, an output matrix of its own and the third generation's rotary scaling.
inline BackboneConfig TinyLlama() {
  BackboneConfig config;
  config.family = BackboneFamily::kLlama;
  config.layers = 3;
  config.width = 48;
  config.heads = 6;
  config.kv_heads = 2;
  config.head_dim = 8;
  config.mlp_width = 70;
  config.vocab = 89;
  config.context = 64;
  config.activation = Activation::kSilu;
  config.tied = false;
  config.rope_scaling = {RopeScaling::Kind::kLlama3, 8.0, 1.0, 4.0, 32};
  config.bos = 1;
  config.eos = {2, 5};
  return config;
}

/// A model whose weights are large enough for layers to matter and attention to be peaked.
inline std::shared_ptr<Backbone> TinyModel(BackboneConfig config, uint64_t seed = 7) {
  config.initializer_range = 0.3;
  auto model = ValueOrThrow(CreateBackbone(config, seed));
  for (auto& parameter : model->parameters()) parameter.set_requires_grad(false);
  return model;
}

inline torch::Tensor RandomTokens(const BackboneConfig& config, int64_t batch, int64_t count, uint64_t seed = 3) {
  return torch::randint(0, config.vocab, {batch, count}, at::detail::createCPUGenerator(seed),
                        torch::TensorOptions().dtype(torch::kLong));
}

}  // namespace sluice

#endif  // SLUICE_BACKBONE_BACKBONE_TEST_UTIL_H_
