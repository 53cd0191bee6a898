#ifndef SLUICE_CODEC_CONTEXT_FLOATS_H_
#define SLUICE_CODEC_CONTEXT_FLOATS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "base/view.h"
#include "format/pack.h"

namespace sluice {

/// A dense matrix in panels of 16 rows, for products with many vectors.
class FloatPanels {
 public:
  FloatPanels() = default;
  explicit FloatPanels(MatrixView<const float> matrix);

  size_t rows() const { return rows_; }
  size_t cols() const { return cols_; }
  /// outputs[n, r] = sum over c of matrix[r, c] * inputs[n, c], added in the order of c.
  /// Data: rows `in_stride` and `out_stride` apart.
  void Multiply(const float* inputs, size_t in_stride, size_t count, float* outputs, size_t out_stride) const;

 private:
  size_t rows_ = 0, cols_ = 0;
  std::vector<float> panels_;
};

/// The float side of codec "context": what the encoder rounds, which classes it chooses, and what the decoder returns.
/// None of it decides how bytes are read. Source: docs/numerics.md. Threads: immutable, any number of users.
class ContextFloats {
 public:
  /// Errors: Corrupt for a tensor that is missing, of another shape, not finite, or an order that is no permutation.
  /// Data: `classes`, how many there are; 0: none.
  static Result<ContextFloats> FromPack(const Pack& pack, size_t classes);

  size_t width() const { return offset_.size(); }
  /// Multiply-adds a token of encoding and decoding together.
  uint64_t MultiplyAdds() const;

  /// Data: hidden [n, d] -> latents [n, d] in coding order, and `classes` [n] unless it is empty.
  /// Errors: InvalidArgument for a value that is not finite or beyond what is coded, naming token and channel.
  Status Quantize(MatrixView<const float> hidden, int point, std::span<int32_t> latents,
                  std::span<int32_t> classes) const;
  /// Each latent moved towards the centroid of its cell under its Gaussian, and transformed back.
  /// Data: latents, means and scales [n, d].
  Matrix<float> Restore(std::span<const int32_t> latents, std::span<const int32_t> mean_q4,
                        std::span<const uint8_t> scales, int point) const;

 private:
  void Classify(const std::vector<float>& centered, std::span<int32_t> classes) const;
  void MakeShifts();
  float Shift(int32_t distance_q4, uint8_t scale) const;

  std::vector<float> offset_, gain_, inverse_gain_, centroid_;
  std::vector<int32_t> order_;
  std::vector<FloatPanels> forward_, backward_;  // blocks along the diagonal
  FloatPanels class_axes_, class_means_;
  std::vector<float> class_squares_;
  std::vector<float> shifts_;       // of narrow Gaussians, by scale and distance in 1/16
  std::vector<float> wide_slope_;   // of wide ones, shift over distance in 1/16
  std::vector<int32_t> wide_tail_;  // distance from which a cell of a wide one is the tail
};

}  // namespace sluice

#endif  // SLUICE_CODEC_CONTEXT_FLOATS_H_
