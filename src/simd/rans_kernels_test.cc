#include "simd/rans_kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace sluice {
namespace {

constexpr size_t kRows = 7;

/// Random partitions of 2^precision among random symbols, some of them marked, and symbols drawn from them.
struct Source {
  RansKernelTables tables;
  std::vector<std::vector<uint8_t>> used;  // symbols of each row, in the order of their intervals
  std::vector<uint16_t> rows;
  std::vector<uint8_t> symbols;

  Source(int precision, size_t count, uint32_t seed) : used(kRows) {
    std::mt19937 random(seed);
    tables.precision = precision;
    tables.escapes = seed % 2 == 0;
    tables.Resize(seed % 3 == 0 ? 3000 : kRows);  // many rows have few buckets each
    for (size_t row = 0; row < kRows; ++row) AddRow(row, random);
    rows.resize(count + kKernelSlack);
    symbols.resize(count + kKernelSlack);
    for (size_t i = 0; i < count; ++i) {
      rows[i] = static_cast<uint16_t>(random() % kRows);
      symbols[i] = used[rows[i]][random() % used[rows[i]].size()];
    }
  }

  /// Contiguous symbols: one of frequency 1 beside one that owns nearly all, all 256, or some. Where the last interval
  /// escapes, it is symbol 0's.
  void AddRow(size_t row, std::mt19937& random) {
    const uint32_t total = 1u << tables.precision;
    const size_t reserved = tables.escapes ? 2 : 0;
    const size_t size = row == 0 ? 2 : row == 1 ? 256 - reserved : 2 + random() % 200;
    const size_t first = reserved + random() % (257 - reserved - size);
    std::set<uint32_t> cuts = {0, row == 0 ? total - 1 : total / 2, total};
    while (cuts.size() < size + 1) cuts.insert(1 + random() % (total - 1));
    const std::vector<uint32_t> starts(cuts.begin(), cuts.end());
    for (size_t i = 0; i < size; ++i) {
      const bool escape = tables.escapes && i + 1 == size;
      const auto symbol = static_cast<uint8_t>(escape ? 0 : first + i);
      used[row].push_back(symbol);
      tables.Add(row, symbol, {starts[i], starts[i + 1] - starts[i]}, random() % 11 == 0);
    }
    tables.FinishRow(row);
  }
  size_t count() const { return symbols.size() - kKernelSlack; }
};

struct Encoded {
  std::vector<uint32_t> states;
  std::vector<uint16_t> words;  // in the order in which they are read
  std::vector<uint8_t> marks;

  friend bool operator==(const Encoded&, const Encoded&) = default;
};

Encoded EncodeWith(const RansKernels& kernels, const Source& source, int lanes) {
  Encoded encoded{std::vector<uint32_t>(static_cast<size_t>(lanes), 1u << 15), {}, {}};
  encoded.words.resize(source.count() + kKernelSlack);
  encoded.marks.resize((source.count() + 3) / 4);
  encoded.words.resize(kernels.encode({source.tables, source.rows.data(), source.symbols.data(), source.count(), lanes,
                                       encoded.states.data(), encoded.words.data(), encoded.marks.data()}));
  std::reverse(encoded.words.begin(), encoded.words.end());
  return encoded;
}

std::vector<uint8_t> DecodeWith(const RansKernels& kernels, const Source& source, int lanes, Encoded encoded) {
  const size_t words = encoded.words.size();
  encoded.words.resize(words + static_cast<size_t>(lanes) + kKernelSlack);  // so that the kernel need not stop early
  std::vector<uint8_t> symbols(source.count());
  const RansDecodeProgress progress =
      kernels.decode({source.tables, source.rows.data(), symbols.size(), lanes, encoded.states.data(),
                      reinterpret_cast<const uint8_t*>(encoded.words.data()), encoded.words.size(), symbols.data()});
  EXPECT_EQ(progress.elements, symbols.size()) << kernels.name;
  EXPECT_EQ(progress.words, words) << kernels.name;
  EXPECT_EQ(encoded.states, std::vector<uint32_t>(static_cast<size_t>(lanes), 1u << 15)) << kernels.name;
  return symbols;
}

std::vector<uint8_t> Symbols(const Source& source) {
  return {source.symbols.begin(), source.symbols.begin() + static_cast<ptrdiff_t>(source.count())};
}

TEST(RansKernelsTest, MatchesTheDivisionForEveryFrequency) {
  std::mt19937 random(3);
  for (uint32_t freq = 1; freq < 1u << 14; ++freq) {
    const bool marked = (freq & 1) != 0;
    const uint64_t entry = PackEncoderEntry({freq / 2, freq}, marked);
    EXPECT_EQ(EncoderEntryMarked(entry), marked);
    EXPECT_EQ(EncoderEntryInterval(entry), (Interval{freq / 2, freq}));
    const uint32_t reciprocal = static_cast<uint32_t>(entry) | 0x80000000u;
    const auto shift = static_cast<int>(entry >> 60);
    const uint32_t top = 0x7FFFFFFFu;
    for (uint32_t x : {0u, 1u, freq - 1, freq, top, top - 1, top / freq * freq, top / freq * freq - 1,
                       static_cast<uint32_t>(random()) & top}) {
      x &= top;
      ASSERT_EQ(static_cast<uint32_t>((uint64_t{2 * x} * reciprocal) >> 32) >> shift, x / freq) << x << " / " << freq;
    }
  }
}

TEST(RansKernelsTest, MatchesAPlainDivisionAndRefill) {
  for (int lanes : {1, 5, 32}) {
    const Source source(12, static_cast<size_t>(lanes) * 40, 9);
    const Encoded encoded = EncodeWith(PlainRansKernels(), source, lanes);
    Encoded expected{std::vector<uint32_t>(static_cast<size_t>(lanes), 1u << 15), {}, encoded.marks};
    for (size_t i = source.count(); i-- > 0;) {
      const uint64_t entry = source.tables.entries[source.rows[i] * kKernelRowStride + source.symbols[i]];
      const Interval interval = EncoderEntryInterval(entry);
      uint32_t& x = expected.states[i % static_cast<size_t>(lanes)];
      if (x >= interval.freq << 19) {
        expected.words.insert(expected.words.begin(), static_cast<uint16_t>(x));
        x >>= 16;
      }
      x = (x / interval.freq << 12) + x % interval.freq + interval.start;
      EXPECT_EQ((encoded.marks[i / 4] >> i % 4 & 1) != 0, EncoderEntryMarked(entry)) << i;
    }
    EXPECT_EQ(encoded, expected) << lanes;
  }
}

TEST(RansKernelsTest, MatchesPlainCodeOnEveryInstructionSet) {
  for (int precision = kMinKernelPrecision; precision <= kMaxKernelPrecision; ++precision) {
    for (int lanes = 1; lanes <= 64; ++lanes) {
      const auto rounds = static_cast<size_t>(lanes % 5) * 9;
      const Source source(precision, static_cast<size_t>(lanes) * rounds, static_cast<uint32_t>(lanes + precision));
      const Encoded expected = EncodeWith(PlainRansKernels(), source, lanes);
      for (const RansKernels& kernels : AllRansKernels()) {
        EXPECT_EQ(EncodeWith(kernels, source, lanes), expected) << kernels.name << " " << precision << " " << lanes;
      }
    }
  }
}

TEST(RansKernelsTest, RoundTripsBetweenAllPairs) {
  for (int precision = kMinKernelPrecision; precision <= kMaxKernelPrecision; ++precision) {
    for (int lanes : {1, 2, 3, 4, 7, 8, 12, 16, 24, 31, 32, 33, 48, 63, 64}) {
      const Source source(precision, static_cast<size_t>(lanes) * 50, 77);
      for (const RansKernels& encoder : AllRansKernels()) {
        const Encoded encoded = EncodeWith(encoder, source, lanes);
        for (const RansKernels& decoder : AllRansKernels()) {
          EXPECT_EQ(DecodeWith(decoder, source, lanes, encoded), Symbols(source))
              << encoder.name << " " << decoder.name << " " << precision << " " << lanes;
        }
      }
    }
  }
}

TEST(RansKernelsTest, RejectsToReadPastTheWords) {
  const Source source(12, 32 * 50, 5);
  for (const RansKernels& kernels : AllRansKernels()) {
    for (size_t word_count : {0, 1, 31, 32, 33, 39, 40, 41, 100}) {
      const std::vector<uint16_t> words(word_count, 0x1234);  // a sanitizer sees what is read beyond
      std::vector<uint32_t> states(32, 1u << 15);
      std::vector<uint8_t> symbols(source.count());
      const RansDecodeProgress progress =
          kernels.decode({source.tables, source.rows.data(), symbols.size(), 32, states.data(),
                          reinterpret_cast<const uint8_t*>(words.data()), word_count, symbols.data()});
      EXPECT_LE(progress.words, word_count) << kernels.name;
      EXPECT_LT(progress.elements, symbols.size());
      EXPECT_EQ(progress.elements % 32, 0u);
    }
  }
}

TEST(RansKernelsTest, MatchesPlainCodeOnHostileWords) {
  std::mt19937 random(6);
  const Source source(13, 64 * 20, 5);
  for (int round = 0; round < 50; ++round) {
    std::vector<uint16_t> words(64 * 30);
    for (uint16_t& word : words) word = static_cast<uint16_t>(random());
    std::vector<uint32_t> first(64);
    for (uint32_t& state : first) state = random() >> (1 + random() % 31);  // below their range as well
    std::vector<uint8_t> expected;
    for (const RansKernels& kernels : AllRansKernels()) {
      std::vector<uint32_t> states = first;
      std::vector<uint8_t> symbols(source.count());
      kernels.decode({source.tables, source.rows.data(), symbols.size(), 64, states.data(),
                      reinterpret_cast<const uint8_t*>(words.data()), words.size(), symbols.data()});
      symbols.insert(symbols.end(), reinterpret_cast<const uint8_t*>(states.data()),
                     reinterpret_cast<const uint8_t*>(states.data() + states.size()));
      if (expected.empty()) expected = symbols;
      EXPECT_EQ(symbols, expected) << kernels.name;
    }
  }
}

TEST(RansKernelsTest, MatchesTheChoiceToTheList) {
  EXPECT_EQ(AllRansKernels().front().name, PlainRansKernels().name);
  EXPECT_TRUE(std::any_of(AllRansKernels().begin(), AllRansKernels().end(),
                          [](const RansKernels& kernels) { return kernels.name == BestRansKernels().name; }));
}

}  // namespace
}  // namespace sluice
