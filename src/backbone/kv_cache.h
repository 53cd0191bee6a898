#ifndef SLUICE_BACKBONE_KV_CACHE_H_
#define SLUICE_BACKBONE_KV_CACHE_H_

#include <torch/torch.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "backbone/config.h"

namespace sluice {

/// Keys and values of the positions that were already run, so that a new token costs one row instead of the sequence.
/// Every layer counts its own positions: a head (layers < k) and a tail (layers >= k) may share one cache or have their
/// own, and only layers that run take memory.
/// Data: per layer two tensors [batch, kv_heads, capacity, head_dim], allocated at a layer's first use.
/// Threads: one user at a time.
class KvCache {
 public:
  /// `capacity` 0 means the model's context. Errors: throws StatusException (InvalidArgument) when batch < 1 or
  /// capacity is beyond the context.
  KvCache(const BackboneConfig& config, int64_t batch, int64_t capacity = 0);

  int64_t batch() const { return batch_; }
  int64_t capacity() const { return capacity_; }
  /// Positions of the layer that has run furthest, embeddings included: the position of the next token.
  int64_t length() const;
  /// Positions that `layer` has run.
  int64_t length(int64_t layer) const { return layers_[static_cast<size_t>(layer)].length; }
  /// Positions that were embedded (what a head of zero layers has done).
  int64_t embedded() const { return embedded_; }
  /// Memory held, in bytes.
  int64_t bytes() const;

  /// Appends the rows of new positions to `layer` and returns all keys and values of it so far, without a copy.
  /// Data: key, value [batch, kv_heads, T, head_dim] -> two views [batch, kv_heads, length + T, head_dim].
  /// Errors: throws StatusException when the capacity is exceeded or a gradient would be needed.
  std::pair<torch::Tensor, torch::Tensor> Append(int64_t layer, const torch::Tensor& key, const torch::Tensor& value);
  /// Counts `count` more embedded positions.
  void AppendEmbedded(int64_t count) { embedded_ += count; }

 private:
  struct Layer {
    torch::Tensor key;
    torch::Tensor value;
    int64_t length = 0;
  };

  int64_t batch_;
  int64_t capacity_;
  int64_t kv_heads_;
  int64_t head_dim_;
  int64_t embedded_ = 0;
  std::vector<Layer> layers_;
};

}  // namespace sluice

#endif  // SLUICE_BACKBONE_KV_CACHE_H_
