#ifndef SLUICE_BASE_BYTES_H_
#define SLUICE_BASE_BYTES_H_

#include <array>
#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace sluice {

static_assert(std::endian::native == std::endian::little, "byte layouts are little-endian and read in place");

/// Loads a little-endian integer or float from unaligned memory.
template <typename T>
T LoadLe(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

/// Stores a little-endian integer or float to unaligned memory.
template <typename T>
void StoreLe(T value, void* to) {
  std::memcpy(to, &value, sizeof(T));
}

/// Maps signed to unsigned so that small magnitudes stay small: 0, -1, 1, -2, 2 -> 0, 1, 2, 3, 4.
constexpr uint64_t ZigZag(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}
/// Inverse of ZigZag.
constexpr int64_t UnZigZag(uint64_t value) { return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1); }

/// Appends fields to a growing buffer.
class ByteWriter {
 public:
  template <typename T>
  void Put(T value) {
    std::array<uint8_t, sizeof(T)> field;
    StoreLe(value, field.data());
    for (const uint8_t byte : field) bytes_.push_back(byte);  // g++ 12 warns falsely of a resize or insert at -O3
  }
  /// Unsigned LEB128, 1 to 10 bytes.
  void PutVarint(uint64_t value);
  void PutBytes(std::span<const uint8_t> bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  void PutString(std::string_view text) {
    bytes_.insert(bytes_.end(), text.begin(), text.end());
  }

  size_t size() const { return bytes_.size(); }
  const std::vector<uint8_t>& bytes() const { return bytes_; }
  std::vector<uint8_t> Take() && { return std::move(bytes_); }

 private:
  std::vector<uint8_t> bytes_;
};

/// Reads fields from borrowed memory; never reads past its end.
/// Errors: Truncated when the memory ends inside a field, with the offset; Corrupt for an overlong varint.
class ByteReader {
 public:
  explicit ByteReader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  template <typename T>
  Result<T> Get() {
    if (remaining() < sizeof(T)) return EndsEarly(sizeof(T));
    const T value = LoadLe<T>(bytes_.data() + offset_);
    offset_ += sizeof(T);
    return value;
  }
  /// Unsigned LEB128 of at most 64 bits in its shortest form.
  Result<uint64_t> GetVarint();
  /// Borrows the next `size` bytes.
  Result<std::span<const uint8_t>> GetBytes(size_t size);

  size_t offset() const { return offset_; }
  size_t remaining() const { return bytes_.size() - offset_; }

 private:
  Status EndsEarly(size_t wanted) const;

  std::span<const uint8_t> bytes_;
  size_t offset_ = 0;
};

/// Views the memory of a string as bytes.
inline std::span<const uint8_t> AsBytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace sluice

#endif  // SLUICE_BASE_BYTES_H_
