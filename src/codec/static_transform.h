#ifndef SLUICE_CODEC_STATIC_TRANSFORM_H_
#define SLUICE_CODEC_STATIC_TRANSFORM_H_

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "base/view.h"
#include "format/pack.h"

namespace sluice {

/// Largest magnitude of a quantized value.
inline constexpr int32_t kMaxStaticValue = int32_t{1} << 30;

/// y = round(A (x + b) / step), x' = M y step - b: a transform, a step for each channel, and nothing to learn but where
/// the values lie.
/// Exact: Invert adds in the order of the latents, in double, and rounds once.
class StaticTransform {
 public:
  /// Reads a pack's tensors: "offset" b [d], "step" [d], and for a dense transform "transform" A [d, d] (row i makes
  /// latent i) and "inverse" M [d, d] (row i is what latent i adds; without it A is orthonormal and M = A), all F32.
  /// Errors: Corrupt for a missing tensor, a value that is not finite or a step that is not positive.
  static Result<StaticTransform> FromPack(const Pack& pack);
  /// Without a transform when `transform` is empty; orthonormal.
  static StaticTransform Of(std::vector<float> offset, std::vector<float> step, std::vector<float> transform);

  size_t width() const { return offset_.size(); }
  /// Data: hidden [n, d] -> latents [n, d]. Errors: InvalidArgument for a value that is not finite, or farther from
  /// zero than kMaxStaticValue after it, naming row and channel.
  Result<std::vector<int32_t>> Quantize(MatrixView<const float> hidden) const;
  /// Data: latents [n, d] -> hidden [n, d]. Needs: latents.size() a multiple of width().
  Matrix<float> Invert(std::span<const int32_t> latents) const;

 private:
  void Analyze(std::span<const float> hidden, std::span<double> centered, std::span<double> latent) const;

  std::vector<float> offset_;
  std::vector<float> step_;
  std::vector<float> forward_;   // [d, d] or empty
  std::vector<float> backward_;  // [d, d], or empty when it is forward_
};

}  // namespace sluice

#endif  // SLUICE_CODEC_STATIC_TRANSFORM_H_
