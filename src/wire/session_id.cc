// Apart from the handshake, so that who names requests and speaks no protocol (the gateway) needs no protocol buffers:
// the tests under sanitizers hold those and libsentencepiece's older ones in one process otherwise.
#include "wire/session_id.h"

#include <openssl/rand.h>

#include <array>

#include "base/hash.h"

namespace sluice {

Result<std::string> NewSessionId() {
  std::array<uint8_t, 16> bytes;
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) return Internal("no random bytes for a session");
  return ToHex(bytes);
}

}  // namespace sluice
