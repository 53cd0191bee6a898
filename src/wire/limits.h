#ifndef SLUICE_WIRE_LIMITS_H_
#define SLUICE_WIRE_LIMITS_H_

#include <cstddef>
#include <cstdint>

namespace sluice {

/// What a node grants its peers; each is checked before anything is allocated for it. docs/serving.md explains them.
struct WireLimits {
  uint32_t sessions = 64;                     ///< at once
  uint64_t state_bytes = uint64_t{4} << 30;   ///< keys and values of all sessions together
  uint64_t positions = 0;                     ///< of one session; 0: the model's context
  uint32_t chunk_tokens = 4096;               ///< in one frame
  uint64_t frame_bytes = uint64_t{64} << 20;  ///< payload of one frame
  uint32_t window = 4;                        ///< frames of one session that wait at once
  double handshake_seconds = 10;              ///< from the first byte of a connection or stream to a sound Hello
  double idle_seconds = 60;                   ///< between frames, while nothing is owed to the peer
  double write_seconds = 20;                  ///< for the peer to take a reply
  double session_seconds = 3600;
};

inline constexpr uint32_t kProtocolVersion = 1;
inline constexpr uint32_t kMaxHops = 64;
inline constexpr size_t kMaxStopTokens = 64;
inline constexpr size_t kMaxNameBytes = 256;
/// What a message may have over its payload.
inline constexpr uint64_t kMessageSlack = 64 << 10;

}  // namespace sluice

#endif  // SLUICE_WIRE_LIMITS_H_
