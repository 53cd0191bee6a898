#ifndef SLUICE_NEURAL_BLOCK_H_
#define SLUICE_NEURAL_BLOCK_H_

#include <torch/torch.h>

namespace sluice {

/// Which parts of a block exist: all of them in the paper, fewer in ablations.
struct BlockOptions {
  bool attention = true;  ///< causal self-attention over the chunk
  bool mlp = true;        ///< the MLP behind the projection
};

/// The transformer block B(n -> m) of the entropy model: no biases, LayerNorm with weight only, no positional encoding.
///
/// a = u + Attn_causal(LN1 u);  b = P a (P: n x m, only when m != n; no residual around it);
/// out = b + M2 gelu(M1 LN2 b), M1: m -> 4m.
/// Data: u [B, T, n] -> [B, T, m]. Needs: heads divides n. Source: docs/codec.md, "Blocks"; arXiv 2601.22002.
class BlockImpl : public torch::nn::Module {
 public:
  BlockImpl(int64_t in, int64_t out, int64_t heads, BlockOptions options = {});

  torch::Tensor forward(const torch::Tensor& u);

  /// Shrinks what the block puts out, projection and MLP alike: a network that starts near zero starts as its prior.
  void ShrinkOutput(double factor);

 private:
  torch::Tensor Attention(const torch::Tensor& u);

  int64_t heads_;
  torch::Tensor ln1_;  // undefined without attention
  torch::nn::Linear qkv_{nullptr};
  torch::nn::Linear attention_out_{nullptr};
  torch::nn::Linear project_{nullptr};
  torch::Tensor ln2_;  // undefined without an MLP
  torch::nn::Linear expand_{nullptr};
  torch::nn::Linear contract_{nullptr};
};
TORCH_MODULE(Block);

}  // namespace sluice

#endif  // SLUICE_NEURAL_BLOCK_H_
