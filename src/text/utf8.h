#ifndef SLUICE_TEXT_UTF8_H_
#define SLUICE_TEXT_UTF8_H_

#include <cstddef>
#include <string_view>

#include "base/status.h"

namespace sluice {

/// The longest text that is made into tokens or a tokenizer is trained on.
inline constexpr size_t kMaxTextBytes = size_t{1} << 30;

/// Length of the longest prefix that is valid UTF-8 (no surrogates, no overlong forms, at most U+10FFFF).
/// Cost: about a GB/s on ASCII.
size_t ValidUtf8Prefix(std::string_view text);

/// Errors: InvalidArgument with the offset and value of the first byte that is not valid UTF-8.
Status ValidateUtf8(std::string_view text);

/// Bytes of the character that begins with `lead`, a byte of valid UTF-8 that is not a continuation.
constexpr size_t Utf8Length(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

}  // namespace sluice

#endif  // SLUICE_TEXT_UTF8_H_
