#ifndef SLUICE_BASE_CLOCK_H_
#define SLUICE_BASE_CLOCK_H_

#include <chrono>

namespace sluice {

/// Time for deadlines and for durations that are shown: it never goes back.
using Clock = std::chrono::steady_clock;

inline double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// What is added to a time_point: "10.5 s from now" is Clock::now() + DurationOf(10.5).
inline Clock::duration DurationOf(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

}  // namespace sluice

#endif  // SLUICE_BASE_CLOCK_H_
