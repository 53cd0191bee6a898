#ifndef SLUICE_BASE_INTERVAL_H_
#define SLUICE_BASE_INTERVAL_H_

#include <cstdint>

namespace sluice {

/// The integers a symbol owns in a probability table of 2^n: [start, start + freq).
/// Range: freq >= 1 and start + freq <= 2^n with n <= 16. It is all that a coder knows of a distribution.
struct Interval {
  uint32_t start;
  uint32_t freq;

  friend bool operator==(const Interval&, const Interval&) = default;
};

}  // namespace sluice

#endif  // SLUICE_BASE_INTERVAL_H_
