#ifndef SLUICE_RANS_RANS_LAYOUT_H_
#define SLUICE_RANS_RANS_LAYOUT_H_

#include <cstddef>
#include <cstdint>

namespace sluice {

/// Constants of the byte layout that encoder and decoder share (docs/format.md, "Entropy-coded stream").
inline constexpr int kMinRansPrecision = 10;
inline constexpr int kMaxRansPrecision = 16;
inline constexpr int kMaxRansLanes = 64;
inline constexpr int kRansWordBits = 16;
/// Raw bits are coded in pieces of at most this many, low bits first.
inline constexpr int kRansRawPieceBits = 15;
/// A seal is a number below this that lies under the whole stream; see RansEncoder::Finish.
inline constexpr uint32_t kRansSealLimit = uint32_t{1} << 30;
inline constexpr uint32_t kRansDefaultSeal = 1;

/// Between two elements a state lies in [2^b, 2^(b + 16)), b being this. 15 keeps states below 2^31, where 32-bit
/// reciprocals are exact and signed comparisons work; precision 16 needs one bit more.
constexpr int RansLowBits(int precision) { return precision > 15 ? 16 : 15; }

/// The state in which a lane begins that was given one word of the stem.
constexpr uint32_t RansFirstState(uint16_t word) { return (uint32_t{1} << kRansWordBits) | word; }

/// How many lanes a stream of `symbol_count` symbols should have. A lane costs about 4 bits and buys speed, so the
/// number grows with the stream: the lanes stay under 0.1 % of a bit a symbol. Range: 1, 2, 4, 8, 16 or 32.
int LanesFor(size_t symbol_count);

}  // namespace sluice

#endif  // SLUICE_RANS_RANS_LAYOUT_H_
