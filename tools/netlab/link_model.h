#ifndef SLUICE_TOOLS_NETLAB_LINK_MODEL_H_
#define SLUICE_TOOLS_NETLAB_LINK_MODEL_H_

#include <cstdint>
#include <optional>
#include <random>

namespace sluice {

/// One direction of a link as its users meet it.
struct LinkProfile {
  double megabits = 0;      ///< rate, Mbit/s; 0: no limit
  double delay_ms = 0;      ///< one way
  double jitter_ms = 0;     ///< added to the delay, uniform in [0, jitter]; order is kept
  double loss_percent = 0;  ///< packets lost, each for itself
  double queue_ms = 200;    ///< the longest that a packet waits for the line; later ones are dropped, as routers do
};

/// When packets arrive, and which never do. Same seed and same offers: same answers.
class LinkModel {
 public:
  LinkModel(const LinkProfile& profile, uint64_t seed) : profile_(profile), random_(seed) {}

  /// Range: `now_ns` does not fall from call to call. Returns the time of arrival, never before that of the packet
  /// before; nothing when the packet is lost or the queue is full.
  std::optional<int64_t> Offer(int64_t now_ns, int64_t bytes);

  int64_t dropped() const { return dropped_; }
  int64_t lost() const { return lost_; }

 private:
  LinkProfile profile_;
  std::mt19937_64 random_;
  int64_t free_ns_ = 0;     // when the line has sent all that waits
  int64_t arrival_ns_ = 0;  // of the packet before
  int64_t dropped_ = 0, lost_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_TOOLS_NETLAB_LINK_MODEL_H_
