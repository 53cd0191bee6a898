// Tensor files: .safetensors and, when the first byte says so, .npy. Proves: readers stay inside the bytes and blame
// the input; every tensor that they give lies inside the file, has the size of its shape and is converted or refused;
// no header makes them allocate beyond the limits; hidden states loaded by path have the shape that they claim, and
// what is saved of them is loaded again as the same (NaN as NaN).
#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "format/dtype.h"
#include "format/hidden_file.h"
#include "format/npy.h"
#include "format/safetensors.h"
#include "fuzz_input.h"

namespace sluice {
namespace {

constexpr uint8_t kNpyMark = 0x93;

void CheckTensor(const TensorView& tensor, std::span<const uint8_t> file) {
  FUZZ_REQUIRE(tensor.shape.size() <= kMaxTensorDims);
  if (!tensor.bytes.empty()) {
    FUZZ_REQUIRE(tensor.bytes.data() >= file.data());
    FUZZ_REQUIRE(tensor.bytes.data() + tensor.bytes.size() <= file.data() + file.size());
  }
  const uint64_t elements =
      std::accumulate(tensor.shape.begin(), tensor.shape.end(), uint64_t{1}, std::multiplies<uint64_t>());
  FUZZ_REQUIRE(elements * DTypeSize(tensor.dtype) == tensor.bytes.size());
  const Result<std::vector<float>> floats = ToFloats(tensor);
  RequireInputFault(floats.status());
  if (floats.ok()) FUZZ_REQUIRE(floats->size() == elements);
  const Result<std::vector<int64_t>> integers = ToInts(tensor);
  RequireInputFault(integers.status());
  if (integers.ok()) FUZZ_REQUIRE(integers->size() == elements);
}

void TryHidden(const std::string& path, ScratchFile& copy) {
  const Result<HiddenStates> hidden = LoadHidden(path);
  RequireInputFault(hidden.status());
  if (!hidden.ok()) return;
  FUZZ_REQUIRE(hidden->values.rows() == hidden->batch * hidden->tokens);
  if (hidden->values.View().size() == 0) return;
  const std::string& saved = copy.With({});
  FUZZ_REQUIRE(SaveHidden(saved, *hidden, hidden->source).ok());
  const Result<HiddenStates> again = LoadHidden(saved);
  FUZZ_REQUIRE(again.ok() && again->rank == hidden->rank && again->batch == hidden->batch);
  FUZZ_REQUIRE(again->values.View().size() == hidden->values.View().size());
  const auto same = [](float a, float b) {
    return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b) || (std::isnan(a) && std::isnan(b));
  };
  FUZZ_REQUIRE(std::ranges::equal(again->values.View().all(), hidden->values.View().all(), same));
}

void TryNpy(std::span<const uint8_t> bytes) {
  static ScratchFile file(".npy");
  static ScratchFile copy(".safetensors");
  const Result<TensorView> tensor = ParseNpy(bytes);
  RequireInputFault(tensor.status());
  if (tensor.ok()) CheckTensor(*tensor, bytes);
  if (tensor.ok()) TryHidden(file.With(bytes), copy);
}

void TrySafetensors(std::span<const uint8_t> bytes) {
  static ScratchFile file(".safetensors");
  static ScratchFile copy(".safetensors");
  const Result<SafetensorsFile> tensors = SafetensorsFile::FromBytes(bytes);
  RequireInputFault(tensors.status());
  if (!tensors.ok()) return;
  for (const auto& [name, tensor] : tensors->tensors()) {
    FUZZ_REQUIRE(tensor.name == name && tensors->Find(name).ok());
    CheckTensor(tensor, bytes);
  }
  TryHidden(file.With(bytes), copy);
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 0 && data[0] == sluice::kNpyMark)
    sluice::TryNpy({data, size});
  else
    sluice::TrySafetensors({data, size});
  return 0;
}
