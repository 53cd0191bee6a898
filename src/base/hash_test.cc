#include "base/hash.h"

#include <gtest/gtest.h>

#include "base/bytes.h"

namespace sluice {
namespace {

TEST(HashTest, MatchesPublishedSha256Vectors) {
  // FIPS 180-4 examples.
  EXPECT_EQ(ToHex(Sha256::Of(AsBytes("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(ToHex(Sha256::Of({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(HashTest, MatchesWhenFedInPieces) {
  Sha256 hash;
  hash.Update(AsBytes("a"));
  hash.Update(AsBytes("bc"));
  EXPECT_EQ(hash.Finish(), Sha256::Of(AsBytes("abc")));
}

TEST(HashTest, RejectsEverySingleBitFlip) {
  std::vector<uint8_t> bytes(64, 7);
  const uint32_t checksum = Checksum32(bytes, 1);
  EXPECT_NE(Checksum32(bytes, 2), checksum);
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_NE(Checksum32(bytes, 1), checksum) << bit;
    bytes[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
  }
}

TEST(HashTest, RoundTripsDigestsAsText) {
  const Sha256Digest digest = Sha256::Of(AsBytes("abc"));
  EXPECT_EQ(DigestFromHex(ToHex(digest)), digest);
}

TEST(HashTest, RejectsTextThatIsNoDigest) {
  const std::string text = ToHex(Sha256::Of({}));
  EXPECT_FALSE(DigestFromHex(text.substr(1)).has_value());
  EXPECT_FALSE(DigestFromHex("g" + text.substr(1)).has_value());
  EXPECT_FALSE(DigestFromHex("E" + text.substr(1)).has_value());
}

}  // namespace
}  // namespace sluice
