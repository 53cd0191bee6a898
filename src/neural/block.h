#ifndef SLUICE_NEURAL_BLOCK_H_
#define SLUICE_NEURAL_BLOCK_H_

#include <torch/torch.h>

namespace sluice {

/// Which parts of a block exist: all of them in the paper, fewer in ablations.
struct BlockOptions {
  bool attention = true;  ///< self-attention over the chunk
  int64_t mlp = 4;        ///< hidden width of the MLP behind the projection over its output; 0: no MLP
  bool causal = true;     ///< a token sees those before it and itself; off: the whole chunk
  int64_t window = 0;     ///< most tokens that attention sees, itself included; 0: all
};

/// Keys and values of the tokens that a step-by-step pass has seen, in room made once for all of them.
class BlockCache {
 public:
  /// Room for `capacity` tokens.
  explicit BlockCache(int64_t capacity) : capacity_(capacity) {}

  /// Appends one token's. Data: both [B, 1, n]. Needs: fewer than `capacity` were appended.
  void Append(const torch::Tensor& key, const torch::Tensor& value);

  /// What was appended. Data: [B, t, n].
  torch::Tensor Keys() const { return keys_.slice(1, 0, length_); }
  torch::Tensor Values() const { return values_.slice(1, 0, length_); }

 private:
  int64_t capacity_;
  int64_t length_ = 0;
  torch::Tensor keys_;  // [B, capacity, n]
  torch::Tensor values_;
};

/// The transformer block B(n -> m) of the entropy model: no biases, LayerNorm with weight only, no positional encoding.
///
/// a = u + Attn_causal(LN1 u);  b = P a (P: n x m, only when m != n; no residual around it);
/// out = b + M2 gelu(M1 LN2 b), M1: m -> 4m, or as many times m as the options say.
/// Data: u [B, T, n] -> [B, T, m]. Needs: heads divides n. Source: docs/codec.md, "Blocks"; arXiv 2601.22002.
class BlockImpl : public torch::nn::Module {
 public:
  BlockImpl(int64_t in, int64_t out, int64_t heads, BlockOptions options = {});

  torch::Tensor forward(const torch::Tensor& u);

  /// The next token alone, equal to its row of forward up to float rounding. Data: u [B, 1, n] -> [B, 1, m].
  /// Needs: causal attention without a window.
  torch::Tensor Step(const torch::Tensor& u, BlockCache& cache);

  /// Shrinks what the block puts out, projection and MLP alike: a network that starts near zero starts as its prior.
  void ShrinkOutput(double factor);

 private:
  torch::Tensor Finish(const torch::Tensor& a);

  int64_t heads_;
  BlockOptions options_;
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
