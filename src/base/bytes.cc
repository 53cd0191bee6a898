#include "base/bytes.h"

#include <fmt/format.h>

namespace sluice {

void ByteWriter::PutVarint(uint64_t value) {
  while (value >= 0x80) {
    bytes_.push_back(static_cast<uint8_t>(value | 0x80));
    value >>= 7;
  }
  bytes_.push_back(static_cast<uint8_t>(value));
}

Status ByteReader::EndsEarly(size_t wanted) const {
  return Truncated(fmt::format("byte {}: {} bytes expected, {} left", offset_, wanted, remaining()));
}

Result<uint64_t> ByteReader::GetVarint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (remaining() == 0) return EndsEarly(1);
    const uint8_t byte = bytes_[offset_++];
    // The tenth byte holds one bit; a zero last byte after the first is a longer form of a shorter number.
    if ((shift == 63 && byte > 1) || (shift > 0 && byte == 0)) break;
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  return Corrupt(fmt::format("byte {}: varint is not in its shortest 64-bit form", offset_));
}

Result<std::span<const uint8_t>> ByteReader::GetBytes(size_t size) {
  if (remaining() < size) return EndsEarly(size);
  const auto bytes = bytes_.subspan(offset_, size);
  offset_ += size;
  return bytes;
}

}  // namespace sluice
