#ifndef SLUICE_PLAIN_PLAIN_TEST_UTIL_H_
#define SLUICE_PLAIN_PLAIN_TEST_UTIL_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <span>
#include <vector>

#include "codec/hidden_codec.h"

namespace sluice {

/// Standard normal values.
inline Matrix<float> Random(size_t tokens, size_t width, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Matrix<float> hidden(tokens, width);
  for (float& value : hidden.View().all()) value = normal(random);
  return hidden;
}

/// A chunk of one token.
inline Matrix<float> Row(std::vector<float> values) {
  Matrix<float> hidden(1, values.size());
  std::copy(values.begin(), values.end(), hidden.data());
  return hidden;
}

/// All values of a payload that must decode.
inline std::vector<float> Decoded(const HiddenCodec& codec, std::span<const uint8_t> payload, size_t tokens,
                                  size_t width) {
  const auto hidden = codec.Decode(payload, tokens, width);
  EXPECT_TRUE(hidden.ok()) << hidden.status().ToString();
  if (!hidden.ok()) return {};
  return {hidden->data(), hidden->data() + tokens * width};
}

/// What decoding a payload ends with.
inline StatusCode CodeOf(const HiddenCodec& codec, std::span<const uint8_t> payload, size_t tokens, size_t width) {
  return codec.Decode(payload, tokens, width).status().code();
}

}  // namespace sluice

#endif  // SLUICE_PLAIN_PLAIN_TEST_UTIL_H_
