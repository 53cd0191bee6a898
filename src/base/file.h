#ifndef SLUICE_BASE_FILE_H_
#define SLUICE_BASE_FILE_H_

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace sluice {

/// Io with the reason that errno holds: "PATH: cannot open: No such file or directory", of action "open".
Status SystemError(std::string_view action, const std::filesystem::path& path);

/// Writes all of `bytes`, however many calls it takes. `path` is for the message. Errors: Io.
Status WriteAll(int fd, std::span<const uint8_t> bytes, const std::filesystem::path& path);

/// A file mapped read-only. Movable; the bytes live as long as the object.
class MappedFile {
 public:
  /// Errors: Io when the file cannot be opened or mapped, with the system's reason.
  static Result<MappedFile> Open(const std::filesystem::path& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const uint8_t> bytes() const { return {data_, size_}; }
  /// Tells the system that the pages before byte `end` will not be read soon: long passes over a large file would
  /// otherwise fill the memory with it. They stay readable.
  void ForgetBefore(size_t end) const;

 private:
  MappedFile(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

/// Reads a whole file. Errors: Io; InvalidArgument when it is larger than `max_bytes`.
Result<std::string> ReadFile(const std::filesystem::path& path, uint64_t max_bytes = uint64_t{1} << 32);

/// Replaces `path` in one step: writes a temporary file beside it, flushes it to disk, renames it. On any error, a full
/// disk included, the old file is untouched and no temporary file stays.
Status WriteFileAtomic(const std::filesystem::path& path, std::span<const uint8_t> bytes);
Status WriteFileAtomic(const std::filesystem::path& path, std::string_view text);

/// The same for content that is written piece by piece.
class AtomicFile {
 public:
  static Result<AtomicFile> Create(const std::filesystem::path& path);

  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  /// Without Commit the temporary file is removed and `path` is untouched.
  ~AtomicFile();

  Status Write(std::span<const uint8_t> bytes);
  /// Flushes to disk and renames. Nothing can be written afterwards.
  Status Commit();

 private:
  AtomicFile(int fd, std::filesystem::path temporary, std::filesystem::path path);

  int fd_;
  std::filesystem::path temporary_;
  std::filesystem::path path_;
};

/// Creates a folder and its parents. Errors: Io.
Status MakeFolder(const std::filesystem::path& path);

}  // namespace sluice

#endif  // SLUICE_BASE_FILE_H_
