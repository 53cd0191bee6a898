#ifndef SLUICE_GATEWAY_GATEWAY_METRICS_H_
#define SLUICE_GATEWAY_GATEWAY_METRICS_H_

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "gateway/api_answer.h"

namespace sluice {

/// What HTTP clients did, beside the counters of the links. Threads: any.
class GatewayMetrics {
 public:
  void CountRequest(const std::string& route, int http);
  void CountTokens(const Usage& usage);
  /// A client that went away before its answer was complete.
  void CountCancelled();

  /// In the text format that Prometheus reads. `active`: requests that generate now; `refused`: connections.
  std::string Text(size_t active, uint64_t refused) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, uint64_t> requests_;
  Usage tokens_;
  uint64_t cancelled_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_GATEWAY_GATEWAY_METRICS_H_
