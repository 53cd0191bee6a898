// The part of a decoder that does not depend on its family: which pieces are loaded, what a run may be asked for, and
// how pieces compose. Every piece is the same sequence of the same operations whether or not another process ran the
// layers before it; that alone makes a cut model equal the uncut one to the bit.
#include "backbone/backbone.h"

#include <fmt/format.h>

#include "backbone/backbone_weights.h"
#include "backbone/torch_setup.h"

namespace sluice {
namespace {

std::string Shape(const torch::Tensor& tensor) {
  std::string text;
  for (const int64_t size : tensor.sizes()) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "[" + text + "]";
}

void Refuse(std::string message) { throw StatusException(InvalidArgument(std::move(message))); }

}  // namespace

Backbone::Backbone(const BackboneConfig& config, LayerRange range, bool embeddings)
    : config_(config),
      range_(range),
      has_embeddings_(embeddings || range.begin == 0),
      has_output_(range.end == config.layers) {}

torch::Tensor Backbone::Head(const torch::Tensor& tokens, int64_t end, KvCache* cache) {
  return Layers(Embed(tokens, cache), 0, end, cache);
}

torch::Tensor Backbone::Layers(const torch::Tensor& hidden, int64_t begin, int64_t end, KvCache* cache) {
  CheckLayers(hidden, begin, end, cache);
  torch::Tensor x = hidden;
  for (int64_t i = begin; i < end; ++i) x = layers_[static_cast<size_t>(i - range_.begin)]->Forward(x, cache);
  return x;
}

torch::Tensor Backbone::Tail(const torch::Tensor& hidden, int64_t begin, KvCache* cache) {
  return Unembed(Layers(hidden, begin, config_.layers, cache));
}

torch::Tensor Backbone::Logits(const torch::Tensor& tokens, KvCache* cache) {
  return Tail(Embed(tokens, cache), 0, cache);
}

torch::Tensor Backbone::Embed(const torch::Tensor& tokens, KvCache* cache) {
  if (!has_embeddings_) Refuse("token embeddings are not loaded; load layers from 0, or ask for the embeddings");
  CheckTokens(tokens);
  const int64_t position = cache == nullptr ? 0 : cache->embedded();
  CheckPositions(position, tokens.size(1));
  torch::Tensor hidden = EmbedAt(tokens, position);
  if (cache != nullptr) cache->AppendEmbedded(tokens.size(1));
  return hidden;
}

torch::Tensor Backbone::Unembed(const torch::Tensor& hidden) {
  if (!has_output_) {
    Refuse(fmt::format("final norm and output matrix are not loaded; layers [{}, {}) of {} are", range_.begin,
                       range_.end, config_.layers));
  }
  CheckLayers(hidden, config_.layers, config_.layers, nullptr);
  return Projection{OutputMatrix(), {}, /*out_first=*/true}(FinalNorm(hidden));
}

void Backbone::CheckTokens(const torch::Tensor& tokens) const {
  if (tokens.dim() != 2 || tokens.numel() == 0 || tokens.scalar_type() != torch::kLong) {
    Refuse(fmt::format("tokens: expected int64 [B, T] with at least one token, got {} {}",
                       c10::toString(tokens.scalar_type()), Shape(tokens)));
  }
  const torch::Tensor outside = tokens.lt(0).logical_or(tokens.ge(config_.vocab));
  if (!outside.any().item<bool>()) return;
  const int64_t at = outside.flatten().to(torch::kByte).argmax().item<int64_t>();
  Refuse(fmt::format("token {} at row {}, position {} is outside the vocabulary of {}",
                     tokens.flatten()[at].item<int64_t>(), at / tokens.size(1), at % tokens.size(1), config_.vocab));
}

void Backbone::CheckLayers(const torch::Tensor& hidden, int64_t begin, int64_t end, const KvCache* cache) const {
  if (begin < range_.begin || end > range_.end || begin > end) {
    // A range without layers needs none of them: embeddings alone, or the output alone.
    if (begin != end || begin < 0 || end > config_.layers) {
      Refuse(fmt::format("layers [{}, {}) are asked for; layers [{}, {}) of {} are loaded", begin, end, range_.begin,
                         range_.end, config_.layers));
    }
  }
  if (hidden.dim() != 3 || hidden.size(2) != config_.width || hidden.numel() == 0) {
    Refuse(fmt::format("hidden state entering layer {}: expected [B, T, {}], got {}", begin, config_.width,
                       Shape(hidden)));
  }
  if (begin < end) CheckPositions(cache == nullptr ? 0 : cache->length(begin), hidden.size(1));
}

void Backbone::CheckPositions(int64_t position, int64_t count) const {
  if (position + count <= config_.context) return;
  Refuse(fmt::format("{} tokens from position {} on do not fit the context of {}", count, position, config_.context));
}

}  // namespace sluice
