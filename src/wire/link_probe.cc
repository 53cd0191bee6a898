// A link's speed is measured with what it will carry: bytes that nothing on the way can compress, in messages of the
// same connection. Growing messages keep the cost of a slow link at a fraction of a second, and get a fast one past the
// time that a round trip takes anyway.
#include "wire/link_probe.h"

#include <openssl/rand.h>

#include <algorithm>
#include <chrono>

#include "base/clock.h"
#include "wire/wire_status.h"

namespace sluice {
namespace {

constexpr int kRoundTrips = 4;  // the first one connects
constexpr size_t kFirstBytes = 4096;
constexpr size_t kGrowth = 4;
constexpr double kLongEnough = 0.1;
constexpr double kShortest = 1e-6;

}  // namespace

Result<LinkReport> ProbeLink(const LinkPeer& peer, double seconds) {
  LinkReport report;
  const auto stub = wire::Link::NewStub(peer.channel());
  const auto ask = [&](size_t bytes) -> Result<double> {
    wire::ProbeRequest request;
    wire::ProbeReply reply;
    std::string& payload = *request.mutable_payload();
    payload.resize(bytes);
    if (bytes > 0 && RAND_bytes(reinterpret_cast<unsigned char*>(payload.data()), static_cast<int>(bytes)) != 1) {
      return Internal("no random bytes for a probe");
    }
    grpc::ClientContext context;
    if (!peer.token().empty()) context.AddMetadata("authorization", "Bearer " + peer.token());
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000)));
    const auto start = Clock::now();
    SLUICE_RETURN_IF_ERROR(FromGrpc(stub->Probe(&context, request, &reply), peer.target()));
    const double took = SecondsSince(start);
    report.codecs.assign(reply.codecs().begin(), reply.codecs().end());
    return took;
  };
  double round_trip = seconds;
  for (int i = 0; i < kRoundTrips; ++i) {
    SLUICE_ASSIGN_OR_RETURN(const double took, ask(0));
    round_trip = std::min(round_trip, took);
  }
  double bits = 0;
  for (size_t bytes = kFirstBytes; bytes <= kMostProbeBytes; bytes *= kGrowth) {
    SLUICE_ASSIGN_OR_RETURN(const double took, ask(bytes));
    const double alone = std::max(took - round_trip, kShortest);
    bits = 8.0 * static_cast<double>(bytes) / alone;
    if (alone > kLongEnough) break;
  }
  report.speed = {bits, round_trip};
  return report;
}

}  // namespace sluice
