#ifndef SLUICE_FORMAT_DTYPE_H_
#define SLUICE_FORMAT_DTYPE_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace sluice {

/// Element types of stored tensors. The values are ours; files carry the names ("F32", "BF16" ...).
enum class DType : uint8_t {
  kBool,
  kU8,
  kI8,
  kF8E4M3,
  kF8E5M2,
  kU16,
  kI16,
  kF16,
  kBf16,
  kU32,
  kI32,
  kF32,
  kU64,
  kI64,
  kF64
};

/// "F32", "BF16": the name in a safetensors header.
std::string_view DTypeName(DType dtype);
/// Bytes of one element.
size_t DTypeSize(DType dtype);
/// Inverse of DTypeName; nothing for an unknown name.
std::optional<DType> ParseDType(std::string_view name);

/// Whether hidden states may be stored as this type: F32, F16 or BF16.
bool IsHiddenType(DType dtype);
/// What stands for a type of hidden states in streams, archives and the library: 1, 2, 3 in the order above; 0 for
/// other types.
uint8_t HiddenTypeCode(DType dtype);
/// Inverse of HiddenTypeCode; nothing for 0 and unknown codes.
std::optional<DType> HiddenTypeOf(int code);

/// One tensor, its bytes borrowed from the file (or buffer) that it was found in. Data: row-major, little-endian.
struct TensorView {
  std::string name;
  DType dtype;
  std::vector<uint64_t> shape;
  std::span<const uint8_t> bytes;

  uint64_t elements() const { return bytes.size() / DTypeSize(dtype); }
};

/// "[2, 3]".
std::string ShapeString(std::span<const uint64_t> shape);

/// Values as float. Exact: F32, F16, BF16, BOOL and 8- and 16-bit integers as they are; F64 rounds to nearest.
/// Errors: InvalidArgument for a wider integer that no float equals, with its index; Unsupported for 8-bit floats.
Result<std::vector<float>> ToFloats(const TensorView& tensor);
/// Values of a BOOL or integer tensor. Errors: InvalidArgument for a float tensor or a U64 above 2^63 - 1.
Result<std::vector<int64_t>> ToInts(const TensorView& tensor);
/// Bytes of `values` as F32, F16, BF16 (round to nearest, ties to even) or F64. Errors: InvalidArgument for other
/// types.
Result<std::vector<uint8_t>> FromFloats(std::span<const float> values, DType dtype);

}  // namespace sluice

#endif  // SLUICE_FORMAT_DTYPE_H_
