#ifndef SLUICE_FORMAT_NPY_H_
#define SLUICE_FORMAT_NPY_H_

#include <filesystem>
#include <span>
#include <string>

#include "base/status.h"
#include "format/dtype.h"

namespace sluice {

/// Largest header of a .npy file that is read.
inline constexpr size_t kMaxNpyHeader = 65'536;

/// Reads a NumPy .npy file, version 1 or 2, of little-endian f2 or f4 in C order, from bytes that outlive the result.
/// Errors: Corrupt or Truncated for a damaged file; Unsupported, saying which, for another version, type or order.
/// (NumPy itself has no bfloat16: files that hold one carry it as raw two-byte voids, and are refused.)
Result<TensorView> ParseNpy(std::span<const uint8_t> bytes);

/// What a file begins with; the tensor's bytes follow. Errors: as WriteNpy. Data: `tensor.bytes` is not looked at.
Result<std::string> NpyPrefix(const TensorView& tensor);

/// Writes F32 or F16 as version 1, in one step. Errors: Unsupported for other types; Io.
Status WriteNpy(const std::filesystem::path& path, const TensorView& tensor);

}  // namespace sluice

#endif  // SLUICE_FORMAT_NPY_H_
