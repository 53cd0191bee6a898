#ifndef SLUICE_CLI_METRICS_TEXT_H_
#define SLUICE_CLI_METRICS_TEXT_H_

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace sluice {

/// One line of Prometheus text: name{label="value",...} value.
struct MetricSample {
  std::string name;
  std::map<std::string, std::string> labels;
  double value = 0;
};

/// Reads what WireMetrics::Text wrote. Errors: Corrupt with the number of the line.
Result<std::vector<MetricSample>> ParseMetrics(std::string_view text);

/// What one direction of one link moved, by codec and phase.
struct LinkFigures {
  std::string link, codec, phase, direction;
  double tokens = 0;
  double wire_bytes = 0;
  double ratio = 0;     // raw bytes over bytes on the wire
  double codec_ms = 0;  // of one frame
  std::optional<double> rtt_ms = {};
};
/// Between two readings of one file; from the node's start when `before` is empty.
std::vector<LinkFigures> FiguresOfLinks(const std::vector<MetricSample>& before, const std::vector<MetricSample>& now);

/// The table of `sluice top`: links, then the node. Rates over `seconds` between two readings of one file; totals when
/// `before` is empty and `seconds` is 0.
std::string LinkTable(const std::vector<MetricSample>& before, const std::vector<MetricSample>& now, double seconds);
/// The sums since the node's start: {links: [{link, codec, phase, dir, tokens, wire_bytes, ratio, codec_ms, rtt_ms}],
/// sessions_now, sessions, resumed, errors: {CODE: n}, bypassed: {REASON: n}}.
nlohmann::ordered_json NodeJson(const std::vector<MetricSample>& now);

}  // namespace sluice

#endif  // SLUICE_CLI_METRICS_TEXT_H_
