#ifndef SLUICE_SIMD_RANS_KERNELS_H_
#define SLUICE_SIMD_RANS_KERNELS_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/interval.h"

namespace sluice {

/// Precisions for which there are kernels: their reciprocals and packed intervals have room for these.
inline constexpr int kMinKernelPrecision = 10;
inline constexpr int kMaxKernelPrecision = 14;
/// The symbols of a row. Not a power of two apart, so that the rows' common symbols do not fight for cache lines.
inline constexpr size_t kKernelSymbols = 256;
inline constexpr size_t kKernelRowStride = kKernelSymbols + 8;
/// How many elements behind the end of an array of words a kernel may read or write.
inline constexpr size_t kKernelSlack = 16;

/// An interval as the encoder wants it, division included: the reciprocal ceil(2^(31 + s) / freq), s = ceil(log2 freq),
/// in the low half; then 14 bits of freq, 14 of start, 4 of s. The reciprocal's highest bit, always 1, is 0 where the
/// symbol is `marked`. Exact: floor(x / freq) = (2x * reciprocal) >> 32 >> s for every x < 2^31.
/// Needs: freq < 2^14, start < 2^14.
constexpr uint64_t PackEncoderEntry(Interval interval, bool marked) {
  const int shift = std::bit_width(interval.freq - 1);
  const uint64_t reciprocal = ((uint64_t{1} << (31 + shift)) + interval.freq - 1) / interval.freq;
  const uint64_t packed = interval.freq | interval.start << 14 | static_cast<uint32_t>(shift) << 28;
  return (reciprocal & 0x7FFFFFFF) | (marked ? 0 : uint64_t{1} << 31) | packed << 32;
}

constexpr Interval EncoderEntryInterval(uint64_t entry) {
  return {static_cast<uint32_t>(entry >> 46 & 0x3FFF), static_cast<uint32_t>(entry >> 32 & 0x3FFF)};
}
constexpr bool EncoderEntryMarked(uint64_t entry) { return (entry >> 31 & 1) == 0; }

/// What the kernels know of a set of tables: for each row 256 symbols. A symbol without an interval is not decoded.
/// Data: `entries` [rows * kKernelRowStride] of PackEncoderEntry, `starts` [rows * kKernelRowStride + kKernelSlack]
/// with the start of each symbol and, behind it, that of the next one; `owners` [rows << precision] the symbol of each
/// slot.
struct RansKernelTables {
  int precision = 0;
  std::vector<uint64_t> entries;
  std::vector<uint16_t> starts;
  std::vector<uint8_t> owners;
};

/// Whole rounds of lanes to encode. Element i belongs to lane i mod lanes.
struct RansEncodeBatch {
  const RansKernelTables& tables;
  const uint16_t* rows;    ///< of each element
  const uint8_t* symbols;  ///< of each element
  size_t count;            ///< a multiple of `lanes`
  int lanes;
  uint32_t* states;  ///< `lanes` of them, in and out
  uint16_t* words;   ///< out, room for count + kKernelSlack, in the reverse of the order in which they are decoded
  uint8_t* marks;    ///< out, bit i mod 4 of byte i / 4 for each element: whether its entry is marked
};

/// Whole rounds of lanes to decode.
struct RansDecodeBatch {
  const RansKernelTables& tables;
  const uint16_t* rows;  ///< of each element
  size_t count;          ///< a multiple of `lanes`
  int lanes;
  uint32_t* states;      ///< `lanes` of them, in and out
  const uint8_t* words;  ///< unaligned, 16 bits each
  size_t word_count;
  uint8_t* symbols;  ///< out, one for each element
};

/// How far a decoder came: it stops before a round of lanes that might run out of words or read past the slack.
struct RansDecodeProgress {
  size_t elements;
  size_t words;
};

/// The inner loops of the coder for one instruction set. All give the same bytes and symbols, for any lanes from 1
/// to 64. Threads: any number at once.
struct RansKernels {
  std::string_view name;
  /// Encodes from the last element to the first; returns how many words it wrote.
  size_t (*encode)(const RansEncodeBatch& batch);
  RansDecodeProgress (*decode)(const RansDecodeBatch& batch);
};

/// Plain C++: what the others are measured against.
const RansKernels& PlainRansKernels();
/// The best for this CPU.
const RansKernels& BestRansKernels();
/// One for every instruction set that was compiled and that this CPU has, plain C++ first: for tests and benchmarks.
std::span<const RansKernels> AllRansKernels();

}  // namespace sluice

#endif  // SLUICE_SIMD_RANS_KERNELS_H_
