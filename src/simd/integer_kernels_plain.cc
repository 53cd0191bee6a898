// Integer products in plain C++, in the layout of the vector kernels, and the packing into that layout.
#include <algorithm>

#include "simd/integer_kernels.h"

namespace sluice {
namespace {

void MultiplyPlain(const IntegerProduct& product) {
  const size_t pairs = product.weights.padded_columns() / kColumnStep;
  for (size_t t = 0; t < product.tokens; ++t) {
    const int8_t* weight = product.weights.data();
    for (size_t row = 0; row < product.weights.padded_rows(); row += kPanelRows) {
      int32_t* const sums = product.sums + t * product.sum_stride + row;
      const int16_t* input = product.inputs + t * product.input_stride;
      if (!product.add) std::fill_n(sums, kPanelRows, 0);
      for (size_t pair = 0; pair < pairs; ++pair, input += 2, weight += 2 * kPanelRows) {
        for (size_t i = 0; i < kPanelRows; ++i) sums[i] += weight[2 * i] * input[0] + weight[2 * i + 1] * input[1];
      }
    }
  }
}

}  // namespace

PackedWeights::PackedWeights(MatrixView<const int8_t> weights) : rows_(weights.rows()), columns_(weights.cols()) {
  data_.assign(padded_rows() * padded_columns(), 0);
  for (size_t r = 0; r < rows_; ++r) {
    int8_t* const panel = data_.data() + r / kPanelRows * kPanelRows * padded_columns() + r % kPanelRows * kColumnStep;
    for (size_t c = 0; c < columns_; ++c) {
      panel[c / kColumnStep * kColumnStep * kPanelRows + c % kColumnStep] = weights.row(r)[c];
    }
  }
}

const IntegerKernels& PlainIntegerKernels() {
  static constexpr IntegerKernels kPlain = {"plain", MultiplyPlain};
  return kPlain;
}

}  // namespace sluice
