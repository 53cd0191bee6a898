#ifndef SLUICE_SIMD_INTEGER_KERNELS_H_
#define SLUICE_SIMD_INTEGER_KERNELS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/view.h"

namespace sluice {

/// Rows of weights that a kernel works on at once.
inline constexpr size_t kPanelRows = 16;
/// Columns are padded to a multiple of this; inputs must have as many elements, zeros or anything finite behind the
/// last column, since the weights there are zero.
inline constexpr size_t kColumnStep = 2;

/// A matrix of 8-bit weights in the order in which the kernels read it: panels of 16 rows, in a panel pairs of columns,
/// in a pair row after row. Padded with zeros, so that memory is read once and in order.
class PackedWeights {
 public:
  PackedWeights() = default;
  /// Data: weights [rows, columns].
  explicit PackedWeights(MatrixView<const int8_t> weights);

  size_t rows() const { return rows_; }
  size_t columns() const { return columns_; }
  size_t padded_rows() const { return (rows_ + kPanelRows - 1) / kPanelRows * kPanelRows; }
  size_t padded_columns() const { return (columns_ + kColumnStep - 1) / kColumnStep * kColumnStep; }
  const int8_t* data() const { return data_.data(); }

 private:
  size_t rows_ = 0, columns_ = 0;
  std::vector<int8_t> data_;
};

/// sums[t, r] = sum over c of weights[r, c] * inputs[t, c], added to what is there if `add`.
/// Range: no sum, and no partial sum, may leave 32 bits: the owner of the weights proves it from them once.
struct IntegerProduct {
  const PackedWeights& weights;
  const int16_t* inputs;  ///< [tokens, input_stride], input_stride at least weights.padded_columns()
  size_t input_stride;
  int32_t* sums;  ///< [tokens, sum_stride], sum_stride at least weights.padded_rows()
  size_t sum_stride;
  size_t tokens;
  bool add;
};

/// Integer arithmetic for one instruction set. All give the same integers. Threads: any number at once.
struct IntegerKernels {
  std::string_view name;
  /// Cost: at many tokens bound by multiply-adds, at one token by reading the weights once.
  void (*multiply)(const IntegerProduct& product);
};

/// Plain C++: what the others are measured against.
const IntegerKernels& PlainIntegerKernels();
/// The best for this CPU.
const IntegerKernels& BestIntegerKernels();
/// One for every instruction set that was compiled and that this CPU has, plain C++ first: for tests and benchmarks.
std::span<const IntegerKernels> AllIntegerKernels();

}  // namespace sluice

#endif  // SLUICE_SIMD_INTEGER_KERNELS_H_
