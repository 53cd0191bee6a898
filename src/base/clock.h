#ifndef SLUICE_BASE_CLOCK_H_
#define SLUICE_BASE_CLOCK_H_

#include <chrono>

namespace sluice {

/// Time for deadlines and for durations that are shown: it never goes back.
using Clock = std::chrono::steady_clock;

inline double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace sluice

#endif  // SLUICE_BASE_CLOCK_H_
