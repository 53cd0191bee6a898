#ifndef SLUICE_CODEC_BIT_PACKER_H_
#define SLUICE_CODEC_BIT_PACKER_H_

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace sluice {

/// Appends raw bits, low bits first.
class BitPacker {
 public:
  explicit BitPacker(size_t expected_bits = 0) : bytes_(expected_bits / 8 + 16) {}

  /// Needs: count <= 56, value < 2^count.
  void Put(uint64_t value, int count) {
    held_ |= value << held_bits_;
    held_bits_ += count;
    if (held_bits_ < 8) return;
    // Whole bytes leave eight at a time; what lies beyond the whole ones is written again by the next call.
    const size_t at = used_;
    if (at + 8 > bytes_.size()) bytes_.resize(2 * bytes_.size() + 64);
    std::memcpy(bytes_.data() + at, &held_, 8);
    used_ += static_cast<size_t>(held_bits_ >> 3);
    held_ = held_bits_ >= 64 ? 0 : held_ >> (held_bits_ & ~7);
    held_bits_ &= 7;
  }
  /// All bits, the last byte filled with zeros.
  std::vector<uint8_t> Take() && {
    bytes_.resize(used_);
    if (held_bits_ > 0) bytes_.push_back(static_cast<uint8_t>(held_));
    return std::move(bytes_);
  }

 private:
  std::vector<uint8_t> bytes_;
  size_t used_ = 0;
  uint64_t held_ = 0;
  int held_bits_ = 0;
};

/// Reads what BitPacker wrote. Past the end it gives zeros and remembers.
class BitUnpacker {
 public:
  explicit BitUnpacker(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  /// Needs: count <= 56.
  uint64_t Get(int count) {
    if (held_bits_ < count) Refill(count);
    const uint64_t value = held_ & ((uint64_t{1} << count) - 1);
    held_ >>= count;
    held_bits_ -= count;
    return value;
  }
  /// Whether exactly the bytes given were used, and the bits left over are zero.
  bool EndsExactly() const { return !overrun_ && next_ == bytes_.size() && held_bits_ < 8 && held_ == 0; }
  bool overrun() const { return overrun_; }

 private:
  void Refill(int count) {
    for (; held_bits_ < count || (held_bits_ <= 48 && next_ < bytes_.size()); held_bits_ += 8) {
      if (next_ < bytes_.size()) {
        held_ |= static_cast<uint64_t>(bytes_[next_++]) << held_bits_;
      } else {
        overrun_ = true;
      }
    }
  }

  std::span<const uint8_t> bytes_;
  size_t next_ = 0;
  uint64_t held_ = 0;
  int held_bits_ = 0;
  bool overrun_ = false;
};

}  // namespace sluice

#endif  // SLUICE_CODEC_BIT_PACKER_H_
