#ifndef SLUICE_TRAIN_METRICS_LOG_H_
#define SLUICE_TRAIN_METRICS_LOG_H_

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace sluice {

/// Named numbers of one step, in the order they are shown.
using Metrics = std::vector<std::pair<std::string, double>>;

/// The value of `name`, or NaN.
double MetricValue(const Metrics& metrics, const std::string& name);

/// Writes the metrics of a run twice: `metrics.jsonl`, one JSON object a line, and a TensorBoard event file.
class MetricsLog {
 public:
  /// Opens the log of a run folder. Lines of steps after `resume_step` are dropped, so that a resumed run's log reads
  /// as if it had never stopped. Errors: Io.
  static Result<MetricsLog> Open(const std::filesystem::path& folder, int64_t resume_step);

  /// Appends and flushes one step. Errors: Io (a full disk).
  Status Write(int64_t step, const Metrics& metrics);

 private:
  MetricsLog(std::ofstream lines, std::ofstream events) : lines_(std::move(lines)), events_(std::move(events)) {}

  std::ofstream lines_;
  std::ofstream events_;
};

/// Reads back `metrics.jsonl`: every step with its metrics. Errors: Io; Corrupt naming the line.
Result<std::vector<std::pair<int64_t, Metrics>>> ReadMetrics(const std::filesystem::path& folder);

}  // namespace sluice

#endif  // SLUICE_TRAIN_METRICS_LOG_H_
