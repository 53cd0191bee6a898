#ifndef SLUICE_FORMAT_STREAM_H_
#define SLUICE_FORMAT_STREAM_H_

#include <algorithm>
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
inline constexpr size_t kStreamHeaderSize = 40;
inline constexpr uint32_t kMaxStreamWidth = 65'536;
inline constexpr uint32_t kMaxFrameBatch = 4'096;
inline constexpr uint64_t kMaxFrameTokens = uint64_t{1} << 20;    ///< batch * tokens of one frame
inline constexpr uint64_t kMaxFrameElements = uint64_t{1} << 26;  ///< batch * tokens * width of one frame
inline constexpr size_t kMaxFrameSections = 8;
inline constexpr uint64_t kMaxSectionBytes = uint64_t{1} << 29;
inline constexpr uint64_t kMaxStreamTokens = uint64_t{1} << 48;
inline constexpr uint64_t kMaxSingleTokens = (uint64_t{1} << 14) - 1;  ///< batch * tokens of a self-contained frame
inline constexpr uint64_t kMaxSingleSectionBytes = (uint64_t{1} << 28) - 1;  ///< of a self-contained frame

/// What turns payloads back into hidden states.
enum class CodecKind : uint8_t {
  kPlain = 1,    ///< stored frames; the codec id is the codec's name in ASCII
  kFloat = 2,    ///< learned, float networks on both ends: profile and threads must match
  kInteger = 3,  ///< learned, integer networks: any machine decodes it
};

/// Bits of StreamHeader::flags. A reader refuses bits that it does not know.
enum StreamFlags : uint16_t {
  kFreshFrames = 1,   ///< the rows of every frame begin new sequences; else they continue those of the frame before
  kResidual = 2,      ///< the quantized residual was coded, not the quantized value
  kSideTokens = 4,    ///< the decoder needs the token ids
  kSingle = 8,        ///< a self-contained frame: one frame, no end frame
  kIdsInStream = 16,  ///< with kSideTokens: the token ids are in the frames
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

  /// Whether every frame begins new sequences.
  bool BeginsAnew() const { return (flags & (kFreshFrames | kSingle)) != 0; }

  friend bool operator==(const StreamHeader&, const StreamHeader&) = default;
};

/// A token frame is a learned codec's frame of one token of one row, in as few bytes as can be.
enum class FrameType : uint8_t { kChunk = 1, kStored = 2, kEnd = 3, kToken = 0x80 };
inline constexpr uint8_t kTokenBits = 0x7F;  ///< of a token frame's first byte: they belong to the codec

/// Integers that a frame's checksum covers, piece by piece (z, then y), each row-major.
using IntegerPieces = std::initializer_list<std::span<const int32_t>>;

/// Checksum of a chunk frame: the frame's header bytes, then each piece of decoded integers as little-endian int32,
/// each hashed with the checksum before it as seed, the first with the stream header's checksum.
uint32_t FrameChecksum(uint32_t stream_checksum, std::span<const uint8_t> frame_header, IntegerPieces integers);

/// The checksum that runs through a stream: it begins as the header's, takes in every chunk and stored frame by its
/// checksum and every token frame by its decoded integers, and begins the end frame's.
uint32_t RollingChecksum(uint32_t before, IntegerPieces integers);

/// A frame as it was read. Spans borrow from the stream's bytes.
struct Frame {
  FrameType type = FrameType::kChunk;
  uint32_t batch = 0;
  uint32_t tokens = 0;                             ///< per row
  uint64_t first_token = 0;                        ///< tokens of all rows in the frames before this one
  std::vector<std::span<const uint8_t>> sections;  ///< of a token frame: all bytes that follow its first one
  std::span<const uint8_t> header_bytes;
  uint32_t stream_checksum = 0;
  uint32_t checksum = 0;
  uint32_t rolling = 0;    ///< the rolling checksum before this frame
  uint8_t token_bits = 0;  ///< of a token frame's first byte
  uint64_t offset = 0;     ///< where in the stream it begins

  /// Checks the integers decoded from a chunk frame. Errors: Corrupt. (Stored frames were checked when they were read.)
  Status Verify(IntegerPieces integers) const;
};

/// Writes a stream, or a self-contained frame when the header says so, to memory or to a file that appears when it is
/// finished.
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
  /// A learned codec's frame of the next token of one row: `bits` (7) and a payload that ends by itself.
  /// Errors: InvalidArgument for a self-contained frame, fresh rows, or a frame before it of several rows; Io.
  Status AddToken(uint8_t bits, std::span<const uint8_t> payload, IntegerPieces integers);
  const StreamHeader& header() const { return header_; }
  /// Whether a token frame can stand here.
  bool TakesTokens() const;
  /// The rolling checksum of what has been added, by which the codec chooses the end of a token frame's payload.
  uint32_t rolling() const { return rolling_; }
  /// Writes the end frame and, for a file, puts it in its place. Nothing can be added afterwards.
  /// Errors: Io; InvalidArgument when the stream is finished already, or a self-contained frame has no frame.
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
  void Count(uint32_t batch, uint32_t tokens);

  StreamHeader header_;
  std::optional<AtomicFile> file_;
  std::vector<uint8_t> pending_;
  uint32_t stream_checksum_ = 0;
  uint32_t rolling_ = 0;
  uint32_t batch_ = 1;  // of the frame before
  uint64_t written_ = 0;
  uint64_t tokens_ = 0;
  uint64_t frames_ = 0;
  bool finished_ = false;
};

/// Reads a stream or a self-contained frame, frame by frame; allocates nothing in proportion to what the stream claims.
class StreamReader {
 public:
  /// Reads the header from bytes that outlive the reader. Errors: Truncated; Corrupt for another magic, a wrong
  /// checksum or a field outside its limits; Unsupported for another version or unknown flags.
  static Result<StreamReader> FromBytes(std::span<const uint8_t> bytes);
  /// The same for a file, mapped. Errors: as FromBytes; Io.
  static Result<StreamReader> Open(const std::filesystem::path& path);

  const StreamHeader& header() const { return header_; }
  /// The most elements of a frame that Next gives from now on; kMaxFrameElements without it, and at most.
  void LimitElements(uint64_t most) { most_elements_ = std::min(most, kMaxFrameElements); }
  /// The next frame; nothing after the end frame. Stored frames have been checked.
  /// Errors: Truncated when the stream stops before its end frame; Corrupt; Unsupported for an unknown frame type;
  /// InvalidArgument after a token frame that was not consumed, and for a frame of more elements than LimitElements
  /// said, as soon as its header is there. After an error the reader stays where it is.
  Result<std::optional<Frame>> Next();
  /// Ends the token frame that Next gave: the codec took `bytes` of its section and decoded `integers`.
  /// Errors: InvalidArgument when there is no such frame, or for more bytes than there are.
  Status Consume(size_t bytes, IntegerPieces integers);
  /// Goes on in `bytes`, which follow what has been read; for a stream that arrives in pieces. After Truncated, `bytes`
  /// begin where the frame that was cut off did, which is unread() bytes before the end of those before.
  void Continue(std::span<const uint8_t> bytes);
  /// Where the reader stands, to return to: before a token frame that turned out to be cut off.
  struct Place {
    size_t offset;
    uint32_t rolling, batch;
    uint64_t frames, tokens;
  };
  Place Remember() const { return {offset_, rolling_, batch_, frames_, tokens_}; }
  /// Needs: no Continue since Remember.
  void Return(const Place& place);
  /// Bytes behind the last frame that was read.
  size_t unread() const { return bytes_.size() - offset_; }
  /// Frames and tokens read so far.
  uint64_t frames() const { return frames_; }
  uint64_t tokens() const { return tokens_; }

 private:
  explicit StreamReader(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  Status ReadHeader();
  Status CheckElements(uint64_t tokens) const;
  Result<Frame> ReadFrame(ByteReader& reader, uint8_t type) const;
  Status ReadSections(ByteReader& reader, size_t sections, Frame& frame) const;
  Result<Frame> ReadToken(ByteReader& reader, uint8_t type) const;
  Status ReadEnd(ByteReader& reader) const;
  Status FinishSingle();

  std::optional<MappedFile> file_;
  std::span<const uint8_t> bytes_;
  StreamHeader header_;
  uint32_t stream_checksum_ = 0;
  uint64_t before_ = 0;  // bytes of the stream before bytes_
  size_t offset_ = 0;
  uint32_t rolling_ = 0;
  uint32_t batch_ = 1;  // of the frame before
  uint64_t frames_ = 0;
  uint64_t tokens_ = 0;
  uint64_t most_elements_ = kMaxFrameElements;
  bool ended_ = false;
  bool token_pending_ = false;
};

}  // namespace sluice

#endif  // SLUICE_FORMAT_STREAM_H_
