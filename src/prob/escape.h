#ifndef SLUICE_PROB_ESCAPE_H_
#define SLUICE_PROB_ESCAPE_H_

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

#include "prob/interval_coder.h"

namespace sluice {

/// What follows an escape symbol, in raw bits: one for the side (1 above the support, 0 below), then how far beyond the
/// edge, less one, in Exp-Golomb code of order 0: of u = excess + 1, with l bits below its leading one, l zeros and a
/// one, each by itself (no one after 31 zeros), then the l low bits.
/// Range: excess <= 2^32 - 2.
template <IntervalSink Sink>
void EncodeEscape(bool above, uint32_t excess, Sink& sink) {
  const uint32_t u = excess + 1;
  const int length = std::bit_width(u) - 1;
  sink.PushBits(above ? 1 : 0, 1);
  for (int i = 0; i < length; ++i) sink.PushBits(0, 1);
  if (length < 31) sink.PushBits(1, 1);
  sink.PushBits(u - (uint32_t{1} << length), length);
}

/// Where an escaped value lies relative to the support.
struct Escape {
  bool above;
  uint32_t excess;
};

/// Inverse of EncodeEscape. Damaged input yields some excess in range: at most 31 zeros are read.
template <IntervalSource Source>
Escape DecodeEscape(Source& source) {
  const bool above = source.PopBits(1) != 0;
  int length = 0;
  while (length < 31 && source.PopBits(1) == 0) ++length;
  return {above, ((uint32_t{1} << length) | static_cast<uint32_t>(source.PopBits(length))) - 1};
}

/// Raw bits of EncodeEscape.
constexpr int EscapeCostBits(uint32_t excess) {
  const int length = std::bit_width(excess + 1) - 1;
  return 1 + 2 * length + (length < 31 ? 1 : 0);
}

/// The nearest value of 32 bits; only damaged input needs it.
constexpr int32_t SaturateToInt32(int64_t value) {
  return static_cast<int32_t>(
      std::clamp<int64_t>(value, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()));
}

}  // namespace sluice

#endif  // SLUICE_PROB_ESCAPE_H_
