#ifndef SLUICE_FORMAT_ARCHIVE_H_
#define SLUICE_FORMAT_ARCHIVE_H_

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "format/dtype.h"

namespace sluice {

// Layout and limits of docs/format.md, part "Activation archive", version 1.
inline constexpr uint8_t kArchiveVersion = 1;
inline constexpr size_t kArchiveHeaderSize = 40;
inline constexpr size_t kArchiveChunkHeaderSize = 20;
inline constexpr uint64_t kMaxArchiveChunkTokens = uint64_t{1} << 20;
inline constexpr uint64_t kMaxArchiveChunkElements = uint64_t{1} << 26;
inline constexpr uint64_t kMaxArchiveChunkBytes = uint64_t{1} << 29;

/// What all chunks of an archive share.
struct ArchiveHeader {
  DType source = DType::kF32;  ///< F32, F16 or BF16
  uint8_t fidelity = 0;        ///< the codec's: 0 lossless, 1 absolute, 2 relative, 3 bits an element
  uint32_t width = 0;
  uint64_t row_tokens = 0;  ///< T of [B, T, d]; 0 for [T, d]
  double bound = 0;

  friend bool operator==(const ArchiveHeader&, const ArchiveHeader&) = default;
};

/// Writes an archive chunk by chunk, straight into its place: what has been appended stays readable when the process
/// dies, whatever the moment. What the system itself loses when it dies is at most what Finish had not flushed; an
/// archive that ends in zeros or inside a chunk on that account is read up to there. Threads: one at a time, and one
/// writer for a file.
class ArchiveWriter {
 public:
  /// Makes a new file, or empties an old one. Errors: InvalidArgument for a header outside its limits; Io.
  static Result<ArchiveWriter> Create(const std::filesystem::path& path, const ArchiveHeader& header);
  /// Goes on after the last complete chunk of an existing archive; an incomplete one is cut off.
  /// Errors: Mismatch when its header is another; the errors of ArchiveReader; Io.
  static Result<ArchiveWriter> Append(const std::filesystem::path& path, const ArchiveHeader& header);

  ArchiveWriter(ArchiveWriter&& other) noexcept;
  ArchiveWriter& operator=(ArchiveWriter&&) = delete;
  ~ArchiveWriter();

  /// Errors: InvalidArgument outside the limits; Io.
  Status Add(uint32_t tokens, std::span<const uint8_t> payload);
  /// Marks the archive complete and flushes it to disk. Nothing can be added afterwards. Errors: Io.
  Status Finish();
  uint64_t bytes_written() const { return size_; }

 private:
  ArchiveWriter(int fd, const ArchiveHeader& header, std::filesystem::path path)
      : fd_(fd), header_(header), path_(std::move(path)) {}
  Status Emit(std::span<const uint8_t> bytes);

  int fd_;
  ArchiveHeader header_;
  std::filesystem::path path_;
  uint64_t size_ = 0;
  uint64_t tokens_ = 0;
  uint64_t chunks_ = 0;
};

/// A chunk as the walk over the file found it.
struct ArchiveChunk {
  uint64_t first_token = 0;
  uint32_t tokens = 0;
  uint64_t offset = 0;  ///< of the chunk's header
  std::span<const uint8_t> payload;
  uint32_t checksum = 0;
};

/// Opens an archive, mapped; finds its chunks by their headers, so that a file without an end is as good as one with
/// it.
class ArchiveReader {
 public:
  /// Errors: Io; Truncated or Corrupt for the header; Corrupt for a damaged chunk header that is not at the end of the
  /// file; Unsupported for another version.
  static Result<ArchiveReader> Open(const std::filesystem::path& path);
  static Result<ArchiveReader> FromBytes(std::span<const uint8_t> bytes);

  const ArchiveHeader& header() const { return header_; }
  const std::vector<ArchiveChunk>& chunks() const { return chunks_; }
  uint64_t tokens() const { return tokens_; }
  /// Whether the writer finished. If not, bytes after the last complete chunk were passed over.
  bool complete() const { return complete_; }
  /// Bytes up to the end of the last complete chunk.
  uint64_t end_of_chunks() const { return end_; }
  /// The chunk's payload, its checksum verified. Needs: index < chunks().size(). Errors: Corrupt.
  Result<std::span<const uint8_t>> Payload(size_t index) const;
  /// Lets the system reclaim the memory that chunks 0 to index were read into. Needs: index < chunks().size().
  void ForgetThrough(size_t index) const;

 private:
  explicit ArchiveReader(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  Status ReadHeader();
  Status Walk();
  Result<std::optional<ArchiveChunk>> ReadChunk(size_t offset) const;

  std::optional<MappedFile> file_;
  std::span<const uint8_t> bytes_;
  ArchiveHeader header_;
  std::vector<ArchiveChunk> chunks_;
  uint64_t tokens_ = 0;
  uint64_t end_ = kArchiveHeaderSize;
  bool complete_ = false;
};

}  // namespace sluice

#endif  // SLUICE_FORMAT_ARCHIVE_H_
