// The inner loops in plain C++. The division of the encoder is a multiplication by a rounded-up reciprocal of 32
// significant bits, which is exact for 31-bit states (Granlund and Montgomery, 1994); the doubled state makes frequency
// 1 no special case. Giving a word up and taking one are selections by mask, not branches: whether a state needs it is
// as good as random, and compilers left to choose take the branch.
#include <algorithm>

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

RansDecodeProgress DecodePlain(const RansDecodeBatch& batch) {
  const auto lanes = static_cast<size_t>(batch.lanes);
  const size_t count = batch.count;
  const int precision = batch.tables.precision;
  const uint32_t mask = (uint32_t{1} << precision) - 1;
  const uint16_t* const starts = batch.tables.starts.data();
  const uint8_t* const owners = batch.tables.owners.data();
  const uint16_t* const rows = batch.rows;
  uint8_t* const symbols = batch.symbols;
  const uint8_t* words = batch.words;
  const uint8_t* const end = words + 2 * batch.word_count;
  uint32_t states[kMaxLanes];
  std::copy_n(batch.states, lanes, states);
  size_t i = 0;
  while (i<count&& static_cast<size_t>(end - words)> 2 * lanes) {
    for (size_t lane = 0; lane < lanes; ++lane, ++i) {
      const uint32_t row = rows[i];
      uint32_t x = states[lane];
      const uint32_t slot = x & mask;
      const uint8_t symbol = owners[(size_t{row} << precision) + slot];
      const auto pair = LoadLe<uint32_t>(starts + row * kKernelRowStride + symbol);
      const uint32_t start = pair & 0xFFFF;
      symbols[i] = symbol;
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

}  // namespace

const RansKernels& PlainRansKernels() {
  static constexpr RansKernels kernels = {"plain", EncodePlain, DecodePlain};
  return kernels;
}

}  // namespace sluice
