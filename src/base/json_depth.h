#ifndef SLUICE_BASE_JSON_DEPTH_H_
#define SLUICE_BASE_JSON_DEPTH_H_

#include <cstddef>
#include <string_view>

#include "base/status.h"

namespace sluice {

/// Most values of JSON inside of each other that are read from a stranger. No file of ours needs more than a dozen.
inline constexpr size_t kMaxJsonDepth = 256;

/// To be called before a JSON library makes a tree of untrusted text. The library parses any depth, but what walks the
/// tree later, to print, copy or compare it, calls itself for every level and runs out of stack.
/// Errors: Corrupt at the byte where values are too deep. Text that is not JSON is left to the parser.
Status CheckJsonDepth(std::string_view text);

}  // namespace sluice

#endif  // SLUICE_BASE_JSON_DEPTH_H_
