// Hidden states in the two formats that people have them in. Inside the program they are always float: every F16 and
// BF16 value is one, so nothing is lost, and `source` remembers what to go back to.
#include "format/hidden_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "format/npy.h"

namespace sluice {
namespace {

bool IsHidden(const TensorView& tensor) {
  return IsHiddenType(tensor.dtype) && (tensor.shape.size() == 2 || tensor.shape.size() == 3);
}

Result<HiddenStates> FromTensor(const TensorView& tensor) {
  if (!IsHidden(tensor)) {
    return InvalidArgument(
        fmt::format("tensor \"{}\" is {} of {}; hidden states are F32, F16 or BF16 of [T, d] or [B, T, d]", tensor.name,
                    DTypeName(tensor.dtype), ShapeString(tensor.shape)));
  }
  if (tensor.bytes.empty()) {
    return InvalidArgument(fmt::format("tensor \"{}\" of {} is empty", tensor.name, ShapeString(tensor.shape)));
  }
  HiddenStates hidden;
  hidden.rank = static_cast<int>(tensor.shape.size());
  hidden.batch = hidden.rank == 3 ? tensor.shape[0] : 1;
  hidden.tokens = tensor.shape[tensor.shape.size() - 2];
  hidden.source = tensor.dtype;
  if (!tensor.name.empty()) hidden.tensor = tensor.name;
  SLUICE_ASSIGN_OR_RETURN(const std::vector<float> values, ToFloats(tensor));
  hidden.values = Matrix<float>(hidden.batch * hidden.tokens, tensor.shape.back());
  std::copy(values.begin(), values.end(), hidden.values.data());
  return hidden;
}

Result<HiddenStates> LoadFrom(const std::filesystem::path& path, std::string_view tensor) {
  if (path.extension() == ".safetensors") {
    SLUICE_ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(path));
    SLUICE_ASSIGN_OR_RETURN(const TensorView view, ChooseHidden(file, tensor));
    return FromTensor(view);
  }
  if (path.extension() != ".npy") return InvalidArgument("hidden states are read from .safetensors and .npy files");
  if (!tensor.empty()) return InvalidArgument("a .npy file holds one tensor without a name");
  SLUICE_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  SLUICE_ASSIGN_OR_RETURN(const TensorView view, ParseNpy(file.bytes()));
  return FromTensor(view);
}

}  // namespace

HiddenStates HiddenStates::Zeros(uint64_t batch, uint64_t tokens, size_t width) {
  HiddenStates hidden;
  hidden.values = Matrix<float>(batch * tokens, width);
  hidden.batch = batch;
  hidden.tokens = tokens;
  hidden.rank = batch == 1 ? 2 : 3;
  return hidden;
}

Result<TensorView> ChooseHidden(const SafetensorsFile& file, std::string_view name) {
  if (!name.empty()) return file.Find(name);
  std::vector<std::string> names;
  for (const auto& [key, tensor] : file.tensors()) {
    if (IsHidden(tensor)) names.push_back(key);
  }
  if (names.size() == 1) return file.Find(names[0]);
  if (names.empty()) return InvalidArgument("no float tensor of rank 2 or 3");
  return InvalidArgument(fmt::format("name one of its float tensors: {}", fmt::join(names, ", ")));
}

Result<HiddenStates> LoadHidden(const std::filesystem::path& path, std::string_view tensor) {
  Result<HiddenStates> hidden = LoadFrom(path, tensor);
  // The readers of files already say which one.
  if (hidden.ok() || hidden.status().message().starts_with(path.string())) return hidden;
  return hidden.status().WithContext(path.string());
}

Status SaveHidden(const std::filesystem::path& path, const HiddenStates& hidden, DType dtype) {
  if (!IsHiddenType(dtype)) return InvalidArgument(fmt::format("hidden states are not saved as {}", DTypeName(dtype)));
  SLUICE_ASSIGN_OR_RETURN(const std::vector<uint8_t> bytes, FromFloats(hidden.values.View().all(), dtype));
  TensorView view{hidden.tensor, dtype, {hidden.tokens, hidden.values.cols()}, bytes};
  if (hidden.rank == 3) view.shape.insert(view.shape.begin(), hidden.batch);
  if (path.extension() == ".safetensors") return WriteSafetensors(path, std::span(&view, 1));
  if (path.extension() == ".npy") return WriteNpy(path, view);
  return InvalidArgument(fmt::format("{}: hidden states are saved to .safetensors and .npy files", path.string()));
}

}  // namespace sluice
