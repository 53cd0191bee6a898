#ifndef SLUICE_BACKBONE_ATTENTION_H_
#define SLUICE_BACKBONE_ATTENTION_H_

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

#include "backbone/config.h"
#include "backbone/kv_cache.h"

namespace sluice {

/// The additive causal mask (0 or -inf), kept from call to call and cut to size as a view.
/// Threads: any.
class CausalMask {
 public:
  /// `repeat` rows in a row share one position (the query heads of a group).
  explicit CausalMask(int64_t repeat) : repeat_(repeat) {}

  /// Data: -> [rows * repeat, past + rows]; row i sees columns <= past + i / repeat.
  torch::Tensor Get(int64_t rows, int64_t past, const torch::TensorOptions& options);

 private:
  std::mutex mutex_;
  int64_t repeat_;
  int64_t rows_ = 0;
  int64_t past_ = 0;
  torch::Tensor mask_;  ///< [rows_ * repeat_, past_ + rows_]
};

/// Cosines and sines of rotary positions, made on demand in double and rounded once.
/// Threads: any.
class RotaryTable {
 public:
  explicit RotaryTable(const BackboneConfig& config);

  /// Rotates the halves of every head. Data: x [B, T, heads, head_dim], first row at `position` -> same shape.
  torch::Tensor Rotate(const torch::Tensor& x, int64_t position);

 private:
  std::pair<torch::Tensor, torch::Tensor> Angles(int64_t end, const torch::TensorOptions& options);

  std::mutex mutex_;
  torch::Tensor frequencies_;  ///< [head_dim / 2] double, radians a position
  torch::Tensor cosines_;      ///< [positions, 1, head_dim / 2]
  torch::Tensor sines_;
};

/// Multi-head causal attention after the projections: scores, softmax, weighted sum, with cache and grouped heads.
/// Long inputs are run in blocks of queries, which halves the work and bounds the memory of the scores.
/// Data: query [B, T, heads, head_dim], key, value [B, T, kv_heads, head_dim] -> [B, T, heads * head_dim].
torch::Tensor CausalAttention(const torch::Tensor& query, const torch::Tensor& key, const torch::Tensor& value,
                              int64_t layer, CausalMask& mask, KvCache* cache);

}  // namespace sluice

#endif  // SLUICE_BACKBONE_ATTENTION_H_
