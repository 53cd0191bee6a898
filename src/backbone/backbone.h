#ifndef SLUICE_BACKBONE_BACKBONE_H_
#define SLUICE_BACKBONE_BACKBONE_H_

#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "backbone/config.h"
#include "backbone/kv_cache.h"
#include "base/status.h"

namespace sluice {

/// Layers [begin, end) of a model. `end` -1 means the last.
struct LayerRange {
  int64_t begin = 0;
  int64_t end = -1;
};

/// One transformer layer. Parameter names below it are the checkpoint's.
class BackboneLayer : public torch::nn::Module {
 public:
  /// Data: hidden [B, T, d] entering the layer -> [B, T, d] leaving it. `cache` may be null.
  virtual torch::Tensor Forward(const torch::Tensor& hidden, KvCache* cache) = 0;
};

/// A decoder-only transformer that can be run in pieces. `named_parameters()` gives the names Hugging Face writes
/// ("transformer.h.0.attn.c_attn.weight", "model.layers.0.mlp.up_proj.weight"). Only the layers of `range()` exist.
/// Exact: running layers [0, k) and then [k, L) is bit for bit the uncut run in the same process with the same threads.
/// Needs: weights and inputs on one device; float32 (or double after `to(torch::kDouble)`, for gradient checks).
/// Errors: every run throws StatusException (InvalidArgument) for a token id outside the vocabulary (naming row,
/// position and id), a sequence beyond the context, a wrong shape, or a layer that is not loaded. CatchTorch turns it
/// into Status. Threads: const in effect; several threads may run one backbone, each with its own cache, when no one
/// trains it.
class Backbone : public torch::nn::Module {
 public:
  const BackboneConfig& config() const { return config_; }
  /// Layers that are loaded.
  LayerRange range() const { return range_; }
  bool has_embeddings() const { return has_embeddings_; }
  bool has_output() const { return has_output_; }

  /// Runs embeddings and layers < end. With a cache, `tokens` are the new positions only.
  /// Data: tokens [B, T] int64 -> hidden [B, T, d] entering layer `end` (end 0: the embeddings; end L: before the final
  /// norm). Differentiable when grad mode is on.
  torch::Tensor Head(const torch::Tensor& tokens, int64_t end, KvCache* cache = nullptr);
  /// Data: hidden [B, T, d] entering layer `begin` -> hidden [B, T, d] entering layer `end`.
  torch::Tensor Layers(const torch::Tensor& hidden, int64_t begin, int64_t end, KvCache* cache = nullptr);
  /// Runs layers >= begin, the final norm and the output matrix. Differentiable with respect to `hidden`.
  /// Data: hidden [B, T, d] entering layer `begin` -> logits [B, T, V].
  torch::Tensor Tail(const torch::Tensor& hidden, int64_t begin, KvCache* cache = nullptr);
  /// The uncut model. Data: tokens [B, T] int64 -> logits [B, T, V].
  torch::Tensor Logits(const torch::Tensor& tokens, KvCache* cache = nullptr);

  /// Token embeddings plus, in GPT-2, positions. Data: tokens [B, T] int64 -> hidden [B, T, d] entering layer 0.
  torch::Tensor Embed(const torch::Tensor& tokens, KvCache* cache = nullptr);
  /// Final norm and output matrix; for generation give it the last position only.
  /// Data: hidden [B, T, d] leaving the last layer -> logits [B, T, V].
  torch::Tensor Unembed(const torch::Tensor& hidden);
  /// The token embedding table [V, d] when it is loaded (embeddings, or a tied output matrix); else undefined.
  virtual torch::Tensor TokenEmbeddings() const = 0;

 protected:
  /// `range` complete (end not -1) and inside the model.
  Backbone(const BackboneConfig& config, LayerRange range, bool embeddings);

  virtual torch::Tensor EmbedAt(const torch::Tensor& tokens, int64_t position) = 0;
  virtual torch::Tensor FinalNorm(const torch::Tensor& hidden) = 0;
  virtual torch::Tensor OutputMatrix() const = 0;

  BackboneConfig config_;
  LayerRange range_;
  bool has_embeddings_;
  bool has_output_;
  std::vector<std::shared_ptr<BackboneLayer>> layers_;  ///< layers_[i] is layer range_.begin + i

 private:
  void CheckTokens(const torch::Tensor& tokens) const;
  void CheckLayers(const torch::Tensor& hidden, int64_t begin, int64_t end, const KvCache* cache) const;
  void CheckPositions(int64_t position, int64_t count) const;
};

struct LoadBackboneOptions {
  /// Load the token embeddings (and positions) even where the range does not start at 0.
  bool embeddings = false;
};

/// Loads a Hugging Face folder: config.json and model.safetensors or its sharded index, float32, float16 or bfloat16
/// (widened exactly to float32). Only the tensors the range needs are read: embeddings for begin 0, final norm and
/// output matrix for end L (a tied output matrix brings the token embeddings along). Names may lack the family's prefix
/// ("transformer.", "model."); mask buffers and the like are ignored. Parameters do not require gradients; call
/// `requires_grad` through `for (auto& p : model->parameters()) p.set_requires_grad(true)` to train.
/// Errors: as BackboneConfig::Load; InvalidArgument for a bad range; Io, Truncated, Corrupt from the files; Corrupt for
/// a missing tensor or a wrong shape or type, with tensor, expected and got.
Result<std::shared_ptr<Backbone>> LoadBackbone(const std::filesystem::path& folder, LayerRange range = {},
                                               const LoadBackboneOptions& options = {});

/// A whole model with fresh weights that require gradients: normal(0, initializer_range), residual projections scaled
/// by 1/sqrt(2 L), biases 0, norms 1. The same seed gives the same weights on one build. Errors: as
/// BackboneConfig::Check.
Result<std::shared_ptr<Backbone>> CreateBackbone(const BackboneConfig& config, uint64_t seed);

enum class StoredType { kFloat32, kFloat16 };

/// Writes config.json, model.safetensors and sluice.manifest.json; LoadBackbone and Hugging Face read them.
/// Errors: InvalidArgument when layers are missing or a weight does not fit float16; Io.
Status SaveBackbone(const Backbone& backbone, const std::filesystem::path& folder,
                    StoredType type = StoredType::kFloat32);

}  // namespace sluice

#endif  // SLUICE_BACKBONE_BACKBONE_H_
