#ifndef SLUICE_RANS_RANS_STACK_H_
#define SLUICE_RANS_RANS_STACK_H_

#include <array>
#include <cassert>
#include <cstdint>
#include <span>
#include <vector>

#include "base/interval.h"
#include "base/status.h"
#include "rans/rans_layout.h"

namespace sluice {

/// The encoding half without a list: takes elements from the last to the first, encodes each at once.
/// RansEncoder is this behind a list; kernels work on its states and words directly.
class RansStack {
 public:
  /// Errors: InvalidArgument when `lanes` is outside [1, 64] or `precision` outside [10, 16].
  static Result<RansStack> Create(int lanes, int precision, uint32_t seal = kRansDefaultSeal);

  int lanes() const { return lanes_; }
  int precision() const { return precision_; }

  /// Encodes the element before all those encoded so far: an interval of 2^bits; `bits` is the precision, or the width
  /// of raw bits, at most 15, which are intervals of freq 1.
  void Push(Interval interval, int bits) {
    lane_ = (lane_ == 0 ? lanes_ : lane_) - 1;
    states_[lane_] = Absorb(states_[lane_], interval, bits);
  }
  /// What RansDecoder::PopBits(count) gives back: all pieces, the highest first.
  void PushBits(uint32_t value, int count);

  /// Renames the lanes so that the next element to be pushed belongs to the last one, and gives the states. A kernel
  /// may then encode any number of whole rounds of lanes by itself, adding to words().
  std::span<uint32_t> AlignedStates();
  /// Words produced so far, in the reverse of the order of the bytes.
  std::vector<uint16_t>& words() { return words_; }

  /// The bytes. Leaves the stack without use.
  std::vector<uint8_t> Finish();

 private:
  RansStack(int lanes, int precision, uint32_t seal);

  uint32_t Absorb(uint32_t x, Interval interval, int bits) {
    assert(interval.freq >= 1 && uint64_t{interval.start} + interval.freq <= uint64_t{1} << bits);
    if (x >= uint64_t{interval.freq} << (low_bits_ + kRansWordBits - bits)) {
      words_.push_back(static_cast<uint16_t>(x));
      x >>= kRansWordBits;
    }
    return ((x / interval.freq) << bits) + x % interval.freq + interval.start;
  }
  void Fold(uint32_t value, int count);

  int lanes_;
  int precision_;
  int low_bits_;
  int lane_ = 0;  // of the element pushed last
  std::array<uint32_t, kMaxRansLanes> states_{};
  std::vector<uint16_t> words_;
};

}  // namespace sluice

#endif  // SLUICE_RANS_RANS_STACK_H_
