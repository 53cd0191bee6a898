#ifndef SLUICE_BENCH_MEASURING_H_
#define SLUICE_BENCH_MEASURING_H_

#include <stdlib.h>
#include <time.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

namespace sluice {

using Bytes = std::vector<uint8_t>;

/// Processor time of this thread, which other load on the machine hardly touches.
inline double ThreadSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// The upper one of two in the middle. Needs: at least one value.
inline double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Processes that ran or waited to run in the last minute: what a reader must know about any absolute figure.
inline double LoadAverage() {
  double load = 0;
  (void)getloadavg(&load, 1);
  return load;
}

/// The first processor's name with its family and model, which tell apart what virtual machines give one name to.
inline std::string Processor() {
  std::ifstream cpu("/proc/cpuinfo");
  std::string name, family, model;
  for (std::string line; std::getline(cpu, line) && !line.empty();) {
    const std::string value = line.substr(std::min(line.find(':') + 2, line.size()));
    if (line.starts_with("model name")) name = value;
    if (line.starts_with("cpu family")) family = value;
    if (line.starts_with("model\t")) model = value;
  }
  if (name.empty()) return "unknown processor";
  return family.empty() ? name : name + " (family " + family + ", model " + model + ")";
}

}  // namespace sluice

#endif  // SLUICE_BENCH_MEASURING_H_
