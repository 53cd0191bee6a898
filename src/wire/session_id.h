#ifndef SLUICE_WIRE_SESSION_ID_H_
#define SLUICE_WIRE_SESSION_ID_H_

#include <string>

#include "base/status.h"

namespace sluice {

/// 32 random hexadecimal digits. Errors: Internal when the system has no randomness.
Result<std::string> NewSessionId();

}  // namespace sluice

#endif  // SLUICE_WIRE_SESSION_ID_H_
