// UTF-8 is checked by its definition (Unicode 15, table 3-7): the lead byte fixes the length and the range of the
// second byte, which is what keeps overlong forms, surrogates and values above U+10FFFF out. ASCII is skipped eight
// bytes at a time, because it is most of the text this project meets.
#include "text/utf8.h"

#include <fmt/format.h>

#include <cstdint>

#include "base/bytes.h"

namespace sluice {
namespace {

constexpr uint64_t kHighBits = 0x8080808080808080u;

/// Length of the character at `text[at]`, or 0 when it is not valid.
size_t CharacterLength(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return at + i < text.size() ? static_cast<uint8_t>(text[at + i]) : uint8_t{0}; };
  const auto continues = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead < 0xC2) return 0;
  if (lead < 0xE0) return continues(1) ? 2 : 0;
  if (lead < 0xF0) {
    const uint8_t low = lead == 0xE0 ? 0xA0 : 0x80;
    const uint8_t high = lead == 0xED ? 0x9F : 0xBF;
    return byte(1) >= low && byte(1) <= high && continues(2) ? 3 : 0;
  }
  if (lead > 0xF4) return 0;
  const uint8_t low = lead == 0xF0 ? 0x90 : 0x80;
  const uint8_t high = lead == 0xF4 ? 0x8F : 0xBF;
  return byte(1) >= low && byte(1) <= high && continues(2) && continues(3) ? 4 : 0;
}

}  // namespace

size_t ValidUtf8Prefix(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    if (at + 8 <= text.size() && (LoadLe<uint64_t>(text.data() + at) & kHighBits) == 0) {
      at += 8;
      continue;
    }
    const size_t length = CharacterLength(text, at);
    if (length == 0) break;
    at += length;
  }
  return at;
}

Status ValidateUtf8(std::string_view text) {
  const size_t valid = ValidUtf8Prefix(text);
  if (valid == text.size()) return OkStatus();
  return InvalidArgument(
      fmt::format("text is not valid UTF-8: byte 0x{:02X} at offset {}", static_cast<uint8_t>(text[valid]), valid));
}

}  // namespace sluice
