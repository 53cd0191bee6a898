#ifndef SLUICE_CODEC_BIT_PACKER_H_
#define SLUICE_CODEC_BIT_PACKER_H_

#include <cstdint>
#include <span>
#include <vector>

namespace sluice {

/// Appends raw bits, low bits first.
class BitPacker {
 public:
  /// Needs: count <= 56, value < 2^count.
  void Put(uint64_t value, int count) {
    held_ |= value << held_bits_;
    held_bits_ += count;
    for (; held_bits_ >= 8; held_bits_ -= 8, held_ >>= 8) bytes_.push_back(static_cast<uint8_t>(held_));
  }
  /// All bits, the last byte filled with zeros.
  std::vector<uint8_t> Take() && {
    if (held_bits_ > 0) bytes_.push_back(static_cast<uint8_t>(held_));
    return std::move(bytes_);
  }

 private:
  std::vector<uint8_t> bytes_;
  uint64_t held_ = 0;
  int held_bits_ = 0;
};

/// Reads what BitPacker wrote. Past the end it gives zeros and remembers.
class BitUnpacker {
 public:
  explicit BitUnpacker(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  /// Needs: count <= 56.
  uint64_t Get(int count) {
    for (; held_bits_ < count; held_bits_ += 8) {
      if (next_ < bytes_.size()) {
        held_ |= static_cast<uint64_t>(bytes_[next_]) << held_bits_;
      } else {
        overrun_ = true;
      }
      ++next_;
    }
    const uint64_t value = held_ & ((uint64_t{1} << count) - 1);
    held_ >>= count;
    held_bits_ -= count;
    return value;
  }
  /// Whether exactly the bytes given were used, and the bits left over are zero.
  bool EndsExactly() const { return !overrun_ && next_ == bytes_.size() && held_ == 0; }
  bool overrun() const { return overrun_; }

 private:
  std::span<const uint8_t> bytes_;
  size_t next_ = 0;
  uint64_t held_ = 0;
  int held_bits_ = 0;
  bool overrun_ = false;
};

}  // namespace sluice

#endif  // SLUICE_CODEC_BIT_PACKER_H_
