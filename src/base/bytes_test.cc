#include "base/bytes.h"

#include <gtest/gtest.h>

#include <limits>

namespace sluice {
namespace {

TEST(BytesTest, RoundTripsEveryVarintWidth) {
  for (int bit = 0; bit < 64; ++bit) {
    for (uint64_t value : {uint64_t{1} << bit, (uint64_t{1} << bit) - 1}) {
      ByteWriter writer;
      writer.PutVarint(value);
      ByteReader reader(writer.bytes());
      EXPECT_EQ(*reader.GetVarint(), value);
      EXPECT_EQ(reader.remaining(), 0u);
    }
  }
}

TEST(BytesTest, RejectsOverlongAndOversizedVarints) {
  const std::vector<uint8_t> overlong = {0x80, 0x00};
  EXPECT_EQ(ByteReader(overlong).GetVarint().status().code(), StatusCode::kCorrupt);
  const std::vector<uint8_t> oversized(10, 0xFF);
  EXPECT_EQ(ByteReader(oversized).GetVarint().status().code(), StatusCode::kCorrupt);
  const std::vector<uint8_t> cut = {0x80};
  EXPECT_EQ(ByteReader(cut).GetVarint().status().code(), StatusCode::kTruncated);
}

TEST(BytesTest, RejectsReadsPastTheEnd) {
  const std::vector<uint8_t> three = {1, 2, 3};
  ByteReader reader(three);
  EXPECT_EQ(reader.Get<uint32_t>().status().code(), StatusCode::kTruncated);
  EXPECT_EQ(*reader.Get<uint16_t>(), 0x0201);
  EXPECT_EQ(reader.GetBytes(2).status().code(), StatusCode::kTruncated);
  EXPECT_EQ(reader.GetBytes(1)->front(), 3);
}

TEST(BytesTest, RoundTripsZigZag) {
  for (int64_t value : {int64_t{0}, int64_t{-1}, int64_t{1}, int64_t{-123456}, std::numeric_limits<int64_t>::min(),
                        std::numeric_limits<int64_t>::max()}) {
    EXPECT_EQ(UnZigZag(ZigZag(value)), value);
  }
  EXPECT_EQ(ZigZag(-2), 3u);
}

}  // namespace
}  // namespace sluice
