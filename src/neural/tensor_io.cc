#include "neural/tensor_io.h"

#include <fmt/format.h>

#include <cstring>

namespace sluice {
namespace {

struct TypePair {
  torch::ScalarType torch;
  DType stored;
};
constexpr TypePair kTypes[] = {{torch::kFloat32, DType::kF32},
                               {torch::kInt8, DType::kI8},
                               {torch::kInt32, DType::kI32},
                               {torch::kInt64, DType::kI64}};

const TypePair* FindType(torch::ScalarType type) {
  for (const TypePair& pair : kTypes) {
    if (pair.torch == type) return &pair;
  }
  return nullptr;
}

}  // namespace

std::vector<NamedTensor> NamedState(const torch::nn::Module& module, const std::string& prefix) {
  std::vector<NamedTensor> state;
  for (const auto& item : module.named_parameters()) state.emplace_back(prefix + item.key(), item.value());
  for (const auto& item : module.named_buffers()) state.emplace_back(prefix + item.key(), item.value());
  return state;
}

Status SaveTensors(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors,
                   const std::map<std::string, std::string>& metadata) {
  std::vector<torch::Tensor> kept;  // contiguous copies outlive the views
  std::vector<TensorView> views;
  for (const auto& [name, tensor] : tensors) {
    const TypePair* type = FindType(tensor.scalar_type());
    if (type == nullptr) return InvalidArgument(fmt::format("tensor '{}': its type cannot be stored", name));
    kept.push_back(tensor.detach().contiguous());
    const auto& data = kept.back();
    TensorView view{name, type->stored, {}, {}};
    for (int64_t size : data.sizes()) view.shape.push_back(static_cast<uint64_t>(size));
    view.bytes = {static_cast<const uint8_t*>(data.data_ptr()), data.nbytes()};
    views.push_back(std::move(view));
  }
  return WriteSafetensors(path, views, metadata);
}

Status RestoreTensors(const SafetensorsFile& file, const std::vector<NamedTensor>& tensors) {
  torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : tensors) {
    const auto stored = file.Find(name);
    if (!stored.ok()) return Corrupt(fmt::format("tensor '{}' is missing", name));
    const TypePair* type = FindType(tensor.scalar_type());
    std::vector<uint64_t> shape;
    for (int64_t size : tensor.sizes()) shape.push_back(static_cast<uint64_t>(size));
    if (type == nullptr || stored->dtype != type->stored || stored->shape != shape) {
      return Corrupt(fmt::format("tensor '{}': expected {} {}, got {} {}", name,
                                 type == nullptr ? "another type" : DTypeName(type->stored), ShapeString(shape),
                                 DTypeName(stored->dtype), ShapeString(stored->shape)));
    }
    auto values = torch::empty(tensor.sizes(), tensor.options().requires_grad(false));
    std::memcpy(values.data_ptr(), stored->bytes.data(), stored->bytes.size());
    torch::Tensor target = tensor;
    target.copy_(values);
  }
  return OkStatus();
}

}  // namespace sluice
