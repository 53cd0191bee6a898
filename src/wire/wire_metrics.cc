// Plain sums under one lock: a frame costs a few of them, and a frame costs far more by itself. Names and labels are
// those that README and the dashboards know; a label's value comes from configuration, never from a peer, so that
// nobody can make a node remember more and more of them.
#include "wire/wire_metrics.h"

#include <fmt/format.h>

#include <cmath>

namespace sluice {
namespace {

std::string_view Name(Phase phase) { return phase == Phase::kPrefill ? "prefill" : "decode"; }
std::string_view Name(Direction direction) { return direction == Direction::kSent ? "sent" : "received"; }

std::string Escaped(std::string_view value) {
  std::string text;
  for (const char c : value) {
    if (c == '\\' || c == '"') text += '\\';
    if (c == '\n') {
      text += "\\n";
    } else {
      text += c;
    }
  }
  return text;
}

void Describe(std::string& text, std::string_view name, std::string_view type, std::string_view help) {
  text += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

}  // namespace

void WireMetrics::Times::Add(double seconds) {
  size_t bucket = 0;
  while (bucket < kBuckets.size() && seconds > kBuckets[bucket]) ++bucket;
  ++buckets[bucket];
  ++count;
  sum += seconds;
}

void WireMetrics::CountFrame(std::string_view link, std::string_view codec, const FrameCount& frame) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Flow& flow = flows_[{std::string(link), std::string(codec), frame.phase, frame.direction}];
  ++flow.frames;
  flow.tokens += frame.tokens;
  flow.raw_bytes += frame.raw_bytes;
  flow.wire_bytes += frame.wire_bytes;
  flow.codec_seconds += frame.codec_seconds;
}

void WireMetrics::CountRoundTrip(std::string_view link, Phase phase, double seconds) {
  const std::lock_guard<std::mutex> lock(mutex_);
  round_trips_[{std::string(link), phase}].Add(seconds);
}

void WireMetrics::CountRun(Phase phase, double queue_seconds, double compute_seconds) {
  const std::lock_guard<std::mutex> lock(mutex_);
  queues_[static_cast<size_t>(phase)].Add(queue_seconds);
  computes_[static_cast<size_t>(phase)].Add(compute_seconds);
}

void WireMetrics::CountBypass(std::string_view link, std::string_view reason) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++bypasses_[{std::string(link), std::string(reason)}];
}

void WireMetrics::SetLink(std::string_view link, double bits_per_second, double round_trip_seconds) {
  const std::lock_guard<std::mutex> lock(mutex_);
  links_[std::string(link)] = {bits_per_second, round_trip_seconds};
}

void WireMetrics::SetBreakEven(std::string_view link, std::string_view codec, double bits_per_second) {
  const std::lock_guard<std::mutex> lock(mutex_);
  break_evens_[{std::string(link), std::string(codec)}] = bits_per_second;
}

void WireMetrics::CountError(StatusCode code) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++errors_[code];
}

void WireMetrics::CountResume(std::string_view link) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++resumes_[std::string(link)];
}

void WireMetrics::BeginSession() {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++begun_;
}

void WireMetrics::EndSession() {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++ended_;
}

uint64_t WireMetrics::sessions() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return begun_ - ended_;
}

void WireMetrics::AppendFlows(std::string& text) const {
  const auto series = [&](std::string_view name, std::string_view help, auto value) {
    Describe(text, name, "counter", help);
    for (const auto& [key, flow] : flows_) {
      const auto& [link, codec, phase, direction] = key;
      text += fmt::format("{}{{link=\"{}\",codec=\"{}\",phase=\"{}\",dir=\"{}\"}} {}\n", name, Escaped(link),
                          Escaped(codec), Name(phase), Name(direction), value(flow));
    }
  };
  series("sluice_frames_total", "Frames that crossed a link.", [](const Flow& f) { return f.frames; });
  series("sluice_tokens_total", "Positions whose hidden states crossed a link.",
         [](const Flow& f) { return f.tokens; });
  series("sluice_raw_bytes_total", "The hidden states as 32-bit floats.", [](const Flow& f) { return f.raw_bytes; });
  series("sluice_wire_bytes_total", "The hidden states as they were sent.", [](const Flow& f) { return f.wire_bytes; });
  const auto seconds = [&](std::string_view name, Direction wanted, std::string_view help) {
    Describe(text, name, "counter", help);
    for (const auto& [key, flow] : flows_) {
      const auto& [link, codec, phase, direction] = key;
      if (direction != wanted) continue;
      text += fmt::format("{}{{link=\"{}\",codec=\"{}\",phase=\"{}\"}} {:.9g}\n", name, Escaped(link), Escaped(codec),
                          Name(phase), flow.codec_seconds);
    }
  };
  seconds("sluice_encode_seconds_total", Direction::kSent, "Time spent encoding.");
  seconds("sluice_decode_seconds_total", Direction::kReceived, "Time spent decoding.");
}

void WireMetrics::AppendTimes(std::string& text) const {
  const auto histogram = [&](std::string_view name, const std::string& labels, const Times& times) {
    uint64_t below = 0;
    for (size_t i = 0; i < kBuckets.size(); ++i) {
      below += times.buckets[i];
      text += fmt::format("{}_bucket{{{},le=\"{}\"}} {}\n", name, labels, kBuckets[i], below);
    }
    text += fmt::format("{0}_bucket{{{1},le=\"+Inf\"}} {2}\n{0}_sum{{{1}}} {3:.9g}\n{0}_count{{{1}}} {2}\n", name,
                        labels, times.count, times.sum);
  };
  Describe(text, "sluice_rtt_seconds", "histogram", "From sending a frame to its acknowledgement.");
  for (const auto& [key, times] : round_trips_) {
    histogram("sluice_rtt_seconds", fmt::format("link=\"{}\",phase=\"{}\"", Escaped(key.first), Name(key.second)),
              times);
  }
  Describe(text, "sluice_queue_seconds", "histogram", "Waiting for this node's layers.");
  Describe(text, "sluice_compute_seconds", "histogram", "In this node's layers.");
  for (const Phase phase : {Phase::kPrefill, Phase::kDecode}) {
    const std::string label = fmt::format("phase=\"{}\"", Name(phase));
    histogram("sluice_queue_seconds", label, queues_[static_cast<size_t>(phase)]);
    histogram("sluice_compute_seconds", label, computes_[static_cast<size_t>(phase)]);
  }
}

void WireMetrics::AppendCounts(std::string& text) const {
  Describe(text, "sluice_sessions", "gauge", "Sessions now.");
  text += fmt::format("sluice_sessions {}\n", begun_ - ended_);
  Describe(text, "sluice_sessions_total", "counter", "Sessions since the start.");
  text += fmt::format("sluice_sessions_total {}\n", begun_);
  Describe(text, "sluice_resumes_total", "counter", "Sessions taken up again after a fault.");
  for (const auto& [link, count] : resumes_) {
    text += fmt::format("sluice_resumes_total{{link=\"{}\"}} {}\n", Escaped(link), count);
  }
  Describe(text, "sluice_errors_total", "counter", "Sessions that failed or were refused.");
  for (const auto& [code, count] : errors_) {
    text += fmt::format("sluice_errors_total{{code=\"{}\"}} {}\n", StatusCodeName(code), count);
  }
  Describe(text, "sluice_bypass_total", "counter", "Frames that crossed without their codec.");
  for (const auto& [key, count] : bypasses_) {
    text += fmt::format("sluice_bypass_total{{link=\"{}\",reason=\"{}\"}} {}\n", Escaped(key.first),
                        Escaped(key.second), count);
  }
}

void WireMetrics::AppendLinks(std::string& text) const {
  const auto number = [](double value) {
    return std::isinf(value) ? std::string("+Inf") : fmt::format("{:.9g}", value);
  };
  Describe(text, "sluice_link_bits_per_second", "gauge", "Speed of a link when it was probed last.");
  for (const auto& [link, values] : links_) {
    text += fmt::format("sluice_link_bits_per_second{{link=\"{}\"}} {}\n", Escaped(link), number(values.first));
  }
  Describe(text, "sluice_link_rtt_seconds", "gauge", "Round trip of a link when it was probed last.");
  for (const auto& [link, values] : links_) {
    text += fmt::format("sluice_link_rtt_seconds{{link=\"{}\"}} {}\n", Escaped(link), number(values.second));
  }
  Describe(text, "sluice_break_even_bits_per_second", "gauge",
           "Speed of a link above which the codec makes a prompt slower than the first of the codecs.");
  for (const auto& [key, value] : break_evens_) {
    text += fmt::format("sluice_break_even_bits_per_second{{link=\"{}\",codec=\"{}\"}} {}\n", Escaped(key.first),
                        Escaped(key.second), number(value));
  }
}

std::string WireMetrics::Text() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::string text;
  AppendFlows(text);
  AppendTimes(text);
  AppendCounts(text);
  AppendLinks(text);
  return text;
}

}  // namespace sluice
