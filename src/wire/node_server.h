#ifndef SLUICE_WIRE_NODE_SERVER_H_
#define SLUICE_WIRE_NODE_SERVER_H_

#include <memory>
#include <string>
#include <vector>

#include "wire/limits.h"
#include "wire/link_codec.h"
#include "wire/link_stream.h"
#include "wire/stage_queue.h"
#include "wire/wire_log.h"
#include "wire/wire_metrics.h"

namespace sluice {

struct NodeOptions {
  std::string name = "node";  ///< in logs and messages
  std::string listen = {};    ///< HOST:PORT; port 0: any that is free
  TrustOptions trust = {};    ///< of the link that comes in, and of the next one
  WireLimits limits = {};
  std::string next = {};         ///< HOST:PORT of a relay's next node; empty: this node is the tail
  StreamPatience patience = {};  ///< with the next node
};

/// A node that serves: tail or relay. Threads: any.
class NodeServer {
 public:
  /// Listens. `codec` is that of the link that comes in, beside `more` among which a head may choose; `next_codec` that
  /// of the next one (a relay's only). `runner`,
  /// `queue`, `metrics` and `log` outlive the server. Errors: InvalidArgument for layers that do not fit the role;
  /// those of ServerTrust and ClientTrust; Io when the address cannot be listened on.
  static Result<std::unique_ptr<NodeServer>> Start(StageRunner& runner, StageQueue& queue,
                                                   std::unique_ptr<LinkCodec> codec,
                                                   std::unique_ptr<LinkCodec> next_codec, NodeOptions options,
                                                   WireMetrics& metrics, const WireLog& log,
                                                   std::vector<std::unique_ptr<LinkCodec>> more = {});
  /// Ends what is left at once.
  virtual ~NodeServer() = default;

  /// HOST:PORT with the port that was taken.
  virtual const std::string& address() const = 0;
  virtual size_t sessions() const = 0;
  /// Takes no new sessions, lets the others finish for `seconds`, then ends them. False when some had to be ended.
  virtual bool Drain(double seconds) = 0;
};

}  // namespace sluice

#endif  // SLUICE_WIRE_NODE_SERVER_H_
