#ifndef SLUICE_WIRE_LINK_PROBE_H_
#define SLUICE_WIRE_LINK_PROBE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "wire/codec_choice.h"
#include "wire/link_stream.h"

namespace sluice {

struct LinkReport {
  LinkSpeed speed;
  std::vector<std::string> codecs;  ///< identities of those that the node takes
};

/// The largest message of a probe; every node takes it.
inline constexpr size_t kMostProbeBytes = 1 << 20;

/// Measures the link to a node: the shortest of a few round trips, then messages of random bytes that grow until one
/// takes a tenth of a second. Each call has `seconds`. Cost: at most 1.4 MiB, less on a slow link.
/// Errors: those of FromGrpc.
Result<LinkReport> ProbeLink(const LinkPeer& peer, double seconds);

}  // namespace sluice

#endif  // SLUICE_WIRE_LINK_PROBE_H_
