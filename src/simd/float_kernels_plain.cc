// Float products in plain C++, in the layout of the vector kernels, and the packing into that layout.
#include <algorithm>
#include <array>

#include "simd/float_kernels.h"

namespace sluice {
namespace {

void MultiplyPlain(const FloatProduct& product) {
  const FloatPanels& matrix = product.matrix;
  for (size_t t = 0; t < product.tokens; ++t) {
    const float* const inputs = product.inputs + t * product.input_stride;
    const float* weights = matrix.data();
    for (size_t row = 0; row < matrix.rows(); row += FloatPanels::kRows) {
      std::array<float, FloatPanels::kRows> sums{};
      for (size_t c = 0; c < matrix.cols(); ++c, weights += FloatPanels::kRows) {
        for (size_t k = 0; k < FloatPanels::kRows; ++k) sums[k] += weights[k] * inputs[c];
      }
      std::copy_n(sums.data(), std::min(FloatPanels::kRows, matrix.rows() - row),
                  product.outputs + t * product.output_stride + row);
    }
  }
}

size_t NearestPlain(const float* products, const float* squares, size_t count) {
  size_t best = 0;
  for (size_t i = 1; i < count; ++i) {
    if (2 * products[i] - squares[i] > 2 * products[best] - squares[best]) best = i;
  }
  return best;
}

}  // namespace

FloatPanels::FloatPanels(MatrixView<const float> matrix) : rows_(matrix.rows()), cols_(matrix.cols()) {
  panels_.resize(padded_rows() * cols_);
  for (size_t r = 0; r < rows_; ++r) {
    for (size_t c = 0; c < cols_; ++c) panels_[(r / kRows * cols_ + c) * kRows + r % kRows] = matrix.row(r)[c];
  }
}

const FloatKernels& PlainFloatKernels() {
  static constexpr FloatKernels kPlain = {"plain", MultiplyPlain, NearestPlain};
  return kPlain;
}

}  // namespace sluice
