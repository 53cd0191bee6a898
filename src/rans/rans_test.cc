#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <random>
#include <vector>

#include "base/hash.h"
#include "rans/rans_decoder.h"
#include "rans/rans_encoder.h"

namespace sluice {
namespace {

/// An interval, or raw bits when `count` is not negative.
struct Item {
  Interval interval{};
  uint32_t value = 0;
  int count = -1;
};

/// Intervals of a random partition of 2^precision, with raw bits of every width in between.
std::vector<Item> RandomItems(size_t size, int precision, uint64_t seed, int raw_percent = 5) {
  std::mt19937_64 random(seed);
  std::vector<uint32_t> starts = {0, uint32_t{1} << precision};
  for (int i = 0; i < 30; ++i) starts.push_back(1 + random() % ((1u << precision) - 1));
  std::sort(starts.begin(), starts.end());
  starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
  std::vector<Item> items(size);
  for (Item& item : items) {
    if (static_cast<int>(random() % 100) < raw_percent) {
      item.count = static_cast<int>(random() % 33);
      item.value = static_cast<uint32_t>(random() & ((uint64_t{1} << item.count) - 1));
    } else {
      const uint32_t slot = random() % (1u << precision);
      const size_t at = std::upper_bound(starts.begin(), starts.end(), slot) - starts.begin() - 1;
      item.interval = {starts[at], starts[at + 1] - starts[at]};
    }
  }
  return items;
}

std::vector<uint8_t> Encode(const std::vector<Item>& items, int lanes, int precision, uint32_t seal) {
  RansEncoder encoder = *RansEncoder::Create(lanes, precision);
  for (const Item& item : items) {
    if (item.count < 0) {
      encoder.Push(item.interval);
    } else {
      encoder.PushBits(item.value, item.count);
    }
  }
  return encoder.Finish(seal);
}

/// Decodes and compares; false at the first element that differs.
bool Matches(RansDecoder& decoder, const std::vector<Item>& items) {
  for (const Item& item : items) {
    if (item.count >= 0) {
      if (decoder.PopBits(item.count) != item.value) return false;
      continue;
    }
    if (decoder.Peek() - item.interval.start >= item.interval.freq) return false;
    decoder.Advance(item.interval);
  }
  return true;
}

double IdealBits(const std::vector<Item>& items, int precision) {
  double bits = 0;
  for (const Item& item : items) bits += item.count >= 0 ? item.count : precision - std::log2(item.interval.freq);
  return bits;
}

TEST(RansTest, RoundTripsEveryPrecisionLaneCountAndSize) {
  for (int precision = kMinRansPrecision; precision <= kMaxRansPrecision; ++precision) {
    for (int lanes : {1, 2, 3, 4, 7, 8, 16, 31, 32, 33, 63, 64}) {
      for (size_t size : {0, 1, 2, 3, 31, 32, 33, 64, 65, 1000}) {
        const std::vector<Item> items = RandomItems(size, precision, size * 100 + lanes);
        const uint32_t seal = static_cast<uint32_t>(size * 7919 + lanes);
        const std::vector<uint8_t> bytes = Encode(items, lanes, precision, seal);
        Result<RansDecoder> decoder = RansDecoder::Create(bytes, lanes, precision);
        ASSERT_TRUE(decoder.ok()) << decoder.status().ToString();
        EXPECT_TRUE(Matches(*decoder, items)) << precision << " " << lanes << " " << size;
        EXPECT_TRUE(decoder->Finish(seal).ok()) << decoder->Finish(seal).ToString();
        EXPECT_EQ(decoder->Finish(seal ^ 1).code(), StatusCode::kCorrupt);
      }
    }
  }
}

TEST(RansTest, RoundTripsArbitraryStreams) {
  EXPECT_TRUE(rc::check("any precision, lanes, seal and content", [] {
    const int precision = *rc::gen::inRange(kMinRansPrecision, kMaxRansPrecision + 1);
    const int lanes = *rc::gen::inRange(1, kMaxRansLanes + 1);
    const uint32_t seal = *rc::gen::inRange<uint32_t>(0, kRansSealLimit);
    const auto items =
        RandomItems(*rc::gen::inRange(0, 400), precision, *rc::gen::arbitrary<uint64_t>(), *rc::gen::inRange(0, 101));
    const std::vector<uint8_t> bytes = Encode(items, lanes, precision, seal);
    Result<RansDecoder> decoder = RansDecoder::Create(bytes, lanes, precision);
    RC_ASSERT(decoder.ok());
    RC_ASSERT(Matches(*decoder, items));
    RC_ASSERT(decoder->Finish(seal).ok());
  }));
}

TEST(RansTest, RoundTripsFrequenciesAtTheirBounds) {
  for (int precision = kMinRansPrecision; precision <= kMaxRansPrecision; ++precision) {
    const uint32_t total = 1u << precision;
    std::vector<Item> items;
    for (int i = 0; i < 3000; ++i) {
      items.push_back({{0, total - 1}});
      if (i % 50 == 0) items.push_back({{total - 1, 1}});
      if (i % 70 == 0) items.push_back({{0, 1}});
    }
    for (int lanes : {1, 32}) {
      const std::vector<uint8_t> bytes = Encode(items, lanes, precision, kRansDefaultSeal);
      RansDecoder decoder = *RansDecoder::Create(bytes, lanes, precision);
      EXPECT_TRUE(Matches(decoder, items));
      EXPECT_TRUE(decoder.Finish().ok());
    }
  }
}

TEST(RansTest, CostsTheIdealLengthPlusTheLanes) {
  for (int precision : {10, 12, 14, 16}) {
    const std::vector<Item> items = RandomItems(50000, precision, 5);
    const double ideal = IdealBits(items, precision);
    for (int lanes : {1, 8, 32}) {
      const double bits = 8.0 * static_cast<double>(Encode(items, lanes, precision, kRansDefaultSeal).size());
      const double head = lanes > 1 ? 8 * 7 : 0;
      EXPECT_LT(bits, ideal * (precision == 16 ? 1.0040 : 1.0005) + head + 5 * lanes) << precision << " " << lanes;
      EXPECT_GT(bits, ideal);
    }
  }
}

TEST(RansTest, CostsUnderTwelveBitsInShortStreams) {
  double over = 0;
  constexpr int kFrames = 200;
  for (int frame = 0; frame < kFrames; ++frame) {
    const std::vector<Item> items = RandomItems(768, 12, 1000 + frame, 0);
    over += 8.0 * static_cast<double>(Encode(items, 1, 12, kRansDefaultSeal).size()) - IdealBits(items, 12);
  }
  EXPECT_LT(over / kFrames, 12.0);
}

TEST(RansTest, CostsNothingForAnEmptyStreamWithoutASeal) { EXPECT_TRUE(Encode({}, 1, 12, 0).empty()); }

TEST(RansTest, RejectsParametersOutOfRange) {
  for (auto [lanes, precision] : {std::pair{0, 12}, {65, 12}, {-1, 12}, {1, 9}, {1, 17}}) {
    EXPECT_EQ(RansEncoder::Create(lanes, precision).status().code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(RansDecoder::Create({}, lanes, precision).status().code(), StatusCode::kInvalidArgument);
  }
}

TEST(RansTest, RejectsTruncatedBytes) {
  const std::vector<Item> items = RandomItems(500, 12, 3, 0);
  for (int lanes : {1, 2, 32}) {
    const std::vector<uint8_t> bytes = Encode(items, lanes, 12, 12345);
    for (size_t size = 0; size < bytes.size(); ++size) {
      Result<RansDecoder> decoder = RansDecoder::Create(std::span(bytes).first(size), lanes, 12);
      if (!decoder.ok()) continue;
      for (const Item& item : items) decoder->Advance(item.interval);
      EXPECT_FALSE(decoder->Finish(12345).ok()) << lanes << " lanes cut to " << size;
    }
  }
  const std::vector<uint8_t> bytes = Encode(items, 8, 12, 1);
  EXPECT_EQ(RansDecoder::Create(std::span(bytes).first(4), 8, 12).status().code(), StatusCode::kTruncated);
}

TEST(RansTest, RejectsBytesLeftOver) {
  const std::vector<Item> items = RandomItems(500, 12, 3, 0);
  for (int lanes : {1, 2, 32}) {
    std::vector<uint8_t> bytes = Encode(items, lanes, 12, 77);
    bytes.insert(bytes.end(), {1, 2});
    RansDecoder decoder = *RansDecoder::Create(bytes, lanes, 12);
    for (const Item& item : items) decoder.Advance(item.interval);
    EXPECT_EQ(decoder.Finish(77).code(), StatusCode::kCorrupt);
  }
}

TEST(RansTest, RejectsAFirstStateThatIsNotInItsShortestForm) {
  EXPECT_EQ(RansDecoder::Create(std::vector<uint8_t>{0}, 1, 12).status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(RansDecoder::Create(std::vector<uint8_t>{5, 0}, 1, 12).status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(RansDecoder::Create(std::vector<uint8_t>{5, 1, 0}, 1, 12).status().code(), StatusCode::kCorrupt);
}

TEST(RansTest, RejectsFlippedBits) {
  const std::vector<Item> items = RandomItems(300, 12, 9);
  for (int lanes : {1, 32}) {
    const std::vector<uint8_t> bytes = Encode(items, lanes, 12, 0x5A5A);
    int missed = 0;
    for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
      std::vector<uint8_t> flipped = bytes;
      flipped[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
      Result<RansDecoder> decoder = RansDecoder::Create(flipped, lanes, 12);
      if (decoder.ok() && Matches(*decoder, items) && decoder->Finish(0x5A5A).ok()) ++missed;
    }
    EXPECT_EQ(missed, 0) << lanes;
  }
}

TEST(RansTest, RejectsRandomBytesWithoutHarm) {
  std::mt19937 random(4);
  int accepted = 0;
  for (int round = 0; round < 2000; ++round) {
    std::vector<uint8_t> bytes(random() % 60);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    const int lanes = 1 + static_cast<int>(random() % 64);
    Result<RansDecoder> decoder = RansDecoder::Create(bytes, lanes, 12);
    if (!decoder.ok()) continue;
    for (int i = 0; i < 500; ++i) {
      const uint32_t slot = decoder->Peek();
      EXPECT_LT(slot, 4096u);
      decoder->Advance({slot & ~15u, 16});
      decoder->PopBits(i % 33);
    }
    accepted += decoder->Finish(0x123456).ok();
  }
  EXPECT_EQ(accepted, 0);
}

TEST(RansTest, MatchesLaneCountsToSizes) {
  EXPECT_EQ(LanesFor(0), 1);
  EXPECT_EQ(LanesFor(768), 1);
  EXPECT_EQ(LanesFor(8191), 1);
  EXPECT_EQ(LanesFor(8192), 2);
  EXPECT_EQ(LanesFor(256 * 768), 32);
  EXPECT_EQ(LanesFor(size_t{1} << 40), 32);
}

TEST(RansTest, GoldenBytes) {
  std::vector<uint8_t> all;
  for (int precision : {10, 12, 14, 16}) {
    for (int lanes : {1, 4, 32}) {
      // A generator of our own: the standard ones are not required to agree between libraries.
      RansEncoder encoder = *RansEncoder::Create(lanes, precision);
      uint64_t random = 88172645463325252u;
      for (int i = 0; i < 2000; ++i) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        const uint32_t freq = 1 + static_cast<uint32_t>(random % ((1u << precision) - 1));
        const uint32_t start = static_cast<uint32_t>((random >> 32) % ((1u << precision) - freq + 1));
        if (i % 37 == 5) {
          encoder.PushBits(static_cast<uint32_t>(random), i % 33);
        } else {
          encoder.Push({start, freq});
        }
      }
      const std::vector<uint8_t> bytes = encoder.Finish(0x2345);
      all.insert(all.end(), bytes.begin(), bytes.end());
    }
  }
  EXPECT_EQ(ToHex(Sha256::Of(all)), "1c8271ee13c4b73553fd63039dcc4d329d86bac16e45430de879fee0dc257ce3");
}

}  // namespace
}  // namespace sluice
