#include "codec/token_coder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "prob/static_table.h"

namespace sluice {
namespace {

// A table like a rounded Gaussian's.
StaticTable TableOf(double sigma, int precision) {
  const int reach = std::max(1, static_cast<int>(4 * sigma));
  std::vector<uint64_t> weights;
  for (int v = -reach; v <= reach; ++v) {
    weights.push_back(static_cast<uint64_t>(1e9 * std::exp(-0.5 * v * v / sigma / sigma)));
  }
  return *StaticTable::FromWeights(-reach, weights, 1, precision);
}

struct Token {
  std::vector<StaticTable> tables;
  std::vector<int32_t> values;
  double ideal_bits = 0;
};

Token RandomToken(size_t size, double least, double most, int precision, std::mt19937& random, int outlier_every = 0) {
  Token token;
  for (size_t i = 0; i < size; ++i) {
    const double u = std::uniform_real_distribution<double>(0, 1)(random);
    const double sigma = least * std::pow(most / least, u);
    token.tables.push_back(TableOf(sigma, precision));
    double value = std::round(std::normal_distribution<double>(0, sigma)(random));
    if (outlier_every > 0 && random() % static_cast<unsigned>(outlier_every) == 0) value += (random() % 2 ? 1e6 : -1e6);
    token.values.push_back(static_cast<int32_t>(value));
    token.ideal_bits += token.tables.back().CostBits(token.values.back());
  }
  return token;
}

TokenPayload Encode(const Token& token, uint32_t rolling) {
  const int precision = token.tables.empty() ? 12 : token.tables[0].precision();
  TokenEncoder encoder = *TokenEncoder::Create(precision);
  for (size_t i = 0; i < token.values.size(); ++i) EncodeStatic(token.tables[i], token.values[i], encoder);
  return encoder.Finish(rolling);
}

struct Decoded {
  std::vector<int32_t> values;
  Result<size_t> bytes;
};

Decoded Decode(const Token& token, uint8_t bits, std::span<const uint8_t> bytes, uint32_t rolling) {
  const int precision = token.tables.empty() ? 12 : token.tables[0].precision();
  Result<TokenDecoder> decoder = TokenDecoder::Create(bits, bytes, precision);
  if (!decoder.ok()) return {{}, decoder.status()};
  Decoded decoded{{}, size_t{0}};
  for (const StaticTable& table : token.tables) {
    decoded.values.push_back(SaturateToInt32(DecodeStatic(table, *decoder)));
  }
  decoded.bytes = decoder->Finish(rolling);
  return decoded;
}

TEST(TokenCoderTest, RoundTripsTokensOfEverySizeAndEndsByItself) {
  std::mt19937 random(1);
  for (int precision : {10, 12, 14, 16}) {
    for (size_t size : {1, 2, 3, 5, 17, 64, 300, 768}) {
      for (double most : {0.12, 0.3, 1.0, 30.0}) {
        for (int outliers : {0, 2, 50}) {
          const Token token = RandomToken(size, 0.11, most, precision, random, outliers);
          const auto rolling = static_cast<uint32_t>(random());
          const TokenPayload payload = Encode(token, rolling);
          std::vector<uint8_t> longer = payload.bytes;
          longer.insert(longer.end(), {1, 2, 3, 4, 5});
          const Decoded decoded = Decode(token, payload.bits, longer, rolling);
          ASSERT_TRUE(decoded.bytes.ok()) << decoded.bytes.status().ToString();
          EXPECT_EQ(*decoded.bytes, payload.bytes.size());
          EXPECT_EQ(decoded.values, token.values) << precision << " " << size << " " << most;
        }
      }
    }
  }
}

// Two bytes over the ideal code length of the tables; the first byte and the checksum are among them.
TEST(TokenCoderTest, CostsAtMostTwoBytesWithItsTypeAndChecksum) {
  std::mt19937 random(2);
  for (const auto& [least, most] : {std::pair{0.11, 16.0}, {0.11, 1.0}, {0.11, 0.2}}) {
    double sum = 0, most_bits = 0;
    constexpr int kTokens = 200;
    for (int i = 0; i < kTokens; ++i) {
      const Token token = RandomToken(768, least, most, 12, random);
      const double over = 8 * (1 + static_cast<double>(Encode(token, random()).bytes.size())) - token.ideal_bits;
      sum += over;
      most_bits = std::max(most_bits, over);
    }
    // One bit tells token frames apart, and 6 to 14 bits check the values, or hardly more: 64 places lie in 65 or 66.
    EXPECT_LT(most_bits, 16) << "sigma from " << least << " to " << most;
    // 11 where sizes spread over whole bytes; the last set's are all near each other.
    EXPECT_LT(sum / kTokens, 11.6) << "sigma from " << least << " to " << most;
  }
}

// Odds of 1 in 64 at the worst and, rounding to bytes leaving anything between 6 and 14 bits, of 1 in 356 on average.
TEST(TokenCoderTest, RejectsAnotherChecksumWithTheOddsOfItsBits) {
  std::mt19937 random(3);
  int missed = 0;
  constexpr int kTokens = 200, kChecksums = 200;
  for (int i = 0; i < kTokens; ++i) {
    const Token token = RandomToken(64, 0.11, 1, 12, random);
    const TokenPayload payload = Encode(token, static_cast<uint32_t>(random()));
    int missed_here = 0;
    for (int k = 0; k < kChecksums; ++k) {
      const Result<size_t> bytes = Decode(token, payload.bits, payload.bytes, static_cast<uint32_t>(random())).bytes;
      EXPECT_EQ(bytes.status().code(), bytes.ok() ? StatusCode::kOk : StatusCode::kCorrupt);
      missed_here += bytes.ok();
    }
    EXPECT_LT(missed_here, 3 * kChecksums / 64 + 6);
    missed += missed_here;
  }
  EXPECT_LT(missed, kTokens * kChecksums / 250);
}

// A stream's next token shows a wrong one again: none is missed four times.
TEST(TokenCoderTest, RejectsAnErrorWithinAFewTokens) {
  std::mt19937 random(7);
  int latest = 0;
  for (int error = 0; error < 2000; ++error) {
    int tokens = 1;
    for (;; ++tokens) {
      const Token token = RandomToken(16, 0.11, 1, 12, random);
      const TokenPayload payload = Encode(token, static_cast<uint32_t>(random()));
      if (!Decode(token, payload.bits, payload.bytes, static_cast<uint32_t>(random())).bytes.ok()) break;
    }
    latest = std::max(latest, tokens);
  }
  EXPECT_LE(latest, 4);
}

// What stands behind a frame is not known yet when it arrives by itself.
TEST(TokenCoderTest, MatchesWhateverFollows) {
  std::mt19937 random(8);
  for (int i = 0; i < 500; ++i) {
    const Token token = RandomToken(random() % 40, 0.11, 8, 12, random, 10);
    const auto rolling = static_cast<uint32_t>(random());
    const TokenPayload payload = Encode(token, rolling);
    for (const uint8_t filler : {0, 255}) {
      for (const size_t more : {0, 1, 8}) {
        std::vector<uint8_t> longer = payload.bytes;
        longer.insert(longer.end(), more, filler);
        const Decoded decoded = Decode(token, payload.bits, longer, rolling);
        ASSERT_TRUE(decoded.bytes.ok()) << decoded.bytes.status().ToString();
        EXPECT_EQ(*decoded.bytes, payload.bytes.size());
        EXPECT_EQ(decoded.values, token.values);
      }
    }
  }
}

TEST(TokenCoderTest, RejectsTruncatedPayloads) {
  std::mt19937 random(4);
  for (size_t size : {1, 2, 8, 300}) {
    for (int i = 0; i < 20; ++i) {
      const Token token = RandomToken(size, 0.5, 8, 12, random, 20);
      const TokenPayload payload = Encode(token, 77);
      for (size_t cut = 0; cut < payload.bytes.size(); ++cut) {
        const Decoded decoded = Decode(token, payload.bits, std::span(payload.bytes).first(cut), 77);
        EXPECT_EQ(decoded.bytes.status().code(), StatusCode::kTruncated) << cut;
      }
    }
  }
}

// Bytes that are taken are those that an encoder gives for what was decoded.
TEST(TokenCoderTest, MatchesItsEncoderOnRandomBytes) {
  std::mt19937 random(6);
  Token token = RandomToken(6, 0.11, 4, 10, random);
  int taken = 0;
  for (int i = 0; i < 60000; ++i) {
    std::vector<uint8_t> bytes(random() % 8);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    const auto bits = static_cast<uint8_t>(random() & 127);
    const auto rolling = static_cast<uint32_t>(random());
    const Decoded decoded = Decode(token, bits, bytes, rolling);
    if (!decoded.bytes.ok()) continue;
    ++taken;
    token.values = decoded.values;
    const TokenPayload again = Encode(token, rolling);
    bytes.resize(*decoded.bytes);
    EXPECT_EQ(again.bits, bits);
    EXPECT_EQ(again.bytes, bytes);
  }
  EXPECT_GT(taken, 50);
}

TEST(TokenCoderTest, RejectsRandomBytesWithoutHarm) {
  std::mt19937 random(5);
  const Token token = RandomToken(100, 0.11, 4, 12, random);
  for (int i = 0; i < 5000; ++i) {
    std::vector<uint8_t> bytes(random() % 40);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    const Decoded decoded = Decode(token, static_cast<uint8_t>(random() & 127), bytes, random());
    EXPECT_TRUE(decoded.bytes.ok() || decoded.bytes.status().code() == StatusCode::kTruncated ||
                decoded.bytes.status().code() == StatusCode::kCorrupt);
  }
  EXPECT_EQ(TokenDecoder::Create(0, {}, 9).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(TokenEncoder::Create(17).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace sluice
