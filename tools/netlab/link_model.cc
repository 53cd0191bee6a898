// A line that sends one packet at a time behind a queue of bounded delay, then a distance. It is the model of Linux's
// netem with a rate; done here because many kernels, those of containers above all, come without netem.
#include "link_model.h"

#include <algorithm>
#include <cmath>

namespace sluice {

std::optional<int64_t> LinkModel::Offer(int64_t now_ns, int64_t bytes) {
  constexpr double kNsPerMs = 1e6;
  const int64_t start = std::max(now_ns, free_ns_);
  if (static_cast<double>(start - now_ns) > profile_.queue_ms * kNsPerMs) {
    ++dropped_;
    return std::nullopt;
  }
  const double line_ns = profile_.megabits > 0 ? static_cast<double>(8 * bytes) * 1e3 / profile_.megabits : 0;
  free_ns_ = start + std::llround(line_ns);
  // Both numbers are drawn for every packet, so that one setting does not shift what another one does.
  std::uniform_real_distribution<double> uniform;
  const bool lost = 100 * uniform(random_) < profile_.loss_percent;
  const double way_ns = (profile_.delay_ms + profile_.jitter_ms * uniform(random_)) * kNsPerMs;
  if (lost) {  // on its way: it has used the line
    ++lost_;
    return std::nullopt;
  }
  arrival_ns_ = std::max<int64_t>(arrival_ns_, free_ns_ + std::llround(way_ns));
  return arrival_ns_;
}

}  // namespace sluice
