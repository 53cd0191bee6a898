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
  /// Errors: InvalidArgument as RansEncoder::Create; Truncated when the bytes end inside the head, the raw bits or the
  /// lanes' states; Corrupt when the first state or a number is not in its shortest form, or the raw bits have no end.
  static Result<RansDecoder> Create(std::span<const uint8_t> bytes, int lanes, int precision);

  /// Where the current element lies. Range: [0, 2^precision).
  uint32_t Peek() const { return states_[lane_] & mask_; }

  /// Needs: the interval holds Peek().
  void Advance(Interval interval) {
    const uint32_t x = states_[lane_];
    states_[lane_] = Refill(interval.freq * (x >> precision_) + (x & mask_) - interval.start);
    if (laned_ == 0) return;
    if (++lane_ == lanes_) lane_ = 0;
    if (--laned_ == 0) EnterStem();
  }

  /// The next `count` raw bits, 0 to 32.
  uint32_t PopBits(int count);

  int lanes() const { return lanes_; }
  int precision() const { return precision_; }

  /// For kernels: the states, renamed so that the current element belongs to the first, the unread words, and how many
  /// elements are still coded by lanes. A kernel may decode whole rounds of lanes by itself, at most these elements and
  /// words, and then tells by Skip what it took.
  struct Cursor {
    uint32_t* states;
    const uint8_t* words;
    size_t word_count;
    uint64_t laned;
  };
  Cursor Aligned();
  void Skip(size_t elements, size_t words);

  /// To be called after the last element. Errors: Truncated when the bytes ended before the elements; Corrupt when
  /// bytes, raw bits or elements of lanes are left over or the states do not end as they began.
  Status Finish(uint32_t seal = kRansDefaultSeal) const;

 private:
  RansDecoder(int lanes, int precision)
      : lanes_(lanes),
        precision_(precision),
        low_bits_(RansLowBits(precision)),
        mask_((uint32_t{1} << precision) - 1) {}

  Status ReadHead(std::span<const uint8_t> bytes);
  Status ReadStates();
  uint32_t TakeFromState(uint32_t* state, int count);
  uint32_t TakeRaw(int count);
  void EnterStem();
  uint32_t RefillStem(uint32_t x);

  uint32_t Refill(uint32_t x) {
    if (x >> low_bits_ != 0) return x;
    if (laned_ == 0) return RefillStem(x);
    if (next_ == end_) {
      overrun_ = true;
      return x << kRansWordBits;
    }
    x = (x << kRansWordBits) | LoadLe<uint16_t>(next_);
    next_ += 2;
    return x;
  }

  const uint8_t* next_ = nullptr;
  const uint8_t* end_ = nullptr;  // a whole number of words after next_; there the raw bits begin
  size_t raw_size_ = 0;           // bytes
  size_t raw_bits_ = 0;           // not yet taken
  uint64_t laned_ = 0;            // elements of lanes not yet decoded
  int lanes_;
  int precision_;
  int low_bits_;
  uint32_t mask_;
  int lane_ = 0;
  int lent_ = 0;  // words of the stem that the other lanes still hold
  bool overrun_ = false;
  bool lanes_end_well_ = true;
  std::array<uint32_t, kMaxRansLanes> states_{};
};

}  // namespace sluice

#endif  // SLUICE_RANS_RANS_DECODER_H_
