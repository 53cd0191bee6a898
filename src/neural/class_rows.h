#ifndef SLUICE_NEURAL_CLASS_ROWS_H_
#define SLUICE_NEURAL_CLASS_ROWS_H_

#include <torch/torch.h>

namespace sluice {

/// What the class of a token's state tells of its latents. The encoder finds the class and sends it as one symbol more
/// beside z; on both ends the rows of it and of the class before are added to what synthesis says of mean and scale.
/// A vector quantizer whose codebook is the first half of its rows, with the rest of the codec as its second stage.
/// Source: docs/codec.md, "Switches".
class ClassRowsImpl : public torch::nn::Module {
 public:
  /// Needs: classes >= 2. Every class starts alike.
  ClassRowsImpl(int64_t classes, int64_t width);

  /// The classes whose mean is nearest. Data: u [B, T, d], `scale` [d] of the rows' unit or undefined for 1 ->
  /// int64 [B, T]. Cost: classes * d multiply-adds a token.
  torch::Tensor Classify(const torch::Tensor& u, const torch::Tensor& scale) const;
  /// What is added to synthesis. Data: int64 [B, T], each below the number of classes -> [B, T, 2 d].
  torch::Tensor Rows(const torch::Tensor& classes) const;
  /// Ideal bits of the symbols. Data: int64 [B, T] -> [B, T, 1].
  torch::Tensor Bits(const torch::Tensor& classes) const;
  /// The probability of each class [classes], double.
  torch::Tensor Probabilities() const;

  /// Where training starts. Data: means [classes, d] and the scale row [d], in the rows' unit; counts [classes].
  void Start(const torch::Tensor& means, const torch::Tensor& scale_row, const torch::Tensor& counts);

  int64_t classes() const { return logits_.size(0); }

 private:
  torch::Tensor logits_;    ///< [classes]
  torch::Tensor now_;       ///< [classes, 2 d]
  torch::Tensor previous_;  ///< [classes + 1, 2 d]; the last row stands before a chunk
};
TORCH_MODULE(ClassRows);

}  // namespace sluice

#endif  // SLUICE_NEURAL_CLASS_ROWS_H_
