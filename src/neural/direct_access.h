#ifndef SLUICE_NEURAL_DIRECT_ACCESS_H_
#define SLUICE_NEURAL_DIRECT_ACCESS_H_

#include <torch/torch.h>

#include <vector>

#include "neural/block.h"
#include "neural/codec_config.h"

namespace sluice {

/// The direct-access synthesis, one of the paper's baselines: the parameters of y_t see z_<=t and y_<t themselves.
///
/// side = four B(h -> h) of z; m_t = attention with queries from side_t over keys and values of concat(y_s, side_s),
/// s < t (row 0: a learned map of side_0); an MLP to width d + h; then B(d+h -> d+h) twice and B(d+h -> 2d).
/// Decoding is sequential in t: Step keeps keys and values, so that its cost for a chunk is linear in blocks and
/// quadratic only in the attention's look-back. Step and forward agree up to float rounding; a coder uses Step on both
/// ends. Source: docs/codec.md, "Direct access"; arXiv 2601.22002.
class DirectAccessImpl : public torch::nn::Module {
 public:
  explicit DirectAccessImpl(const CodecConfig& config);

  /// Data: z [B, T, h], y [B, T, d] -> [B, T, 2d], means and raw sigmas. Row t does not depend on y_>=t.
  torch::Tensor forward(const torch::Tensor& z, const torch::Tensor& y);

  /// What Step remembers of a chunk.
  struct State {
    torch::Tensor side;  ///< [B, T, h]
    BlockCache mixer;
    std::vector<BlockCache> blocks;
    int64_t next = 0;  ///< token that Step gives the parameters of
  };
  /// Begins a chunk. Data: z [B, T, h].
  State Begin(const torch::Tensor& z);
  /// Parameters of the next token. Data: `previous` [B, 1, d], the y of the token before; not read for the first.
  /// Gives [B, 1, 2d].
  torch::Tensor Step(State& state, const torch::Tensor& previous);

  /// Shrinks what comes out, as Block::ShrinkOutput.
  void ShrinkOutput(double factor) { blocks_.back()->ShrinkOutput(factor); }

 private:
  torch::Tensor RunSide(const torch::Tensor& z);
  torch::Tensor Widen(const torch::Tensor& mixed);

  int64_t heads_;
  std::vector<Block> side_;
  torch::Tensor query_norm_;
  torch::Tensor key_norm_;
  torch::nn::Linear query_{nullptr};
  torch::nn::Linear key_value_{nullptr};
  torch::nn::Linear first_{nullptr};
  torch::nn::Linear widen_{nullptr};
  torch::Tensor mlp_norm_;
  torch::nn::Linear expand_{nullptr};
  torch::nn::Linear contract_{nullptr};
  std::vector<Block> blocks_;
};
TORCH_MODULE(DirectAccess);

}  // namespace sluice

#endif  // SLUICE_NEURAL_DIRECT_ACCESS_H_
