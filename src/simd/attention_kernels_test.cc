#include "simd/attention_kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>

#include "base/view.h"

namespace sluice {
namespace {

constexpr float kUntouched = 12345;

// Queries, keys and values side by side in a row, as a network's product leaves them.
struct Sequence {
  size_t tokens, width;
  Matrix<float> rows;

  Sequence(size_t count, size_t each, float largest) : tokens(count), width(each), rows(count, 3 * each + 1) {
    std::mt19937 random(1);
    std::uniform_real_distribution<float> any(-largest, largest);
    for (float& x : rows.View().all()) x = any(random);
  }
  CausalHead Head(size_t window, float* outputs) const {
    const size_t stride = rows.cols();
    return {.queries = {rows.data(), stride},
            .keys = {rows.data() + width, stride},
            .values = {rows.data() + 2 * width, stride},
            .outputs = outputs,
            .output_stride = width + 2,
            .tokens = tokens,
            .width = width,
            .window = window,
            .scale = 0.5f};
  }
  double Score(size_t t, size_t key) const {
    double sum = 0;
    for (size_t c = 0; c < width; ++c) sum += double{rows.row(t)[c]} * double{rows.row(key)[width + c]};
    return 0.5 * sum;
  }
  // Channel c of token t, from the definition.
  double Expected(size_t t, size_t c, size_t window) const {
    const size_t begin = t + 1 > window ? t + 1 - window : 0;
    double most = -1e300, total = 0, sum = 0;
    for (size_t key = begin; key <= t; ++key) most = std::max(most, Score(t, key));
    for (size_t key = begin; key <= t; ++key) {
      const double weight = std::exp(Score(t, key) - most);
      total += weight;
      sum += weight * double{rows.row(key)[2 * width + c]};
    }
    return sum / total;
  }
};

class AttentionKernelsTest : public testing::TestWithParam<AttentionKernels> {};

// Lengths and windows on both sides of a vector, widths with and without a rest.
TEST_P(AttentionKernelsTest, MatchesDoublePrecision) {
  std::vector<float> work;
  for (const size_t tokens : {1, 2, 15, 16, 17, 40, 100}) {
    for (const size_t width : {1, 2, 4, 8, 11, 16}) {
      const Sequence sequence(tokens, width, 2);
      for (const size_t window : {1, 5, 32, 100, 1000}) {
        const size_t stride = width + 2;
        std::vector<float> outputs(tokens * stride, kUntouched);
        GetParam().attend(sequence.Head(window, outputs.data()), work);
        for (size_t t = 0; t < tokens; ++t) {
          for (size_t c = 0; c < width; ++c) {
            ASSERT_NEAR(outputs[t * stride + c], sequence.Expected(t, c, window), 2e-5)
                << tokens << " tokens of " << width << ", window " << window << ", token " << t << ", channel " << c;
          }
          ASSERT_EQ(outputs[t * stride + width], kUntouched) << "what is behind the last channel is not ours";
        }
      }
    }
  }
}

// Scores of thousands: the largest takes all of the weight, and nothing overflows.
TEST_P(AttentionKernelsTest, IsFiniteForLargeScores) {
  const Sequence sequence(50, 4, 100);
  std::vector<float> outputs(50 * 6), work;
  GetParam().attend(sequence.Head(20, outputs.data()), work);
  for (size_t t = 0; t < 50; ++t) {
    for (size_t c = 0; c < 4; ++c) ASSERT_NEAR(outputs[t * 6 + c], sequence.Expected(t, c, 20), 0.2) << t;
  }
}

// What a token sees is before it: a decoder that has only the beginning gets the same.
TEST_P(AttentionKernelsTest, LaterTokensChangeNothing) {
  Sequence sequence(37, 8, 2);
  std::vector<float> all(37 * 10), beginning(37 * 10), work;
  GetParam().attend(sequence.Head(12, all.data()), work);
  sequence.tokens = 23;
  GetParam().attend(sequence.Head(12, beginning.data()), work);
  for (size_t t = 0; t < 23; ++t) {
    for (size_t c = 0; c < 8; ++c) ASSERT_EQ(all[t * 10 + c], beginning[t * 10 + c]) << t;
  }
}

std::string Name(const testing::TestParamInfo<AttentionKernels>& kernels) { return std::string(kernels.param.name); }

INSTANTIATE_TEST_SUITE_P(AllTargets, AttentionKernelsTest,
                         testing::ValuesIn(AllAttentionKernels().begin(), AllAttentionKernels().end()), Name);

}  // namespace
}  // namespace sluice
