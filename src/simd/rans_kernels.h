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

/// What a decoder finds in a bucket of slots: the symbol of its first slot, 8 bits; where that symbol's interval
/// begins, 14 bits; and the last slots of that interval and of the two behind it, 14 bits each (the last of all slots
/// where there are no more). One load is enough for nearly every slot.
constexpr uint64_t PackBucket(uint8_t symbol, uint32_t start, uint32_t last, uint32_t second_last,
                              uint32_t third_last) {
  const uint32_t lower = start | last << 14 | static_cast<uint32_t>(symbol & 15) << 28;
  const uint32_t upper = second_last | third_last << 14 | static_cast<uint32_t>(symbol >> 4) << 28;
  return lower | uint64_t{upper} << 32;
}

/// What the kernels know of a set of tables: for each row 256 symbols. A symbol without an interval is not decoded.
///
/// A slot's symbol is found in its bucket, and where a bucket holds more than three by walking on. So symbols lie next
/// to each other in the order of their intervals; with `escapes` the last interval of every row is that of symbol 0,
/// which is reached as the symbol behind the last, and there is no symbol 1. Data: `entries` [rows * kKernelRowStride]
/// of PackEncoderEntry, `starts` [rows * kKernelRowStride + kKernelSlack] with the start of each symbol and, behind it,
/// that of the next one; `buckets` [rows << bucket_bits] of PackBucket; `owners` [rows << precision] the symbol of every
/// slot, where that is no more than 1 MiB: plain C++ is faster by it.
struct RansKernelTables {
  int precision = 0;
  int bucket_bits = 0;  ///< a row has 2^bucket_bits buckets of slots
  bool escapes = false;
  std::vector<uint64_t> entries;
  std::vector<uint16_t> starts;
  std::vector<uint64_t> buckets;
  std::vector<uint8_t> owners;

  /// Room for `rows` without a symbol, with as many buckets as stay in a cache. Needs: precision is set.
  void Resize(size_t rows);
  /// Gives a symbol of a row its interval. Needs: symbols come in the order of their intervals, FinishRow behind them.
  void Add(size_t row, uint8_t symbol, Interval interval, bool marked);
  void FinishRow(size_t row);

  /// Whose interval holds the slot.
  uint8_t SymbolAt(size_t row, uint32_t slot) const;
  Interval IntervalOf(size_t row, uint8_t symbol) const {
    const uint16_t* const start = starts.data() + row * kKernelRowStride + symbol;
    return {start[0], uint32_t{start[1]} - start[0]};
  }
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
