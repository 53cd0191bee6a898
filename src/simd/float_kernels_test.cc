#include "simd/float_kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>

namespace sluice {
namespace {

Matrix<float> Draw(size_t rows, size_t cols, uint32_t seed) {
  std::mt19937 random(seed);
  Matrix<float> matrix(rows, cols);
  for (float& x : matrix.View().all()) x = static_cast<float>(static_cast<int32_t>(random() % 2001) - 1000) / 256;
  return matrix;
}

class FloatKernelsTest : public testing::TestWithParam<FloatKernels> {};

TEST_P(FloatKernelsTest, MatchesDoublePrecision) {
  constexpr float kUntouched = 12345;
  for (const size_t rows : {1, 8, 15, 16, 17, 64, 83}) {
    for (const size_t cols : {1, 2, 33}) {
      for (const size_t tokens : {1, 2, 3, 5, 6, 7, 13, 100}) {
        const Matrix<float> matrix = Draw(rows, cols, 1), inputs = Draw(tokens, cols + 3, 2);
        const size_t stride = rows + 2;
        std::vector<float> outputs(tokens * stride, kUntouched);
        const FloatPanels panels(matrix.View());
        GetParam().multiply({panels, inputs.data(), cols + 3, outputs.data(), stride, tokens});
        for (size_t t = 0; t < tokens; ++t) {
          for (size_t r = 0; r < rows; ++r) {
            double sum = 0;
            for (size_t c = 0; c < cols; ++c) sum += double{matrix.row(r)[c]} * double{inputs.row(t)[c]};
            ASSERT_NEAR(outputs[t * stride + r], sum, 1e-4) << rows << "x" << cols << " token " << t << " row " << r;
          }
          ASSERT_EQ(outputs[t * stride + rows], kUntouched) << "what is behind the last row is not ours";
        }
      }
    }
  }
}

TEST_P(FloatKernelsTest, MatchesOneTokenAtATime) {
  const Matrix<float> matrix = Draw(100, 77, 3), inputs = Draw(23, 77, 4);
  const FloatPanels panels(matrix.View());
  std::vector<float> together(23 * 100), alone(100);
  GetParam().multiply({panels, inputs.data(), 77, together.data(), 100, 23});
  for (size_t t = 0; t < 23; ++t) {
    GetParam().multiply({panels, inputs.row(t).data(), 77, alone.data(), 100, 1});
    ASSERT_TRUE(std::equal(alone.begin(), alone.end(), together.begin() + static_cast<ptrdiff_t>(t * 100))) << t;
  }
}

TEST_P(FloatKernelsTest, MatchesTheNearestInPlainCode) {
  std::mt19937 random(5);
  for (const size_t count : {1, 3, 8, 9, 31, 32, 100, 1024}) {
    for (int round = 0; round < 20; ++round) {
      // Few different values, so that ties are common.
      std::vector<float> products(count), squares(count);
      for (float& x : products) x = static_cast<float>(random() % 8);
      for (float& x : squares) x = static_cast<float>(random() % 3);
      ASSERT_EQ(GetParam().nearest(products.data(), squares.data(), count),
                PlainFloatKernels().nearest(products.data(), squares.data(), count))
          << count;
    }
    // A pack from a stranger may make scores that are no numbers; there is no nearest then, but an end.
    const std::vector<float> infinite(count, std::numeric_limits<float>::infinity());
    EXPECT_LT(GetParam().nearest(infinite.data(), infinite.data(), count), count);
  }
}

std::string Name(const testing::TestParamInfo<FloatKernels>& kernels) { return std::string(kernels.param.name); }

INSTANTIATE_TEST_SUITE_P(AllTargets, FloatKernelsTest,
                         testing::ValuesIn(AllFloatKernels().begin(), AllFloatKernels().end()), Name);

}  // namespace
}  // namespace sluice
