#ifndef SLUICE_RANS_RANS_ENCODER_H_
#define SLUICE_RANS_RANS_ENCODER_H_

#include <cstdint>
#include <vector>

#include "base/interval.h"
#include "base/status.h"
#include "rans/rans_layout.h"

namespace sluice {

/// Collects elements in the order in which they will be decoded and turns them into bytes.
///
/// Element i is coded by lane i mod `lanes`, except for the last ones, which a single lane codes.
/// Cost: 6 bytes an element, and as many for every 15 raw bits or part of them, until Finish; beyond the ideal code
/// length, under 1 byte on average plus the bits of the seal with one lane, 3 to 7 bytes and 4 bits a lane with
/// several.
class RansEncoder {
 public:
  /// Errors: InvalidArgument when `lanes` is outside [1, 64] or `precision` outside [10, 16].
  static Result<RansEncoder> Create(int lanes, int precision);

  /// Needs: 1 <= freq < 2^precision, start + freq <= 2^precision (asserted).
  void Push(Interval interval);
  /// The low `count` bits of `value`, 0 to 32 of them, at exactly their cost.
  void PushBits(uint32_t value, int count);

  int lanes() const { return lanes_; }
  int precision() const { return precision_; }
  /// Elements pushed so far.
  size_t size() const { return elements_.size(); }

  /// Encodes everything and leaves the encoder empty. The decoder's Finish must be given the same seal, so a caller's
  /// checksum can travel here at the cost of its own bits.
  /// Range: seal < 2^30 (higher bits are dropped).
  std::vector<uint8_t> Finish(uint32_t seal = kRansDefaultSeal);

 private:
  /// An interval, or up to 15 raw bits: their value in place of the start.
  struct Element {
    uint16_t start;
    uint16_t freq;
    uint16_t raw_count;  // 0 for an interval
  };

  RansEncoder(int lanes, int precision) : lanes_(lanes), precision_(precision) {}

  int lanes_;
  int precision_;
  std::vector<Element> elements_;
};

}  // namespace sluice

#endif  // SLUICE_RANS_RANS_ENCODER_H_
