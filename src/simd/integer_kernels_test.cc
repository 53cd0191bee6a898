#include "simd/integer_kernels.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <string>
#include <vector>

namespace sluice {
namespace {

/// A product of random weights and inputs with sums that begin at random, whose true sums come from 64-bit arithmetic.
struct Product {
  size_t rows, columns, tokens, input_stride, sum_stride;
  std::vector<int8_t> weights;
  std::vector<int16_t> inputs;
  std::vector<int32_t> begin;
  PackedWeights packed;

  Product(size_t r, size_t c, size_t t, uint32_t seed, bool extreme = false) : rows(r), columns(c), tokens(t) {
    std::mt19937 random(seed);
    for (size_t i = 0; i < rows * columns; ++i) {
      weights.push_back(static_cast<int8_t>(extreme ? (random() % 2 ? -128 : 127) : random()));
    }
    packed = PackedWeights(MatrixView<const int8_t>(weights.data(), rows, columns));
    input_stride = packed.padded_columns() + 3;
    sum_stride = packed.padded_rows() + 5;
    for (size_t i = 0; i < tokens * input_stride; ++i) {
      inputs.push_back(static_cast<int16_t>(extreme ? (random() % 2 ? -32768 : 32767) : random()));
    }
    for (size_t i = 0; i < tokens * sum_stride; ++i) begin.push_back(static_cast<int32_t>(random() % 2001) - 1000);
  }
  int64_t True(size_t t, size_t row, bool add = true) const {
    int64_t sum = add || row >= packed.padded_rows() ? begin[t * sum_stride + row] : 0;
    for (size_t c = 0; row < rows && c < columns; ++c) {
      sum += int64_t{weights[row * columns + c]} * inputs[t * input_stride + c];
    }
    return sum;
  }
  std::vector<int32_t> Run(const IntegerKernels& kernels, bool add = true) const {
    std::vector<int32_t> sums = begin;
    kernels.multiply({packed, inputs.data(), input_stride, sums.data(), sum_stride, tokens, add});
    return sums;
  }
};

class IntegerKernelsTest : public testing::TestWithParam<IntegerKernels> {};

TEST_P(IntegerKernelsTest, MatchesWideArithmetic) {
  uint32_t seed = 0;
  for (const size_t rows : {1, 15, 16, 17, 48}) {
    for (const size_t columns : {1, 2, 7, 64, 191}) {
      for (const size_t tokens : {1, 2, 3, 5, 6, 7, 13, 100}) {
        const Product product(rows, columns, tokens, ++seed);
        const std::vector<int32_t> sums = product.Run(GetParam()), alone = product.Run(GetParam(), false);
        for (size_t t = 0; t < tokens; ++t) {
          for (size_t row = 0; row < product.sum_stride; ++row) {
            ASSERT_EQ(product.True(t, row, false), alone[t * product.sum_stride + row]) << rows << "x" << columns;
            ASSERT_EQ(product.True(t, row), sums[t * product.sum_stride + row])
                << rows << "x" << columns << " token " << t << " of " << tokens << " row " << row;
          }
        }
      }
    }
  }
}

TEST_P(IntegerKernelsTest, MatchesWideArithmeticAtTheEndsOfTheRange) {
  const Product product(32, 510, 9, 77, /*extreme=*/true);
  const std::vector<int32_t> sums = product.Run(GetParam());
  for (size_t t = 0; t < product.tokens; ++t) {
    for (size_t row = 0; row < product.rows; ++row) {
      ASSERT_EQ(product.True(t, row), sums[t * product.sum_stride + row]);
    }
  }
}

std::string Name(const testing::TestParamInfo<IntegerKernels>& info) { return std::string(info.param.name); }

INSTANTIATE_TEST_SUITE_P(AllTargets, IntegerKernelsTest,
                         testing::ValuesIn(AllIntegerKernels().begin(), AllIntegerKernels().end()), Name);

}  // namespace
}  // namespace sluice
