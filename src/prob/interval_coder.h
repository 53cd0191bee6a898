#ifndef SLUICE_PROB_INTERVAL_CODER_H_
#define SLUICE_PROB_INTERVAL_CODER_H_

#include <concepts>
#include <cstdint>

#include "base/interval.h"

namespace sluice {

/// What an encoder must offer: intervals and raw bits in the order in which they will be decoded.
template <class S>
concept IntervalSink = requires(S& sink, Interval interval, uint32_t value, int count) {
  sink.Push(interval);
  sink.PushBits(value, count);
};

/// What a decoder must offer: the slot of the next element, below 2^precision of the table in use, and raw bits.
template <class S>
concept IntervalSource = requires(S& source, Interval interval, int count) {
  { source.Peek() } -> std::convertible_to<uint32_t>;
  source.Advance(interval);
  { source.PopBits(count) } -> std::convertible_to<uint32_t>;
};

}  // namespace sluice

#endif  // SLUICE_PROB_INTERVAL_CODER_H_
