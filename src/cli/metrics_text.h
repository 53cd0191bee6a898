#ifndef SLUICE_CLI_METRICS_TEXT_H_
#define SLUICE_CLI_METRICS_TEXT_H_

#include <map>
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

/// The table of `sluice top`: links, then the node. Rates over `seconds` between two readings of one file; totals when
/// `before` is empty and `seconds` is 0.
std::string LinkTable(const std::vector<MetricSample>& before, const std::vector<MetricSample>& now, double seconds);

}  // namespace sluice

#endif  // SLUICE_CLI_METRICS_TEXT_H_
