// The inner loops in plain C++. The division of the encoder is a multiplication by a rounded-up reciprocal of 32
// significant bits, which is exact for 31-bit states (Granlund and Montgomery, 1994); the doubled state makes frequency
// 1 no special case. Giving a word up and taking one are selections by mask, not branches: whether a state needs it is
// as good as random, and compilers left to choose take the branch.
#include <algorithm>
#include <bit>

#include "base/bytes.h"
#include "simd/rans_kernels.h"

namespace sluice {
namespace {

constexpr uint32_t kField = (uint32_t{1} << 14) - 1;
constexpr uint32_t kTop = uint32_t{1} << 31;
constexpr uint32_t kLeast = uint32_t{1} << 15;
constexpr int kMaxLanes = 64;

/// All ones for a difference below zero. Range: the numbers are below 2^31.
uint32_t SignMask(uint32_t difference) { return static_cast<uint32_t>(static_cast<int32_t>(difference) >> 31); }

uint8_t BucketSymbol(uint64_t bucket) { return static_cast<uint8_t>((bucket >> 28 & 15) | (bucket >> 60) << 4); }

/// The symbol behind whose start, and before whose end, the slot is; `first`: that of the slot's bucket.
uint32_t SymbolFrom(uint8_t first, const uint16_t* start, uint32_t slot) {
  uint32_t symbol = first;
  while (slot >= start[symbol + 1]) ++symbol;
  return symbol;
}

/// Either of two values without a branch.
uint32_t Select(uint32_t mask, uint32_t yes, uint32_t no) { return no ^ ((no ^ yes) & mask); }

size_t EncodePlain(const RansEncodeBatch& batch) {
  const auto lanes = static_cast<size_t>(batch.lanes);
  const int shift = 31 - batch.tables.precision;
  const uint32_t total = uint32_t{1} << batch.tables.precision;
  const uint64_t* const entries = batch.tables.entries.data();
  const uint16_t* const rows = batch.rows;
  const uint8_t* const symbols = batch.symbols;
  uint16_t* words = batch.words;
  uint8_t* const marks = batch.marks;
  uint32_t marked = 0;
  uint32_t states[kMaxLanes];
  std::copy_n(batch.states, lanes, states);
  for (size_t i = batch.count; i > 0;) {
    for (size_t lane = lanes; lane-- > 0;) {
      --i;
      const uint64_t entry = entries[rows[i] * kKernelRowStride + symbols[i]];
      const auto packed = static_cast<uint32_t>(entry >> 32);
      const uint32_t reciprocal = static_cast<uint32_t>(entry) | kTop;
      marked = marked << 1 | (~static_cast<uint32_t>(entry) >> 31);
      if (i % 4 == 0) {
        marks[i / 4] = static_cast<uint8_t>(marked);
        marked = 0;
      }
      const uint32_t freq = packed & kField;
      uint32_t x = states[lane];
      const uint32_t keep = SignMask(x - (freq << shift));
      *words = static_cast<uint16_t>(x);
      words += 1 + static_cast<int32_t>(keep);
      x = Select(keep, x, x >> 16);
      const auto quotient = static_cast<uint32_t>((uint64_t{2 * x} * reciprocal) >> 32) >> (packed >> 28);
      states[lane] = x + quotient * (total - freq) + (packed >> 14 & kField);
    }
  }
  std::copy_n(states, lanes, batch.states);
  return static_cast<size_t>(words - batch.words);
}

template <typename Find>
RansDecodeProgress DecodeBy(const RansDecodeBatch& batch, Find&& find) {
  const auto lanes = static_cast<size_t>(batch.lanes);
  const size_t count = batch.count;
  const int precision = batch.tables.precision;
  const uint32_t mask = (uint32_t{1} << precision) - 1;
  const uint16_t* const starts = batch.tables.starts.data();
  const uint32_t escapes = batch.tables.escapes ? ~uint32_t{0} : 0;
  const uint16_t* const rows = batch.rows;
  uint8_t* const symbols = batch.symbols;
  const uint8_t* words = batch.words;
  const uint8_t* const end = words + 2 * batch.word_count;
  uint32_t states[kMaxLanes];
  std::copy_n(batch.states, lanes, states);
  size_t i = 0;
  while (i<count&& static_cast<size_t>(end - words)> 2 * lanes) {
    for (size_t lane = 0; lane < lanes; ++lane, ++i) {
      uint32_t x = states[lane];
      const uint32_t slot = x & mask;
      const uint32_t symbol = find(rows[i], slot);
      const auto pair = LoadLe<uint32_t>(starts + rows[i] * kKernelRowStride + symbol);
      const uint32_t start = pair & 0xFFFF;
      symbols[i] = static_cast<uint8_t>(Select(escapes & SignMask(mask - (pair >> 16)), 0, symbol));
      x = ((pair >> 16) - start) * (x >> precision) + slot - start;
      const uint32_t empty = SignMask(x - kLeast);
      x = Select(empty, x << 16 | LoadLe<uint16_t>(words), x);
      words += 2 & empty;
      states[lane] = x;
    }
  }
  std::copy_n(states, lanes, batch.states);
  return {i, static_cast<size_t>(words - batch.words) / 2};
}

RansDecodeProgress DecodePlain(const RansDecodeBatch& batch) {
  const RansKernelTables& tables = batch.tables;
  if (!tables.owners.empty()) {
    const uint8_t* const owners = tables.owners.data();
    const int precision = tables.precision;
    return DecodeBy(batch, [=](size_t row, uint32_t slot) -> uint32_t { return owners[(row << precision) + slot]; });
  }
  const uint64_t* const buckets = tables.buckets.data();
  const uint16_t* const starts = tables.starts.data();
  const int bucket_bits = tables.bucket_bits, size_bits = tables.precision - bucket_bits;
  return DecodeBy(batch, [=](size_t row, uint32_t slot) -> uint32_t {
    const uint8_t first = BucketSymbol(buckets[(row << bucket_bits) + (slot >> size_bits)]);
    return SymbolFrom(first, starts + row * kKernelRowStride, slot);
  });
}

}  // namespace

void RansKernelTables::Resize(size_t rows) {
  constexpr int kMostBits = 9, kAllBits = 16;  // 2^16 buckets are half a MiB
  bucket_bits = std::min({precision, kMostBits, std::max(1, kAllBits - static_cast<int>(std::bit_width(rows - 1)))});
  entries.assign(rows * kKernelRowStride, 0);
  starts.assign(rows * kKernelRowStride + kKernelSlack, 0);
  buckets.assign(rows << bucket_bits, 0);
  constexpr size_t kMostOwners = 1 << 20;
  owners.assign(rows << precision <= kMostOwners ? rows << precision : 0, 0);
}

void RansKernelTables::Add(size_t row, uint8_t symbol, Interval interval, bool marked) {
  entries[row * kKernelRowStride + symbol] = PackEncoderEntry(interval, marked);
  uint16_t* const start = starts.data() + row * kKernelRowStride + symbol;
  start[0] = static_cast<uint16_t>(interval.start);
  start[1] = static_cast<uint16_t>(interval.start + interval.freq);
  // The escape is also the symbol behind the last: this is where it ends.
  if (escapes && symbol > 0) start[2] = static_cast<uint16_t>(uint32_t{1} << precision);
  if (!owners.empty()) {
    std::fill_n(owners.begin() + static_cast<ptrdiff_t>((row << precision) + interval.start), interval.freq, symbol);
  }
  const int size_bits = precision - bucket_bits;
  uint64_t* const bucket = buckets.data() + (row << bucket_bits);
  const auto first_bucket = [size_bits](uint32_t slot) { return (slot + (1u << size_bits) - 1) >> size_bits; };
  for (uint32_t b = first_bucket(interval.start); b < first_bucket(interval.start + interval.freq); ++b) {
    bucket[b] = PackBucket(symbol, 0, 0, 0, 0);
  }
}

void RansKernelTables::FinishRow(size_t row) {
  const uint32_t total = uint32_t{1} << precision;
  const uint16_t* const start = starts.data() + row * kKernelRowStride;
  for (size_t b = row << bucket_bits; b < (row + 1) << bucket_bits; ++b) {
    const uint8_t symbol = BucketSymbol(buckets[b]);
    uint32_t lasts[3] = {total - 1, total - 1, total - 1};
    for (uint32_t k = 0; k < 3; ++k) {
      lasts[k] = start[symbol + k + 1] - 1u;
      if (start[symbol + k + 1] == total) break;
    }
    buckets[b] = PackBucket(symbol, start[symbol], lasts[0], lasts[1], lasts[2]);
  }
}

uint8_t RansKernelTables::SymbolAt(size_t row, uint32_t slot) const {
  const uint8_t first = BucketSymbol(buckets[(row << bucket_bits) + (slot >> (precision - bucket_bits))]);
  const uint16_t* const start = starts.data() + row * kKernelRowStride;
  const uint32_t symbol = SymbolFrom(first, start, slot);
  return static_cast<uint8_t>(escapes && start[symbol + 1] == uint32_t{1} << precision ? 0 : symbol);
}

const RansKernels& PlainRansKernels() {
  static constexpr RansKernels kernels = {"plain", EncodePlain, DecodePlain};
  return kernels;
}

}  // namespace sluice
