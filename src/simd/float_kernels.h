#ifndef SLUICE_SIMD_FLOAT_KERNELS_H_
#define SLUICE_SIMD_FLOAT_KERNELS_H_

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "base/view.h"

namespace sluice {

/// A dense matrix in the order in which the kernels read it: panels of 16 rows, in a panel column after column, padded
/// with rows of zeros.
class FloatPanels {
 public:
  static constexpr size_t kRows = 16;

  FloatPanels() = default;
  explicit FloatPanels(MatrixView<const float> matrix);

  size_t rows() const { return rows_; }
  size_t cols() const { return cols_; }
  size_t padded_rows() const { return (rows_ + kRows - 1) / kRows * kRows; }
  const float* data() const { return panels_.data(); }

 private:
  size_t rows_ = 0, cols_ = 0;
  std::vector<float> panels_;
};

/// outputs[t, r] = sum over c of matrix[r, c] * inputs[t, c], added in the order of c: one token gives the same as
/// many.
struct FloatProduct {
  const FloatPanels& matrix;
  const float* inputs;  ///< [tokens, input_stride]
  size_t input_stride;
  float* outputs;  ///< [tokens, output_stride], of which the first `rows` are written
  size_t output_stride;
  size_t tokens;
};

/// Float arithmetic for one instruction set. Instruction sets that fuse multiplying with adding differ from those that
/// do not in the last digits: nothing that both ends must agree on may depend on it. Threads: any number at once.
struct FloatKernels {
  std::string_view name;
  /// Cost: at many tokens bound by multiply-adds, at one token by reading the matrix once.
  void (*multiply)(const FloatProduct& product);
  /// The first i with the largest 2 * products[i] - squares[i]: the nearest of points whose squared lengths these are.
  /// Some i below `count` where scores are not numbers.
  /// Needs: count >= 1, nothing that is not a number.
  size_t (*nearest)(const float* products, const float* squares, size_t count);
};

/// Plain C++: what the others are measured against.
const FloatKernels& PlainFloatKernels();
/// The best for this CPU.
const FloatKernels& BestFloatKernels();
/// One for every instruction set that was compiled and that this CPU has, plain C++ first: for tests and benchmarks.
std::span<const FloatKernels> AllFloatKernels();

}  // namespace sluice

#endif  // SLUICE_SIMD_FLOAT_KERNELS_H_
