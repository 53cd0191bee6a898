#ifndef SLUICE_CODEC_CONTEXT_FLOATS_H_
#define SLUICE_CODEC_CONTEXT_FLOATS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "base/view.h"
#include "format/pack.h"
#include "simd/float_kernels.h"

namespace sluice {

/// The float side of codec "context": what the encoder rounds, which classes it chooses, and what the decoder returns.
/// None of it decides how bytes are read. Source: docs/numerics.md. Threads: immutable, any number of users.
class ContextFloats {
 public:
  /// Errors: Corrupt for a tensor that is missing, of another shape, not finite, or an order that is no permutation.
  /// Data: `classes`, how many there are; 0: none. `kernels` are for tests.
  static Result<ContextFloats> FromPack(const Pack& pack, size_t classes,
                                        const FloatKernels& kernels = BestFloatKernels());

  size_t width() const { return offset_.size(); }
  /// Multiply-adds a token.
  uint64_t EncodeMultiplyAdds() const;
  uint64_t DecodeMultiplyAdds() const;

  /// What one end works in, a block of tokens long whatever the frame. Threads: one at a time.
  struct Work {
    std::vector<float> centered, turned, ordered, seen, scores, looking, products;
    std::vector<uint8_t> lookers;  // tokens that look into a group
    std::vector<size_t> looker_counts;
  };

  /// Data: hidden [n, d] -> latents [n, d] in coding order, and `classes` [n] unless it is empty.
  /// Errors: InvalidArgument for a value that is not finite or beyond what is coded, naming token and channel.
  Status Quantize(MatrixView<const float> hidden, int point, std::span<int32_t> latents, std::span<int32_t> classes,
                  Work& work) const;
  /// Each latent moved towards the centroid of its cell under its Gaussian, and transformed back.
  /// Data: latents, means and scales [n, d] -> hidden [n, d].
  void Restore(std::span<const int32_t> latents, std::span<const int32_t> mean_q4, std::span<const uint8_t> scales,
               int point, Work& work, MatrixView<float> hidden) const;

 private:
  Status ReadClasses(const Pack& pack, size_t classes);
  void FoldGains(std::vector<float>& axes, std::vector<float>& inverse, size_t block) const;
  void FoldOrder(std::vector<float>& axes, std::vector<float>& inverse, size_t block);
  Status QuantizeBlock(MatrixView<const float> hidden, size_t first, float scale, int32_t* latents, Work& work) const;
  void Classify(std::span<int32_t> classes, Work& work) const;
  void ChooseGroups(size_t tokens, Work& work) const;
  void FindInGroups(std::span<int32_t> classes, Work& work) const;
  void MoveToCentroids(const int32_t* latents, const int32_t* mean_q4, const uint8_t* scales, float step, Work& work,
                       float* turned) const;

  const FloatKernels* kernels_ = nullptr;
  std::vector<float> offset_, gain_, centroid_;
  std::vector<int32_t> order_;                   // of coding, or empty: that of the transform
  std::vector<FloatPanels> forward_, backward_;  // blocks along the diagonal, gains included
  // Classes in the coordinates of class_axes_; with groups, first the middles of groups, then classes by group.
  struct Points {
    FloatPanels places;
    std::vector<float> squares;
  };
  static Points MakePoints(MatrixView<const float> places);
  FloatPanels class_axes_;
  Points classes_;
  std::vector<Points> groups_;
  std::vector<int32_t> group_begin_;
};

}  // namespace sluice

#endif  // SLUICE_CODEC_CONTEXT_FLOATS_H_
