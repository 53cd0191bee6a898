#ifndef SLUICE_PLAIN_PAYLOAD_SIZE_H_
#define SLUICE_PLAIN_PAYLOAD_SIZE_H_

#include <fmt/format.h>

#include <string_view>

#include "base/status.h"

namespace sluice {

/// Errors: Truncated when a payload is shorter than its codec's layout says, Corrupt when it is longer.
inline Status CheckPayloadSize(std::string_view codec, size_t got, size_t expected) {
  if (got == expected) return OkStatus();
  const std::string message = fmt::format("{} payload of {} bytes, expected {}", codec, got, expected);
  return got < expected ? Truncated(message) : Corrupt(message);
}

}  // namespace sluice

#endif  // SLUICE_PLAIN_PAYLOAD_SIZE_H_
