// A log of chunks. Each has a header with a checksum of its own, and is written by one call, header and payload
// together; whatever the moment of death, the file is a header, complete chunks, and perhaps a piece of one. There is
// no index to lose: walking the chunk headers touches one page a chunk, which a chunk of megabytes makes cheap.
#include "format/archive.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <utility>

#include "base/bytes.h"
#include "base/hash.h"
#include "format/stream.h"

namespace sluice {
namespace {

constexpr std::array<uint8_t, 4> kArchiveMagic = {'S', 'L', 'U', 'A'};
constexpr uint32_t kChunkMark = 0x4B4E4843;  // "CHNK"
constexpr uint32_t kEndMark = 0x20444E45;    // "END "

std::vector<uint8_t> HeaderBytes(const ArchiveHeader& header) {
  ByteWriter writer;
  writer.PutBytes(kArchiveMagic);
  writer.Put<uint8_t>(kArchiveVersion);
  writer.Put<uint8_t>(HiddenTypeCode(header.source));
  writer.Put<uint8_t>(header.fidelity);
  writer.Put<uint8_t>(0);
  writer.Put<uint32_t>(header.width);
  writer.Put<uint64_t>(header.row_tokens);
  writer.Put<double>(header.bound);
  writer.Put<uint64_t>(0);
  writer.Put<uint32_t>(Checksum32(writer.bytes()));
  return std::move(writer).Take();
}

Status CheckHeader(const ArchiveHeader& header) {
  if (header.width == 0 || header.width > kMaxStreamWidth) {
    return Corrupt(fmt::format("width {}, expected 1 to {}", header.width, kMaxStreamWidth));
  }
  if (header.fidelity > 3) return Unsupported(fmt::format("fidelity {}, this build knows 0 to 3", header.fidelity));
  if (!std::isfinite(header.bound) || header.bound < 0) return Corrupt(fmt::format("a bound of {}", header.bound));
  if (header.row_tokens > kMaxStreamTokens) return Corrupt(fmt::format("rows of {} tokens", header.row_tokens));
  return OkStatus();
}

Status CheckChunk(const ArchiveHeader& header, uint64_t tokens, uint64_t bytes) {
  const uint64_t most = std::min(kMaxArchiveChunkTokens, kMaxArchiveChunkElements / header.width);
  if (tokens == 0 || tokens > most) return Corrupt(fmt::format("a chunk of {} tokens, expected 1 to {}", tokens, most));
  if (bytes > kMaxArchiveChunkBytes) {
    return Corrupt(fmt::format("a chunk of {} bytes, at most {} are allowed", bytes, kMaxArchiveChunkBytes));
  }
  return OkStatus();
}

// mark, tokens, payload size, payload checksum, checksum of these 16 bytes seeded with the chunk's place in the file
std::vector<uint8_t> MarkBytes(uint32_t mark, uint32_t tokens, uint32_t bytes, uint32_t checksum, uint64_t offset) {
  ByteWriter writer;
  writer.Put<uint32_t>(mark);
  writer.Put<uint32_t>(tokens);
  writer.Put<uint32_t>(bytes);
  writer.Put<uint32_t>(checksum);
  writer.Put<uint32_t>(Checksum32(writer.bytes(), offset));
  return std::move(writer).Take();
}

}  // namespace

Result<ArchiveWriter> ArchiveWriter::Create(const std::filesystem::path& path, const ArchiveHeader& header) {
  SLUICE_RETURN_IF_ERROR(AsArgument(CheckHeader(header)));
  if (!IsHiddenType(header.source)) return InvalidArgument("hidden states are F32, F16 or BF16");
  const std::vector<uint8_t> bytes = HeaderBytes(header);
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return SystemError("create", path);
  ArchiveWriter writer(fd, header, path);
  const Status written = writer.Emit(bytes);
  if (written.ok()) return writer;
  // Without a header it is no archive, and --append could do nothing with it. A device stays what it is.
  std::error_code unknown;
  if (std::filesystem::is_regular_file(std::filesystem::symlink_status(path, unknown))) ::unlink(path.c_str());
  return written;
}

Result<ArchiveWriter> ArchiveWriter::Append(const std::filesystem::path& path, const ArchiveHeader& header) {
  SLUICE_ASSIGN_OR_RETURN(const ArchiveReader reader, ArchiveReader::Open(path));
  if (!(reader.header() == header)) {
    return Mismatch(
        fmt::format("{}: the archive holds states of another width, type, shape or fidelity", path.string()));
  }
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return SystemError("open", path);
  ArchiveWriter writer(fd, header, path);
  writer.size_ = reader.end_of_chunks();
  writer.tokens_ = reader.tokens();
  writer.chunks_ = reader.chunks().size();
  const auto end = static_cast<off_t>(writer.size_);
  if (::ftruncate(fd, end) != 0 || ::lseek(fd, end, SEEK_SET) != end) return SystemError("continue", path);
  return writer;
}

ArchiveWriter::ArchiveWriter(ArchiveWriter&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      header_(other.header_),
      path_(std::move(other.path_)),
      size_(other.size_),
      tokens_(other.tokens_),
      chunks_(other.chunks_) {}

ArchiveWriter::~ArchiveWriter() {
  if (fd_ >= 0) ::close(fd_);
}

Status ArchiveWriter::Add(uint32_t tokens, std::span<const uint8_t> payload) {
  if (fd_ < 0) return InvalidArgument("the archive is finished, nothing can be added");
  SLUICE_RETURN_IF_ERROR(AsArgument(CheckChunk(header_, tokens, payload.size())));
  std::vector<uint8_t> bytes =
      MarkBytes(kChunkMark, tokens, static_cast<uint32_t>(payload.size()), Checksum32(payload), size_);
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  SLUICE_RETURN_IF_ERROR(Emit(bytes));
  tokens_ += tokens;
  ++chunks_;
  return OkStatus();
}

Status ArchiveWriter::Finish() {
  if (fd_ < 0) return InvalidArgument("the archive is finished already");
  SLUICE_RETURN_IF_ERROR(
      Emit(MarkBytes(kEndMark, static_cast<uint32_t>(chunks_), 0, static_cast<uint32_t>(tokens_), size_)));
  // A pipe or a special file cannot be flushed, and need not be.
  if (::fsync(fd_) != 0 && errno != EINVAL && errno != EROFS) return SystemError("flush", path_);
  ::close(std::exchange(fd_, -1));
  return OkStatus();
}

Status ArchiveWriter::Emit(std::span<const uint8_t> bytes) {
  size_ += bytes.size();
  return WriteAll(fd_, bytes, path_);
}

Result<ArchiveReader> ArchiveReader::Open(const std::filesystem::path& path) {
  SLUICE_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  Result<ArchiveReader> reader = FromBytes(file.bytes());
  if (!reader.ok()) return reader.status().WithContext(path.string());
  reader->file_.emplace(std::move(file));
  return reader;
}

Result<ArchiveReader> ArchiveReader::FromBytes(std::span<const uint8_t> bytes) {
  ArchiveReader reader(bytes);
  SLUICE_RETURN_IF_ERROR(reader.ReadHeader().WithContext("archive header"));
  SLUICE_RETURN_IF_ERROR(reader.Walk());
  return reader;
}

Status ArchiveReader::ReadHeader() {
  for (size_t i = 0; i < std::min(kArchiveMagic.size(), bytes_.size()); ++i) {
    if (bytes_[i] != kArchiveMagic[i]) return Corrupt("not an activation archive: it does not begin with \"SLUA\"");
  }
  if (bytes_.size() > kArchiveMagic.size() && bytes_[kArchiveMagic.size()] != kArchiveVersion) {
    return Unsupported(
        fmt::format("version {}, this build reads version {}", bytes_[kArchiveMagic.size()], kArchiveVersion));
  }
  if (bytes_.size() < kArchiveHeaderSize) {
    return Truncated(fmt::format("{} bytes, expected {}", bytes_.size(), kArchiveHeaderSize));
  }
  const uint8_t* at = bytes_.data();
  if (Checksum32(bytes_.first(kArchiveHeaderSize - 4)) != LoadLe<uint32_t>(at + 36))
    return Corrupt("its checksum does not match");
  const std::optional<DType> source = HiddenTypeOf(at[5]);
  if (!source) return Unsupported(fmt::format("source type {}", at[5]));
  if (at[7] != 0 || LoadLe<uint64_t>(at + 28) != 0) return Unsupported("reserved bytes are not zero");
  header_ = {*source, at[6], LoadLe<uint32_t>(at + 8), LoadLe<uint64_t>(at + 12), LoadLe<double>(at + 20)};
  return CheckHeader(header_);
}

Result<std::optional<ArchiveChunk>> ArchiveReader::ReadChunk(size_t offset) const {
  if (bytes_.size() - offset < kArchiveChunkHeaderSize) return std::optional<ArchiveChunk>();
  const uint8_t* at = bytes_.data() + offset;
  // A file system that lost power may have grown the file and not written it.
  const auto left = bytes_.subspan(offset);
  if (std::all_of(left.begin(), left.end(), [](uint8_t byte) { return byte == 0; }))
    return std::optional<ArchiveChunk>();
  const bool intact = Checksum32(bytes_.subspan(offset, 16), offset) == LoadLe<uint32_t>(at + 16);
  if (!intact || LoadLe<uint32_t>(at) != kChunkMark) {
    return Corrupt(fmt::format("byte {}: a damaged chunk header after {} tokens", offset, tokens_));
  }
  ArchiveChunk chunk{.first_token = tokens_, .tokens = LoadLe<uint32_t>(at + 4), .offset = offset, .payload = {}};
  const uint32_t bytes = LoadLe<uint32_t>(at + 8);
  chunk.checksum = LoadLe<uint32_t>(at + 12);
  SLUICE_RETURN_IF_ERROR(CheckChunk(header_, chunk.tokens, bytes).WithContext(fmt::format("byte {}", offset)));
  if (bytes_.size() - offset - kArchiveChunkHeaderSize < bytes) return std::optional<ArchiveChunk>();
  chunk.payload = bytes_.subspan(offset + kArchiveChunkHeaderSize, bytes);
  return std::optional<ArchiveChunk>(chunk);
}

Status ArchiveReader::Walk() {
  while (true) {
    const size_t left = bytes_.size() - end_;
    if (left >= kArchiveChunkHeaderSize && LoadLe<uint32_t>(bytes_.data() + end_) == kEndMark) {
      const std::vector<uint8_t> expected =
          MarkBytes(kEndMark, static_cast<uint32_t>(chunks_.size()), 0, static_cast<uint32_t>(tokens_), end_);
      if (left != kArchiveChunkHeaderSize || !std::equal(expected.begin(), expected.end(), bytes_.data() + end_)) {
        return Corrupt(fmt::format("byte {}: a damaged end mark after {} tokens", end_, tokens_));
      }
      complete_ = true;
      return OkStatus();
    }
    SLUICE_ASSIGN_OR_RETURN(const std::optional<ArchiveChunk> chunk, ReadChunk(end_));
    if (!chunk) return OkStatus();
    chunks_.push_back(*chunk);
    tokens_ += chunk->tokens;
    end_ += kArchiveChunkHeaderSize + chunk->payload.size();
  }
}

void ArchiveReader::ForgetThrough(size_t index) const {
  const ArchiveChunk& chunk = chunks_[index];
  if (file_) file_->ForgetBefore(chunk.offset + kArchiveChunkHeaderSize + chunk.payload.size());
}

Result<std::span<const uint8_t>> ArchiveReader::Payload(size_t index) const {
  const ArchiveChunk& chunk = chunks_[index];
  if (Checksum32(chunk.payload) == chunk.checksum) return chunk.payload;
  return Corrupt(fmt::format("chunk {} at byte {}: its checksum does not match", index, chunk.offset));
}

}  // namespace sluice
