#ifndef SLUICE_CODEC_PACK_CODEC_H_
#define SLUICE_CODEC_PACK_CODEC_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include "base/status.h"
#include "base/view.h"
#include "format/pack.h"
#include "format/stream.h"

namespace sluice {

/// How many tokens of a stream can be taken back.
inline constexpr size_t kMostTrim = 63;

/// What the frames that follow depend on, kept by one end to come back to. Threads: immutable.
class CodecCheckpoint {
 public:
  virtual ~CodecCheckpoint() = default;
};

/// The sending end of one stream. Threads: one at a time.
class FrameEncoder {
 public:
  virtual ~FrameEncoder() = default;

  /// Encodes the next tokens of `batch` rows into a frame of `writer`, whose header must be the codec's; one token
  /// becomes a token frame wherever one can stand. Data: hidden [batch * T, d], row after row.
  /// Errors: InvalidArgument for the shape, or for a value that is not finite or beyond what is coded, naming row,
  /// token and channel; the errors of StreamWriter.
  virtual Status Push(MatrixView<const float> hidden, uint32_t batch, StreamWriter& writer) = 0;

  /// The operating point of the frames that follow. Errors: InvalidArgument when the codec has no such point.
  virtual Status SetPoint(int point);
  /// Lets the encoder choose the points, of `points` if these are not empty, so that the stream's average rate comes
  /// near this many bits a token. Errors: InvalidArgument when the codec has but one point, or not these in rising
  /// order.
  virtual Status SetTarget(double bits_per_token, std::span<const int> points = {});
  /// Token ids of the next frame's rows, for codecs whose two ends know them; others ignore them. A stream with
  /// kIdsInStream takes them along.
  /// Data: [batch * T]. Errors: InvalidArgument for an id that the codec does not know.
  virtual Status SetTokens(std::span<const int32_t> ids);
  /// Takes back the last tokens of a stream of one row: what follows is coded as if they had not been. The other end
  /// must do the same at the same place. Errors: InvalidArgument for more than kMostTrim, or than there were.
  virtual Status Trim(size_t tokens);
  /// The state after the frames so far, which any end of the same codec and direction can take up. Cost: a copy of the
  /// state, constant. The other end must keep its own and take it up at the same places.
  virtual std::unique_ptr<CodecCheckpoint> Checkpoint() const;
  /// Errors: InvalidArgument for a checkpoint of another codec or direction, or after an error.
  virtual Status Restore(const CodecCheckpoint& checkpoint);
};

/// The receiving end of one stream. Threads: one at a time.
class FrameDecoder {
 public:
  virtual ~FrameDecoder() = default;

  /// Decodes the frame that `reader` gave last, checks it, and consumes it if it is a token frame. Gives [batch * T,
  /// d]. Errors: Truncated or Corrupt, naming the frame; after one, no frame of the stream may be decoded.
  virtual Result<Matrix<float>> Pull(const Frame& frame, StreamReader& reader) = 0;
  /// The same into a matrix whose room is used again. Data: hidden [batch * T, d]; after an error, whatever.
  virtual Status PullInto(const Frame& frame, StreamReader& reader, Matrix<float>& hidden);
  /// The operating point of the frame that was decoded last.
  virtual int point() const { return 0; }

  /// As FrameEncoder; of no effect where the stream carries the ids.
  virtual Status SetTokens(std::span<const int32_t> ids);
  /// Ids that the frame decoded last carried, row after row; empty without kIdsInStream.
  virtual std::span<const int32_t> tokens() const { return {}; }
  virtual Status Trim(size_t tokens);
  virtual std::unique_ptr<CodecCheckpoint> Checkpoint() const;
  virtual Status Restore(const CodecCheckpoint& checkpoint);
};

/// Multiply-adds a token of both ends.
struct CodecCost {
  uint64_t encode = 0, decode = 0;
};

/// A codec that a pack holds, torch-free: it makes and reads streams of kind 3.
/// Threads: const access from any number of threads.
class PackCodec {
 public:
  virtual ~PackCodec() = default;
  PackCodec(const PackCodec&) = delete;
  PackCodec& operator=(const PackCodec&) = delete;

  /// Errors: those of Pack; Unsupported for a codec that this build does not know; Corrupt for parts that are missing
  /// or that contradict each other.
  static Result<std::unique_ptr<PackCodec>> Open(const std::filesystem::path& path);
  static Result<std::unique_ptr<PackCodec>> Make(Pack pack);

  const Pack& pack() const { return pack_; }
  /// The header of its streams. `flags`: kFreshFrames, kSingle; kIdsInStream, with side tokens only.
  StreamHeader Header(DType source, uint16_t flags = 0) const;
  /// Whether its streams may have kIdsInStream. Errors: InvalidArgument for a codec that needs no ids.
  Status CheckSendsIds() const;
  /// Errors: Mismatch when a stream is not this codec's, saying what differs.
  Status CheckHeader(const StreamHeader& header) const;

  /// 0 where it is not counted.
  virtual CodecCost MultiplyAdds() const { return {}; }

  virtual std::unique_ptr<FrameEncoder> NewEncoder() const = 0;
  virtual std::unique_ptr<FrameDecoder> NewDecoder() const = 0;

 protected:
  explicit PackCodec(Pack pack) : pack_(std::move(pack)) {}

 private:
  Pack pack_;
};

}  // namespace sluice

#endif  // SLUICE_CODEC_PACK_CODEC_H_
