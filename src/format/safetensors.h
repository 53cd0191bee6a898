#ifndef SLUICE_FORMAT_SAFETENSORS_H_
#define SLUICE_FORMAT_SAFETENSORS_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/status.h"
#include "format/dtype.h"

namespace sluice {

/// Largest header, in bytes, and largest number of dimensions of a tensor that is read.
inline constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;
inline constexpr size_t kMaxTensorDims = 8;

/// A safetensors file, mapped, its header checked in full when it is opened: sizes, offsets, overlaps, names.
/// Threads: const access from any number of threads.
class SafetensorsFile {
 public:
  /// Errors: Io; Truncated when the file ends inside header or data; Corrupt, naming the tensor, for everything else
  /// that the format forbids.
  static Result<SafetensorsFile> Open(const std::filesystem::path& path);
  /// The same for bytes that outlive the result.
  static Result<SafetensorsFile> FromBytes(std::span<const uint8_t> bytes);

  /// See MappedFile::ForgetBefore; `end` is a pointer into the file.
  void ForgetBefore(const uint8_t* end) const;
  /// Errors: InvalidArgument when there is no tensor of this name.
  Result<TensorView> Find(std::string_view name) const;
  bool Contains(std::string_view name) const { return tensors_.contains(name); }
  /// All tensors by name, sorted.
  const std::map<std::string, TensorView, std::less<>>& tensors() const { return tensors_; }
  /// The "__metadata__" strings.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  SafetensorsFile() = default;

  std::optional<MappedFile> file_;
  std::map<std::string, TensorView, std::less<>> tensors_;
  std::map<std::string, std::string> metadata_;
};

/// What a file that holds one tensor alone begins with; the tensor's bytes follow. Errors: InvalidArgument for a size
/// that overflows. Data: `tensor.bytes` is not looked at.
Result<std::string> SafetensorsPrefix(const TensorView& tensor);

/// Writes tensors in one step (see WriteFileAtomic), sorted by falling element size, then by name, each 8-byte aligned
/// where its element is: the same input gives the same file. Errors: InvalidArgument for a repeated name or a size that
/// is not shape * element; Io.
Status WriteSafetensors(const std::filesystem::path& path, std::span<const TensorView> tensors,
                        const std::map<std::string, std::string>& metadata = {});

}  // namespace sluice

#endif  // SLUICE_FORMAT_SAFETENSORS_H_
