#ifndef SLUICE_BACKBONE_BACKBONE_TEST_UTIL_H_
#define SLUICE_BACKBONE_BACKBONE_TEST_UTIL_H_

#include <ATen/CPUGeneratorImpl.h>
#include <torch/torch.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "backbone/backbone.h"
#include "backbone/tiny_configs.h"
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
