#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/bytes.h"

namespace sluice {
namespace {

// A rename is durable only when the folder's entry has reached the disk as well.
void SyncFolder(const std::filesystem::path& folder) {
  const int fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

}  // namespace

Status SystemError(std::string_view action, const std::filesystem::path& path) {
  return IoError(fmt::format("{}: cannot {}: {}", path.string(), action, std::strerror(errno)));
}

Status WriteAll(int fd, std::span<const uint8_t> bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return SystemError("write", path);
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return OkStatus();
}

Result<MappedFile> MappedFile::Open(const std::filesystem::path& path) {
  // A pipe without a writer would never open; regular files do not know of O_NONBLOCK.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return SystemError("open", path);
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    return IoError(fmt::format("{}: not a regular file", path.string()));
  }
  const auto size = static_cast<size_t>(info.st_size);
  if (size == 0) {
    ::close(fd);
    return MappedFile(nullptr, 0);
  }
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  ::close(fd);
  if (data == MAP_FAILED) return SystemError("map", path);
  return MappedFile(static_cast<const uint8_t*>(data), size);
}

void MappedFile::ForgetBefore(size_t end) const {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t whole = std::min(end, size_) / page * page;
  if (whole > 0) ::madvise(const_cast<uint8_t*>(data_), whole, MADV_DONTNEED);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<uint8_t*>(data_), size_);
}

Result<std::string> ReadFile(const std::filesystem::path& path, uint64_t max_bytes) {
  SLUICE_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  if (file.bytes().size() > max_bytes) {
    return InvalidArgument(
        fmt::format("{}: {} bytes, at most {} are read", path.string(), file.bytes().size(), max_bytes));
  }
  return std::string(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
}

Status WriteFileAtomic(const std::filesystem::path& path, std::span<const uint8_t> bytes) {
  SLUICE_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  SLUICE_RETURN_IF_ERROR(file.Write(bytes));
  return file.Commit();
}

Status WriteFileAtomic(const std::filesystem::path& path, std::string_view text) {
  return WriteFileAtomic(path, AsBytes(text));
}

AtomicFile::AtomicFile(int fd, std::filesystem::path temporary, std::filesystem::path path)
    : fd_(fd), temporary_(std::move(temporary)), path_(std::move(path)) {}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), temporary_(std::move(other.temporary_)), path_(std::move(other.path_)) {}

Result<AtomicFile> AtomicFile::Create(const std::filesystem::path& path) {
  static std::atomic<uint32_t> counter{0};
  std::error_code unknown;  // why a path cannot be looked at, open says below
  const std::filesystem::file_status now = std::filesystem::status(path, unknown);
  if (std::filesystem::is_directory(now)) return IoError(fmt::format("{}: is a folder", path.string()));
  if (std::filesystem::exists(now) && !std::filesystem::is_regular_file(now)) {
    return IoError(fmt::format("{}: is a device or a pipe, which a file cannot replace", path.string()));
  }
  // What a link leads to is replaced, not the link, unless it leads nowhere.
  std::filesystem::path target = path;
  if (std::filesystem::is_symlink(path, unknown)) {
    const std::filesystem::path real = std::filesystem::canonical(path, unknown);
    if (!unknown) target = real;
  }
  std::filesystem::path temporary = target;
  temporary += fmt::format(".tmp{}.{}", ::getpid(), counter++);
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return SystemError("create", path);
  return AtomicFile(fd, std::move(temporary), std::move(target));
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

Status AtomicFile::Write(std::span<const uint8_t> bytes) { return WriteAll(fd_, bytes, path_); }

Status AtomicFile::Commit() {
  if (::fsync(fd_) != 0 && errno != EINVAL && errno != EROFS) return SystemError("flush", path_);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return SystemError("rename to", path_);
  ::close(std::exchange(fd_, -1));
  SyncFolder(path_.parent_path());
  return OkStatus();
}

Status MakeFolder(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return IoError(fmt::format("{}: cannot create folder: {}", path.string(), error.message()));
  return OkStatus();
}

}  // namespace sluice
