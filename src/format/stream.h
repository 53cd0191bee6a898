#ifndef SLUICE_FORMAT_STREAM_H_
#define SLUICE_FORMAT_STREAM_H_

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/status.h"
#include "format/dtype.h"

namespace sluice {

// Layout and limits of docs/format.md, part "Stream", version 1. A reader checks every limit before it allocates.
inline constexpr uint8_t kStreamVersion = 1;
inline constexpr size_t kStreamHeaderSize = 44;
inline constexpr uint32_t kMaxStreamWidth = 65'536;
inline constexpr uint32_t kMaxFrameBatch = 4'096;
inline constexpr uint64_t kMaxFrameTokens = uint64_t{1} << 20;    ///< batch * tokens of one frame
inline constexpr uint64_t kMaxFrameElements = uint64_t{1} << 26;  ///< batch * tokens * width of one frame
inline constexpr size_t kMaxFrameSections = 8;
inline constexpr uint64_t kMaxSectionBytes = uint64_t{1} << 29;
inline constexpr uint64_t kMaxStreamTokens = uint64_t{1} << 48;

/// What turns payloads back into hidden states.
enum class CodecKind : uint8_t {
  kPlain = 1,    ///< stored frames; the codec id is the codec's name in ASCII
  kFloat = 2,    ///< learned, float networks on both ends: profile and threads must match
  kInteger = 3,  ///< learned, integer networks: any machine decodes it
};

/// Bits of StreamHeader::flags. A reader refuses bits that it does not know.
enum StreamFlags : uint16_t {
  kFreshFrames = 1,  ///< the rows of every frame begin new sequences; else they continue those of the frame before
  kResidual = 2,     ///< the quantized residual was coded, not the quantized value
  kSideTokens = 4,   ///< the decoder needs the token ids
};

/// What all frames of a stream share.
struct StreamHeader {
  CodecKind kind = CodecKind::kPlain;
  uint16_t flags = 0;
  uint64_t model_id = 0;       ///< ShortId of the model's hash; 0 when no model is needed
  uint64_t codec_id = 0;       ///< ShortId of the learned codec's hash, or the plain codec's name
  uint32_t width = 0;          ///< d: 1 to kMaxStreamWidth
  uint16_t cut = 0;            ///< layers before the cut; 0 when no model is needed
  uint8_t precision_bits = 0;  ///< log2 of the sum of a probability table, 10 to 16; 0 when none is used
  uint8_t threads = 0;         ///< threads that the float network ran with; 0 for other kinds
  uint32_t profile = 0;        ///< hash of the build that ran the float network; 0 for other kinds
  DType source = DType::kF32;  ///< what the hidden states were: F32, F16 or BF16

  friend bool operator==(const StreamHeader&, const StreamHeader&) = default;
};

enum class FrameType : uint8_t { kChunk = 1, kStored = 2, kEnd = 3 };

/// Integers that a frame's checksum covers, piece by piece (z, then y), each row-major.
using IntegerPieces = std::initializer_list<std::span<const int32_t>>;

/// Checksum of a chunk frame: the frame's header bytes, then each piece of decoded integers as little-endian int32,
/// each hashed with the checksum before it as seed, the first with the stream header's checksum.
uint32_t FrameChecksum(uint32_t stream_checksum, std::span<const uint8_t> frame_header, IntegerPieces integers);

/// A frame as it was read. Spans borrow from the stream's bytes.
struct Frame {
  FrameType type = FrameType::kChunk;
  uint32_t batch = 0;
  uint32_t tokens = 0;       ///< per row
  uint64_t first_token = 0;  ///< tokens of all rows in the frames before this one
  std::vector<std::span<const uint8_t>> sections;
  std::span<const uint8_t> header_bytes;
  uint32_t stream_checksum = 0;
  uint32_t checksum = 0;
  size_t offset = 0;  ///< where in the stream it begins

  /// Checks the integers decoded from a chunk frame. Errors: Corrupt. (Stored frames were checked when they were read.)
  Status Verify(IntegerPieces integers) const;
};

/// Writes a stream to memory or to a file that appears when it is finished.
class StreamWriter {
 public:
  /// Errors: InvalidArgument for a header outside its limits.
  static Result<StreamWriter> ToMemory(const StreamHeader& header);
  /// Errors: as ToMemory; Io.
  static Result<StreamWriter> ToFile(const StreamHeader& header, const std::filesystem::path& path);

  /// A learned codec's frame of batch * tokens tokens: `sections` are its payloads, `integers` what they decode to.
  /// Errors: InvalidArgument outside the limits; Io.
  Status AddChunk(uint32_t batch, uint32_t tokens, std::span<const std::span<const uint8_t>> sections,
                  IntegerPieces integers);
  /// A plain codec's frame. Errors: as AddChunk.
  Status AddStored(uint32_t batch, uint32_t tokens, std::span<const uint8_t> payload);
  /// Writes the end frame and, for a file, puts it in its place. Nothing can be added afterwards.
  /// Errors: Io; InvalidArgument when the stream is finished already.
  Status Finish();

  /// Bytes since the last call; of a stream in memory only.
  std::vector<uint8_t> Take();
  /// Bytes of the stream so far, header included.
  uint64_t bytes_written() const { return written_; }
  uint64_t tokens_written() const { return tokens_; }

 private:
  StreamWriter(const StreamHeader& header, std::optional<AtomicFile> file) : header_(header), file_(std::move(file)) {}
  Result<ByteWriter> BeginFrame(FrameType type, uint32_t batch, uint32_t tokens,
                                std::span<const std::span<const uint8_t>> sections);
  Status WriteFrame(const ByteWriter& header, std::span<const std::span<const uint8_t>> sections, uint32_t checksum);
  Status Emit(std::span<const uint8_t> bytes);

  StreamHeader header_;
  std::optional<AtomicFile> file_;
  std::vector<uint8_t> pending_;
  uint32_t stream_checksum_ = 0;
  uint64_t written_ = 0;
  uint64_t tokens_ = 0;
  uint64_t frames_ = 0;
  bool finished_ = false;
};

/// Reads a stream frame by frame; allocates nothing in proportion to what the stream claims.
class StreamReader {
 public:
  /// Reads the header from bytes that outlive the reader. Errors: Truncated; Corrupt for another magic, a wrong
  /// checksum or a field outside its limits; Unsupported for another version or unknown flags.
  static Result<StreamReader> FromBytes(std::span<const uint8_t> bytes);
  /// The same for a file, mapped. Errors: as FromBytes; Io.
  static Result<StreamReader> Open(const std::filesystem::path& path);

  const StreamHeader& header() const { return header_; }
  /// The next frame; nothing after the end frame. Stored frames have been checked.
  /// Errors: Truncated when the stream stops before its end frame; Corrupt; Unsupported for an unknown frame type.
  /// After an error the reader stays where it is.
  Result<std::optional<Frame>> Next();
  /// Frames and tokens read so far.
  uint64_t frames() const { return frames_; }
  uint64_t tokens() const { return tokens_; }

 private:
  explicit StreamReader(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  Status ReadHeader();
  Result<Frame> ReadFrame(ByteReader& reader, uint8_t type) const;
  Status ReadEnd(ByteReader& reader) const;

  std::optional<MappedFile> file_;
  std::span<const uint8_t> bytes_;
  StreamHeader header_;
  uint32_t stream_checksum_ = 0;
  size_t offset_ = 0;
  uint64_t frames_ = 0;
  uint64_t tokens_ = 0;
  bool ended_ = false;
};

}  // namespace sluice

#endif  // SLUICE_FORMAT_STREAM_H_
