#ifndef SLUICE_CODEC_TOKEN_CODER_H_
#define SLUICE_CODEC_TOKEN_CODER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/interval.h"
#include "base/status.h"

namespace sluice {

/// What a token frame holds: seven bits of its first byte, and bytes that end by themselves.
struct TokenPayload {
  uint8_t bits = 0;
  std::vector<uint8_t> bytes;
};

/// Encodes the values of one token in the order in which they will be decoded: an IntervalSink.
/// Cost: 11 bits over the intervals' on average, the frame's first bit and a checksum of 6 to 14 bits (10 on average)
/// included.
class TokenEncoder {
 public:
  /// Errors: InvalidArgument when `precision` is outside [10, 16].
  static Result<TokenEncoder> Create(int precision);

  /// Needs: freq >= 1, start + freq <= 2^precision (asserted).
  void Push(Interval interval) { Narrow(interval, precision_); }
  /// The low `count` bits of `value`, 0 to 32 of them.
  void PushBits(uint32_t value, int count);

  /// Gives what was encoded and leaves the encoder empty. `rolling`: the stream's rolling checksum, these values
  /// included.
  TokenPayload Finish(uint32_t rolling);
  /// The same into memory that is kept from token to token.
  void Finish(uint32_t rolling, TokenPayload& payload);

 private:
  explicit TokenEncoder(int precision) : precision_(precision) { Restart(); }
  void Restart();
  void Narrow(Interval interval, int bits);
  void Carry();
  void MoveOut();

  int precision_;
  uint64_t low_ = 0;
  uint64_t range_ = 0;
  std::vector<uint8_t> out_;  // above the window of low_; its first byte is the frame's
};

/// Gives the values back: an IntervalSource. Damaged bytes give wrong slots, never an access outside of them.
class TokenDecoder {
 public:
  /// Borrows `bytes`, which may be longer than the frame. Errors: InvalidArgument as TokenEncoder::Create.
  static Result<TokenDecoder> Create(uint8_t bits, std::span<const uint8_t> bytes, int precision);

  uint32_t Peek() const { return Slot(precision_); }
  /// Needs: the interval holds Peek().
  void Advance(Interval interval) { Narrow(interval, precision_); }
  /// The next `count` raw bits, 0 to 32.
  uint32_t PopBits(int count);

  /// Bytes that the frame's payload has. Call after the last value. `rolling`: the stream's rolling checksum, the
  /// decoded values included. Errors: Truncated exactly when other values could follow from more bytes, or the last
  /// bytes are missing; Corrupt when the end is not the one that the checksum chooses.
  Result<size_t> Finish(uint32_t rolling) const;

 private:
  TokenDecoder() = default;

  uint32_t Slot(int bits) const;
  void Narrow(Interval interval, int bits);
  void Refill();

  std::span<const uint8_t> bytes_;
  size_t next_ = 0;       // may lie behind the end, where zeros are read
  uint64_t code_ = 0;     // the last 8 bytes read
  uint64_t value_ = 0;    // the code less the low end of the range
  uint64_t range_ = 0;    // more than value_ + unknown_
  uint64_t unknown_ = 0;  // how much greater value_ could be for the bytes behind the end
  int precision_ = 0;
  bool overrun_ = false;  // the bytes do not decide what was decoded
};

}  // namespace sluice

#endif  // SLUICE_CODEC_TOKEN_CODER_H_
