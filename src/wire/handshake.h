#ifndef SLUICE_WIRE_HANDSHAKE_H_
#define SLUICE_WIRE_HANDSHAKE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "session.pb.h"
#include "wire/limits.h"
#include "wire/link_codec.h"
#include "wire/stage_runner.h"

namespace sluice {

/// Bits of Hello::capabilities. A node refuses a session that needs a bit it does not know.
enum WireCapabilities : uint64_t {
  kCanStore = 1,             ///< frames of values that the codec cannot take
  kCanLogProbabilities = 2,  ///< acknowledgements with log-probabilities
};
inline constexpr uint64_t kCapabilities = kCanStore | kCanLogProbabilities;

/// What a head asks of the nodes behind it.
struct SessionWish {
  std::string session;  ///< NewSessionId
  uint64_t positions = 0;
  uint32_t chunk_tokens = 1;
  SamplingChoice sampling;
  std::vector<int64_t> stop;
  bool log_probabilities = false;
  std::string requirement;  ///< of the codec's certificate, as Requirement::Parse takes it; may be empty
};

/// The Hello of a node that holds `stage` and sends with `codec`.
wire::Hello MakeHello(const SessionWish& wish, const StageInfo& stage, const LinkCodec& codec);
/// The one that a relay sends on.
wire::Hello ForwardedHello(const wire::Hello& hello, const StageInfo& stage, const LinkCodec& codec);

/// A codec for people: its name, and its identity as far as it helps. Both may be a peer's.
std::string DescribeCodec(std::string_view name, std::string_view identity);

/// Whether a node that holds `stage` and receives with `codec` may take this session. Checks everything that the peer
/// wrote, sizes first. Errors: Unsupported for another version or a needed capability; Mismatch naming what differs,
/// this node's value and the peer's; InvalidArgument for anything outside `limits`.
Status CheckHello(const wire::Hello& hello, const StageInfo& stage, const LinkCodec& codec, const WireLimits& limits);

/// What the codec's certificate says of its operating points; empty for an empty requirement. Errors: those of
/// Requirement; Mismatch for a codec that has no certificate.
Result<PointVerdicts> JudgeRequirement(const LinkCodec& codec, const std::string& requirement);
/// Whether the point that a sender with this codec uses meets `requirement`; an empty one is met.
Status CheckRequirement(const LinkCodec& codec, const std::string& requirement);

}  // namespace sluice

#endif  // SLUICE_WIRE_HANDSHAKE_H_
