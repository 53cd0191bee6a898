#ifndef SLUICE_BASE_PROGRESS_H_
#define SLUICE_BASE_PROGRESS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace sluice {

/// A progress line on standard error: bar, percent, caller's note, time left. On a terminal it redraws in place at most
/// ten times a second; elsewhere (a log, a pipe) it prints a line at most every ten seconds, so that logs stay
/// readable.
class ProgressBar {
 public:
  /// `total` in whatever unit Update counts. Work that starts at `done` (a resumed run) does not distort the time left.
  ProgressBar(std::string label, uint64_t total, uint64_t done = 0);
  /// Leaves the last state on a line of its own.
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void Update(uint64_t done, std::string_view note = {});

  /// No bar is drawn after this call: --quiet and --json.
  static void Silence();

 private:
  void Draw();

  std::string label_;
  uint64_t total_;
  uint64_t first_;
  uint64_t done_;
  std::string note_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point drawn_{};
  bool terminal_;
  bool dirty_ = false;
};

/// "1:02:03", "4:05", "12 s".
std::string FormatDuration(double seconds);

}  // namespace sluice

#endif  // SLUICE_BASE_PROGRESS_H_
