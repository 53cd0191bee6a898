// Element types and their conversion to and from float. Widening is exact where a float can hold the value; where it
// can not, the caller is told instead of being handed a neighbour.
#include "format/dtype.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>

#include "base/bytes.h"
#include "base/half.h"

namespace sluice {
namespace {

struct DTypeInfo {
  std::string_view name;
  size_t size;
};

// In the order of the enumeration.
constexpr std::array<DTypeInfo, 15> kDTypes = {{{"BOOL", 1},
                                                {"U8", 1},
                                                {"I8", 1},
                                                {"F8_E4M3", 1},
                                                {"F8_E5M2", 1},
                                                {"U16", 2},
                                                {"I16", 2},
                                                {"F16", 2},
                                                {"BF16", 2},
                                                {"U32", 4},
                                                {"I32", 4},
                                                {"F32", 4},
                                                {"U64", 8},
                                                {"I64", 8},
                                                {"F64", 8}}};

// In the order of their codes, which begin at 1.
constexpr std::array<DType, 3> kHiddenTypes = {DType::kF32, DType::kF16, DType::kBf16};

template <typename T, typename Convert>
std::vector<float> Widen(std::span<const uint8_t> bytes, Convert convert) {
  std::vector<float> values(bytes.size() / sizeof(T));
  for (size_t i = 0; i < values.size(); ++i) values[i] = convert(LoadLe<T>(bytes.data() + i * sizeof(T)));
  return values;
}

template <typename T>
Result<std::vector<float>> WidenWideInteger(const TensorView& tensor) {
  std::vector<float> values(tensor.elements());
  for (size_t i = 0; i < values.size(); ++i) {
    const T value = LoadLe<T>(tensor.bytes.data() + i * sizeof(T));
    values[i] = static_cast<float>(value);
    // 2^64 and 2^63 are floats but not integers of T: compare in long double, which holds every 64-bit integer.
    if (static_cast<long double>(values[i]) != static_cast<long double>(value)) {
      return InvalidArgument(fmt::format("{}: element {} is {}, which no float equals", tensor.name, i, value));
    }
  }
  return values;
}

template <typename T>
std::vector<int64_t> Integers(std::span<const uint8_t> bytes) {
  std::vector<int64_t> values(bytes.size() / sizeof(T));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int64_t>(LoadLe<T>(bytes.data() + i * sizeof(T)));
  return values;
}

template <typename T, typename Convert>
std::vector<uint8_t> Narrow(std::span<const float> values, Convert convert) {
  std::vector<uint8_t> bytes(values.size() * sizeof(T));
  for (size_t i = 0; i < values.size(); ++i) StoreLe<T>(convert(values[i]), bytes.data() + i * sizeof(T));
  return bytes;
}

}  // namespace

std::string_view DTypeName(DType dtype) { return kDTypes[static_cast<size_t>(dtype)].name; }

size_t DTypeSize(DType dtype) { return kDTypes[static_cast<size_t>(dtype)].size; }

std::optional<DType> ParseDType(std::string_view name) {
  for (size_t i = 0; i < kDTypes.size(); ++i) {
    if (kDTypes[i].name == name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

bool IsHiddenType(DType dtype) { return HiddenTypeCode(dtype) != 0; }

uint8_t HiddenTypeCode(DType dtype) {
  for (size_t i = 0; i < kHiddenTypes.size(); ++i) {
    if (kHiddenTypes[i] == dtype) return static_cast<uint8_t>(i + 1);
  }
  return 0;
}

std::optional<DType> HiddenTypeOf(int code) {
  if (code < 1 || code > static_cast<int>(kHiddenTypes.size())) return std::nullopt;
  return kHiddenTypes[static_cast<size_t>(code - 1)];
}

std::string ShapeString(std::span<const uint64_t> shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

Result<std::vector<float>> ToFloats(const TensorView& tensor) {
  const auto cast = [](auto value) { return static_cast<float>(value); };
  switch (tensor.dtype) {
    case DType::kBool:
      return Widen<uint8_t>(tensor.bytes, [](uint8_t value) { return value != 0 ? 1.0f : 0.0f; });
    case DType::kU8:
      return Widen<uint8_t>(tensor.bytes, cast);
    case DType::kI8:
      return Widen<int8_t>(tensor.bytes, cast);
    case DType::kU16:
      return Widen<uint16_t>(tensor.bytes, cast);
    case DType::kI16:
      return Widen<int16_t>(tensor.bytes, cast);
    case DType::kF16:
      return Widen<uint16_t>(tensor.bytes, HalfToFloat);
    case DType::kBf16:
      return Widen<uint16_t>(tensor.bytes, Bfloat16ToFloat);
    case DType::kU32:
      return WidenWideInteger<uint32_t>(tensor);
    case DType::kI32:
      return WidenWideInteger<int32_t>(tensor);
    case DType::kF32:
      return Widen<float>(tensor.bytes, cast);
    case DType::kU64:
      return WidenWideInteger<uint64_t>(tensor);
    case DType::kI64:
      return WidenWideInteger<int64_t>(tensor);
    case DType::kF64:
      return Widen<double>(tensor.bytes, cast);
    case DType::kF8E4M3:
    case DType::kF8E5M2:
      break;
  }
  return Unsupported(fmt::format("{}: {} tensors are not converted to float", tensor.name, DTypeName(tensor.dtype)));
}

Result<std::vector<int64_t>> ToInts(const TensorView& tensor) {
  switch (tensor.dtype) {
    case DType::kBool:
    case DType::kU8:
      return Integers<uint8_t>(tensor.bytes);
    case DType::kI8:
      return Integers<int8_t>(tensor.bytes);
    case DType::kU16:
      return Integers<uint16_t>(tensor.bytes);
    case DType::kI16:
      return Integers<int16_t>(tensor.bytes);
    case DType::kU32:
      return Integers<uint32_t>(tensor.bytes);
    case DType::kI32:
      return Integers<int32_t>(tensor.bytes);
    case DType::kI64:
      return Integers<int64_t>(tensor.bytes);
    case DType::kU64: {
      std::vector<int64_t> values = Integers<uint64_t>(tensor.bytes);
      for (size_t i = 0; i < values.size(); ++i) {
        if (values[i] < 0) return InvalidArgument(fmt::format("{}: element {} is above 2^63 - 1", tensor.name, i));
      }
      return values;
    }
    default:
      return InvalidArgument(fmt::format("{}: integers expected, got {}", tensor.name, DTypeName(tensor.dtype)));
  }
}

Result<std::vector<uint8_t>> FromFloats(std::span<const float> values, DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return Narrow<float>(values, [](float value) { return value; });
    case DType::kF16:
      return Narrow<uint16_t>(values, FloatToHalf);
    case DType::kBf16:
      return Narrow<uint16_t>(values, FloatToBfloat16);
    case DType::kF64:
      return Narrow<double>(values, [](float value) { return static_cast<double>(value); });
    default:
      return InvalidArgument(fmt::format("floats are stored as F32, F16, BF16 or F64, not as {}", DTypeName(dtype)));
  }
}

}  // namespace sluice
