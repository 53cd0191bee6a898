#ifndef SLUICE_NEURAL_TENSOR_IO_H_
#define SLUICE_NEURAL_TENSOR_IO_H_

#include <torch/torch.h>

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "format/safetensors.h"

namespace sluice {

using NamedTensor = std::pair<std::string, torch::Tensor>;

/// Every parameter and buffer of a module, prefixed. The tensors are the module's own.
std::vector<NamedTensor> NamedState(const torch::nn::Module& module, const std::string& prefix);

/// Writes float32, int8, int32 and int64 tensors as safetensors, atomically. Errors: Io; InvalidArgument for other types.
Status SaveTensors(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors,
                   const std::map<std::string, std::string>& metadata);

/// Copies stored values into existing tensors of the same name, shape and type.
/// Errors: Corrupt for a tensor that is missing or has another shape or type, with its name, expected and got.
Status RestoreTensors(const SafetensorsFile& file, const std::vector<NamedTensor>& tensors);

}  // namespace sluice

#endif  // SLUICE_NEURAL_TENSOR_IO_H_
