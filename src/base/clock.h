#ifndef SLUICE_BASE_CLOCK_H_
#define SLUICE_BASE_CLOCK_H_

#include <algorithm>
#include <chrono>

namespace sluice {

/// Time for deadlines and for durations that are shown: it never goes back.
using Clock = std::chrono::steady_clock;

inline double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// What is added to a time_point: "10.5 s from now" is Clock::now() + DurationOf(10.5). More than ten years are ten, so
/// that "never" may be any large number.
inline Clock::duration DurationOf(double seconds) {
  constexpr double kLongest = 10 * 365.25 * 24 * 3600;
  return std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double>(std::clamp(seconds, -kLongest, kLongest)));
}

}  // namespace sluice

#endif  // SLUICE_BASE_CLOCK_H_
