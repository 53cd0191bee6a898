#ifndef SLUICE_WIRE_WIRE_METRICS_H_
#define SLUICE_WIRE_WIRE_METRICS_H_

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>

#include "base/status.h"

namespace sluice {

/// Prefill is chunks of a prompt, decode the tokens behind it: they are never mixed in a figure.
enum class Phase : uint8_t { kPrefill, kDecode };
enum class Direction : uint8_t { kSent, kReceived };

/// One frame that crossed a link.
struct FrameCount {
  Phase phase = Phase::kPrefill;
  Direction direction = Direction::kSent;
  uint64_t tokens = 0;
  uint64_t raw_bytes = 0;    ///< the same hidden states as 32-bit floats
  uint64_t wire_bytes = 0;   ///< as they were sent
  double codec_seconds = 0;  ///< encoding, or decoding
};

/// The counters of a node, kept from its start. Threads: any.
class WireMetrics {
 public:
  void CountFrame(std::string_view link, std::string_view codec, const FrameCount& frame);
  /// From sending a frame to its Ack.
  void CountRoundTrip(std::string_view link, Phase phase, double seconds);
  /// A frame's time before and in the node's layers.
  void CountRun(Phase phase, double queue_seconds, double compute_seconds);
  /// A frame that crossed without its codec.
  void CountBypass(std::string_view link, std::string_view reason);
  /// What a probe has measured, and the speed above which `codec` makes a prompt slower than without it.
  void SetLink(std::string_view link, double bits_per_second, double round_trip_seconds);
  void SetBreakEven(std::string_view link, std::string_view codec, double bits_per_second);
  void CountError(StatusCode code);
  /// A session that was taken up again after a fault.
  void CountResume(std::string_view link);
  void BeginSession();
  void EndSession();

  uint64_t sessions() const;

  /// Everything in the text format that Prometheus reads (version 0.0.4).
  std::string Text() const;

 private:
  static constexpr std::array<double, 12> kBuckets = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 30};
  struct Flow {
    uint64_t frames = 0, tokens = 0, raw_bytes = 0, wire_bytes = 0;
    double codec_seconds = 0;
  };
  struct Times {
    std::array<uint64_t, 13> buckets{};
    uint64_t count = 0;
    double sum = 0;
    void Add(double seconds);
  };
  using FlowKey = std::tuple<std::string, std::string, Phase, Direction>;

  void AppendFlows(std::string& text) const;
  void AppendTimes(std::string& text) const;
  void AppendCounts(std::string& text) const;
  void AppendLinks(std::string& text) const;

  mutable std::mutex mutex_;
  std::map<FlowKey, Flow> flows_;
  std::map<std::pair<std::string, Phase>, Times> round_trips_;
  std::array<Times, 2> queues_, computes_;
  std::map<std::pair<std::string, std::string>, uint64_t> bypasses_;
  std::map<std::string, uint64_t> resumes_;
  std::map<std::string, std::pair<double, double>> links_;  // speed and round trip
  std::map<std::pair<std::string, std::string>, double> break_evens_;
  std::map<StatusCode, uint64_t> errors_;
  uint64_t begun_ = 0, ended_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_WIRE_WIRE_METRICS_H_
