#ifndef SLUICE_PAGE_PAGE_ESCAPE_H_
#define SLUICE_PAGE_PAGE_ESCAPE_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace sluice {

/// Replaces every byte that is not part of valid UTF-8 by U+FFFD, and control characters other than tab and line feed.
std::string CleanText(std::string_view text);

/// CleanText, safe inside an element and inside a quoted attribute.
std::string EscapeHtml(std::string_view text);

/// Makes valid JSON safe inside a script element: no "<", ">" or "&" remains, the parsed value is the same.
std::string EscapeJsonForScript(std::string_view json);

/// Base64 with padding.
std::string Base64(std::span<const uint8_t> bytes);

}  // namespace sluice

#endif  // SLUICE_PAGE_PAGE_ESCAPE_H_
