#ifndef SLUICE_FORMAT_HIDDEN_FILE_H_
#define SLUICE_FORMAT_HIDDEN_FILE_H_

#include <filesystem>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/view.h"
#include "format/safetensors.h"

namespace sluice {

/// Hidden states as they leave or enter a file.
/// Data: values [batch * tokens, d], row b * tokens + t; rank 2 when the file held [T, d] (then batch is 1), 3 for [B,
/// T, d].
struct HiddenStates {
  Matrix<float> values;
  uint64_t batch = 1;
  uint64_t tokens = 0;
  int rank = 2;
  DType source = DType::kF32;  ///< F32, F16 or BF16: every value is one of this type
  std::string tensor = "hidden";

  /// All values 0; rank 2 when `batch` is 1.
  static HiddenStates Zeros(uint64_t batch, uint64_t tokens, size_t width);
};

/// The tensor `name` of a file; empty, its only float tensor of rank 2 or 3.
/// Errors: InvalidArgument, naming the choices.
Result<TensorView> ChooseHidden(const SafetensorsFile& file, std::string_view name);

/// Loads hidden states from a .safetensors or .npy file. In a .safetensors file `tensor` names the tensor; empty, it is
/// the only float tensor of rank 2 or 3. Errors: InvalidArgument for another suffix, rank, type or name, naming the
/// choices; the errors of the readers.
Result<HiddenStates> LoadHidden(const std::filesystem::path& path, std::string_view tensor = {});

/// Saves hidden states as `dtype`, rounding to nearest, in the format that the suffix says, in one step.
/// Errors: InvalidArgument for another suffix; Unsupported for BF16 in .npy; Io.
Status SaveHidden(const std::filesystem::path& path, const HiddenStates& hidden, DType dtype);

}  // namespace sluice

#endif  // SLUICE_FORMAT_HIDDEN_FILE_H_
