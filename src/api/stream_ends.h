#ifndef SLUICE_API_STREAM_ENDS_H_
#define SLUICE_API_STREAM_ENDS_H_

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "api/open_codec.h"

namespace sluice {

/// The sending end of a stream of any codec, frame by frame. The codec must outlive it. Threads: one at a time.
class StreamEncoder {
 public:
  /// Errors: InvalidArgument for a width that the codec does not have.
  static Result<StreamEncoder> Make(const AnyCodec& codec, uint32_t width, DType source);

  /// Bytes that continue the stream; they live until the next call. Errors: InvalidArgument.
  Result<std::span<const uint8_t>> Push(const HiddenStates& hidden);
  Result<std::span<const uint8_t>> Finish();

  // As FrameEncoder; a plain codec has one point, knows no ids, and has no state to take back.
  Status SetPoint(int point);
  Status SetTarget(double bits_per_token);
  Status SetTokens(std::span<const int32_t> ids);
  /// From the first frame on the stream carries the ids. Errors: InvalidArgument when it has frames, or the codec needs
  /// no ids.
  Status SendTokens();
  Status Trim(size_t tokens);
  std::unique_ptr<CodecCheckpoint> Checkpoint() const;
  Status Restore(const CodecCheckpoint& checkpoint);

 private:
  StreamEncoder(const AnyCodec& codec, StreamWriter writer, uint32_t width, DType source);

  const AnyCodec* codec_;
  std::optional<StreamWriter> writer_;
  uint32_t width_;
  DType source_;
  std::unique_ptr<FrameEncoder> encoder_;  // of a pack's codec
  std::vector<uint8_t> out_;
};

/// The receiving end, from bytes that are cut anywhere. The codec must outlive it. Threads: one at a time.
class StreamDecoder {
 public:
  explicit StreamDecoder(const AnyCodec& codec);

  void Feed(std::span<const uint8_t> bytes);
  /// The next frame, without rows at the end of the stream; it lives until the next call. Errors: Truncated when more
  /// bytes are needed, which harms nothing; the others are final: the same comes from every later call.
  Result<const HiddenStates*> Pull();

  /// The most elements of a frame; kMaxFrameElements without it. Pull gives InvalidArgument for one of more.
  void LimitElements(uint64_t most);
  // As FrameDecoder. Errors: those of Pull after a final one.
  Status SetTokens(std::span<const int32_t> ids);
  /// That the frame pulled last carried; until the next call.
  std::span<const int32_t> tokens() const { return decoder_ ? decoder_->tokens() : std::span<const int32_t>(); }
  Status Trim(size_t tokens);
  std::unique_ptr<CodecCheckpoint> Checkpoint() const;
  Status Restore(const CodecCheckpoint& checkpoint);

 private:
  Status ReadNext();
  Status Open();

  const AnyCodec* codec_;
  std::unique_ptr<FrameDecoder> decoder_;  // of a pack's codec
  std::vector<uint8_t> buffer_;            // from the first byte that the reader has not passed
  std::optional<StreamReader> reader_;
  uint64_t most_elements_ = kMaxFrameElements;
  HiddenStates frame_;
  Status failed_;
};

}  // namespace sluice

#endif  // SLUICE_API_STREAM_ENDS_H_
