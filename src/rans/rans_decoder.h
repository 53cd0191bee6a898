#ifndef SLUICE_RANS_RANS_DECODER_H_
#define SLUICE_RANS_RANS_DECODER_H_

#include <array>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/interval.h"
#include "base/status.h"
#include "rans/rans_layout.h"

namespace sluice {

/// Gives the elements of RansEncoder back in the order in which they were pushed.
///
/// A caller repeats: slot = Peek(), finds the interval that holds the slot, Advance(interval). Damaged bytes give wrong
/// slots, never an access outside of `bytes`; past the end zeros are read, and Finish tells.
class RansDecoder {
 public:
  /// Borrows `bytes`, the whole stream and nothing else.
  /// Errors: InvalidArgument as RansEncoder::Create; Truncated when the lanes' states end early; Corrupt when the first
  /// state is not in its shortest form.
  static Result<RansDecoder> Create(std::span<const uint8_t> bytes, int lanes, int precision);

  /// Where the current element lies. Range: [0, 2^precision).
  uint32_t Peek() const { return states_[lane_] & mask_; }

  /// Needs: the interval holds Peek().
  void Advance(Interval interval) {
    const uint32_t x = states_[lane_];
    states_[lane_] = Refill(interval.freq * (x >> precision_) + (x & mask_) - interval.start);
    NextLane();
  }

  /// The next `count` raw bits, 0 to 32.
  uint32_t PopBits(int count);

  int lanes() const { return lanes_; }
  int precision() const { return precision_; }

  /// For kernels: the states, renamed so that the current element belongs to the first, and the unread words. A kernel
  /// may decode whole rounds of lanes by itself, and then tells by SkipWords how many words it took.
  struct Cursor {
    uint32_t* states;
    const uint8_t* words;
    size_t word_count;
  };
  Cursor Aligned();
  /// Needs: count at most word_count of the last Aligned().
  void SkipWords(size_t count) { next_ += 2 * count; }

  /// To be called after the last element. Errors: Truncated when the bytes ended before the elements; Corrupt when
  /// bytes are left over or the states do not end at `seal`.
  Status Finish(uint32_t seal = kRansDefaultSeal) const;

 private:
  RansDecoder(std::span<const uint8_t> bytes, int lanes, int precision)
      : next_(bytes.data()),
        end_(bytes.data() + bytes.size()),
        lanes_(lanes),
        precision_(precision),
        low_bits_(RansLowBits(precision)),
        mask_((uint32_t{1} << precision) - 1) {}

  Status ReadStates();
  uint32_t TakeRaw(uint32_t* state, int count);

  uint32_t Refill(uint32_t x) {
    if (x >> low_bits_ != 0) return x;
    if (next_ != end_) {
      x = (x << kRansWordBits) | LoadLe<uint16_t>(next_);
      next_ += 2;
    } else if (lanes_ > 1) {
      x <<= kRansWordBits;
      overrun_ = true;
    }
    return x;
  }
  void NextLane() {
    if (++lane_ == lanes_) lane_ = 0;
  }

  const uint8_t* next_;
  const uint8_t* end_;  // a whole number of words after next_
  int lanes_;
  int precision_;
  int low_bits_;
  uint32_t mask_;
  int lane_ = 0;
  bool overrun_ = false;
  std::array<uint32_t, kMaxRansLanes> states_{};
};

}  // namespace sluice

#endif  // SLUICE_RANS_RANS_DECODER_H_
