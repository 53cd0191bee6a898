// One flat allocation a layer, filled from the front. Views of the filled part are handed to attention as they are, so
// a step of generation copies the new rows and nothing else. The capacity is fixed at construction: growing would copy
// the whole past, and the sum over layers is what decides whether a session fits in memory, so it is known from the
// start.
#include "backbone/kv_cache.h"

#include <fmt/format.h>

#include <algorithm>

#include "backbone/torch_setup.h"

namespace sluice {

KvCache::KvCache(const BackboneConfig& config, int64_t batch, int64_t capacity)
    : batch_(batch),
      capacity_(capacity == 0 ? config.context : capacity),
      kv_heads_(config.kv_heads),
      head_dim_(config.head_dim),
      layers_(static_cast<size_t>(config.layers)) {
  if (batch < 1) ThrowIfError(InvalidArgument(fmt::format("key-value cache: batch is {}, expected at least 1", batch)));
  if (capacity_ < 1 || capacity_ > config.context) {
    ThrowIfError(InvalidArgument(fmt::format("key-value cache: capacity is {}, expected from 1 to the context of {}",
                                             capacity, config.context)));
  }
}

int64_t KvCache::length() const {
  int64_t furthest = embedded_;
  for (const Layer& layer : layers_) furthest = std::max(furthest, layer.length);
  return furthest;
}

int64_t KvCache::bytes() const {
  int64_t sum = 0;
  for (const Layer& layer : layers_) {
    if (layer.key.defined()) sum += 2 * layer.key.numel() * layer.key.element_size();
  }
  return sum;
}

std::pair<torch::Tensor, torch::Tensor> KvCache::Append(int64_t layer_index, const torch::Tensor& key,
                                                        const torch::Tensor& value) {
  Layer& layer = layers_.at(static_cast<size_t>(layer_index));
  const int64_t count = key.size(2);
  if (key.requires_grad() || value.requires_grad()) {
    ThrowIfError(InvalidArgument("key-value cache: used while gradients are recorded; use a NoGradGuard"));
  }
  if (key.size(0) != batch_) {
    ThrowIfError(InvalidArgument(
        fmt::format("key-value cache: layer {}: made for batch {}, got batch {}", layer_index, batch_, key.size(0))));
  }
  if (layer.length + count > capacity_) {
    ThrowIfError(InvalidArgument(fmt::format("key-value cache: layer {}: {} positions held, {} more, capacity {}",
                                             layer_index, layer.length, count, capacity_)));
  }
  if (!layer.key.defined()) {
    layer.key = torch::empty({batch_, kv_heads_, capacity_, head_dim_}, key.options());
    layer.value = torch::empty_like(layer.key);
  }
  layer.key.narrow(2, layer.length, count).copy_(key);
  layer.value.narrow(2, layer.length, count).copy_(value);
  layer.length += count;
  return {layer.key.narrow(2, 0, layer.length), layer.value.narrow(2, 0, layer.length)};
}

}  // namespace sluice
