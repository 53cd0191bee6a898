#ifndef SLUICE_CODEC_TOKEN_CODER_H_
#define SLUICE_CODEC_TOKEN_CODER_H_

#include <cstdint>
#include <span>
#include <vector>

#include "base/interval.h"
#include "base/status.h"
#include "prob/frequency_table.h"

namespace sluice {

/// What a token frame holds: seven bits of its first byte, and bytes that end by themselves.
struct TokenPayload {
  uint8_t bits = 0;
  std::vector<uint8_t> bytes;
};

/// Where the widest interval of a table begins, the first of several: what both ends of a token frame are told for each
/// value.
uint32_t WidestStart(const FrequencyTable& table);

/// Collects the values of one token in the order in which they will be decoded: an IntervalSink that is told where each
/// value begins. Cost: about 15 bits over the ideal code length, the 8 of the frame's first byte and a checksum of 4 to
/// 8 included.
class TokenEncoder {
 public:
  /// Errors: InvalidArgument when `precision` is outside [10, 16].
  static Result<TokenEncoder> Create(int precision);

  /// `widest`: WidestStart of the table that the value is coded with.
  void BeginValue(uint32_t widest) {
    begins_.push_back(elements_.size());
    widest_ = widest;
  }
  /// Needs: BeginValue before; 1 <= freq < 2^precision, start + freq <= 2^precision.
  void Push(Interval interval);
  /// The low `count` bits of `value`, 0 to 32 of them.
  void PushBits(uint32_t value, int count);

  /// Encodes everything and leaves the encoder empty. `rolling`: the stream's rolling checksum, these values included.
  TokenPayload Finish(uint32_t rolling);

 private:
  struct Element {
    uint32_t start;
    uint32_t freq;
    int bits;
  };

  explicit TokenEncoder(int precision);
  bool PushFree(const Element& element, uint64_t& state) const;
  int ChooseTail(uint64_t seal) const;
  TokenPayload Encode(uint32_t rolling, int seal_bits) const;

  int precision_;
  int low_bits_;
  std::vector<Element> elements_;
  std::vector<size_t> begins_;  // index of each value's first element
  uint32_t widest_ = 0;
};

/// Gives the values back: an IntervalSource that is told where each value begins. Damaged bytes give wrong slots, never
/// an access outside of them.
class TokenDecoder {
 public:
  /// Borrows `bytes`, which may be longer than the frame. `values`: how many will be decoded.
  /// Errors: InvalidArgument as TokenEncoder::Create; Truncated; Corrupt for a first state outside its range.
  static Result<TokenDecoder> Create(uint8_t bits, std::span<const uint8_t> bytes, size_t values, int precision);

  /// `widest`: WidestStart of the table that the value is coded with.
  void BeginValue(uint32_t widest) {
    ++begun_;
    widest_ = widest;
  }
  uint32_t Peek() const { return (static_cast<uint32_t>(state_) + widest_) & mask_; }
  /// Needs: the interval holds Peek().
  void Advance(Interval interval) { Refill(interval.freq * (state_ >> precision_) + (Peek() - interval.start)); }
  /// The next `count` raw bits, 0 to 32.
  uint32_t PopBits(int count);

  /// Bytes that the frame's payload has. Call after the last value. `rolling`: the stream's rolling checksum, the
  /// decoded values included. Errors: Truncated; Corrupt when its bits are not those of the encoder.
  Result<size_t> Finish(uint32_t rolling) const;

 private:
  TokenDecoder() = default;

  void Refill(uint64_t state);

  std::span<const uint8_t> bytes_;
  size_t next_ = 0;
  uint64_t state_ = 0;
  uint32_t mask_ = 0;
  int precision_ = 0;
  int low_bits_ = 0;
  uint32_t widest_ = 0;
  size_t begun_ = 0;
  size_t refilled_values_ = 0;  // values before the tail
  bool overrun_ = false;
};

}  // namespace sluice

#endif  // SLUICE_CODEC_TOKEN_CODER_H_
