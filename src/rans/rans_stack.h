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

  /// Begins a new stream in the memory of the one before.
  /// Needs: `lanes` in [1, 64].
  void Reset(int lanes, uint32_t seal = kRansDefaultSeal);

  /// Encodes the element before all those encoded so far.
  /// Needs: 1 <= freq < 2^precision, start + freq <= 2^precision (asserted).
  void Push(Interval interval) {
    if (!in_lanes_) {
      if (lanes_ == 1 || words_.size() + 1 < static_cast<size_t>(lanes_)) {
        states_[0] = Absorb(states_[0], interval, precision_);
        return;
      }
      Spread();
    }
    lane_ = (lane_ == 0 ? lanes_ : lane_) - 1;
    states_[lane_] = Absorb(states_[lane_], interval, precision_);
    ++laned_;
  }
  /// What RansDecoder::PopBits(count) gives back: all pieces, the highest first.
  void PushBits(uint32_t value, int count);

  /// How many of the elements lanes have encoded; the others are the stem's.
  uint64_t laned() const { return laned_; }

  /// For kernels: the states, renamed so that the next element to be pushed belongs to the last lane. A kernel may
  /// encode any number of whole rounds of lanes by itself, adding to words() and telling by AddLaned how many elements.
  /// Needs: laned() > 0.
  std::span<uint32_t> AlignedStates();
  void AddLaned(size_t elements) { laned_ += elements; }
  /// Words produced so far, in the reverse of the order of the bytes.
  std::vector<uint16_t>& words() { return words_; }

  /// Appends the bytes. Leaves the stack without use until Reset.
  void Finish(std::vector<uint8_t>& out);

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
  void Spread();
  void PushPiece(uint32_t value, int count);
  void PutRaw(uint32_t value, int count);
  void Fold(uint32_t value, int count);

  int lanes_;
  int precision_;
  int low_bits_;
  int lane_ = 0;  // of the element pushed last
  bool in_lanes_ = false;
  uint64_t laned_ = 0;  // elements encoded by lanes
  std::array<uint32_t, kMaxRansLanes> states_{};
  std::vector<uint16_t> words_;
  std::vector<uint8_t> raw_;  // whole bytes
  uint32_t raw_pending_ = 0;  // fewer than 8 bits
  int raw_pending_count_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_RANS_RANS_STACK_H_
