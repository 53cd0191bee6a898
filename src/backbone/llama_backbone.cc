// Llama as Touvron et al. describe it and Hugging Face stores it: rotary angles on the two halves of a head (q and k
// rows are stored permuted for that), keys and values shared by groups of heads, MLP down(act(gate(x)) * up(x)).
// Source: arXiv 2302.13971, 2307.09288, 2407.21783 (rope scaling).
#include "backbone/llama_backbone.h"

namespace sluice {
namespace {

torch::Tensor RmsNorm(const torch::Tensor& x, const torch::Tensor& weight, double eps) {
  return x * at::rsqrt(x.square().mean(-1, /*keepdim=*/true) + eps) * weight;
}

class LlamaLayer : public BackboneLayer {
 public:
  LlamaLayer(const BackboneConfig& config, int64_t index, CausalMask& mask, RotaryTable& rotary)
      : config_(config), index_(index), mask_(mask), rotary_(rotary) {}

  void Register(WeightScope scope) {
    const int64_t d = config_.width, queries = config_.heads * config_.head_dim;
    const int64_t keys = config_.kv_heads * config_.head_dim;
    norm1_ = scope.Child("input_layernorm").Weight("weight", {d}, WeightInit::kOnes);
    WeightScope attention = scope.Child("self_attn");
    const bool bias = config_.attention_bias;
    query_ = LinearProjection(attention.Child("q_proj"), d, queries, bias, WeightInit::kNormal);
    key_ = LinearProjection(attention.Child("k_proj"), d, keys, bias, WeightInit::kNormal);
    value_ = LinearProjection(attention.Child("v_proj"), d, keys, bias, WeightInit::kNormal);
    mixed_ = LinearProjection(attention.Child("o_proj"), queries, d, bias, WeightInit::kResidual);
    norm2_ = scope.Child("post_attention_layernorm").Weight("weight", {d}, WeightInit::kOnes);
    WeightScope mlp = scope.Child("mlp");
    gate_ = LinearProjection(mlp.Child("gate_proj"), d, config_.mlp_width, config_.mlp_bias, WeightInit::kNormal);
    up_ = LinearProjection(mlp.Child("up_proj"), d, config_.mlp_width, config_.mlp_bias, WeightInit::kNormal);
    down_ = LinearProjection(mlp.Child("down_proj"), config_.mlp_width, d, config_.mlp_bias, WeightInit::kResidual);
  }

  torch::Tensor Forward(const torch::Tensor& hidden, KvCache* cache) override {
    const int64_t position = cache == nullptr ? 0 : cache->length(index_);
    const torch::Tensor x = RmsNorm(hidden, norm1_, config_.norm_eps);
    const torch::Tensor query = rotary_.Rotate(Heads(query_(x), config_.heads), position);
    const torch::Tensor key = rotary_.Rotate(Heads(key_(x), config_.kv_heads), position);
    const torch::Tensor value = Heads(value_(x), config_.kv_heads);
    const torch::Tensor middle = hidden + mixed_(CausalAttention(query, key, value, index_, mask_, cache));
    const torch::Tensor y = RmsNorm(middle, norm2_, config_.norm_eps);
    return middle + down_(Activate(gate_(y), config_.activation) * up_(y));
  }

 private:
  torch::Tensor Heads(const torch::Tensor& x, int64_t heads) const {
    return x.view({x.size(0), x.size(1), heads, config_.head_dim});
  }

  const BackboneConfig config_;
  const int64_t index_;
  CausalMask& mask_;
  RotaryTable& rotary_;
  torch::Tensor norm1_, norm2_;
  Projection query_, key_, value_, mixed_, gate_, up_, down_;
};

}  // namespace

LlamaBackbone::LlamaBackbone(const BackboneConfig& config, LayerRange range, bool embeddings, WeightSource& source)
    : Backbone(config, range, embeddings), mask_(config.heads / config.kv_heads), rotary_(config) {
  WeightScope root(*this, source);
  WeightScope body = root.Child("model");
  if (has_embeddings() || (has_output() && config.tied)) {
    tokens_ = body.Child("embed_tokens").Weight("weight", {config.vocab, config.width}, WeightInit::kNormal);
  }
  WeightScope layers = body.Child("layers");
  for (int64_t i = range_.begin; i < range_.end; ++i) {
    auto layer = std::make_shared<LlamaLayer>(config, i, mask_, rotary_);
    layer->Register(layers.Child(std::to_string(i), layer));
    layers_.push_back(std::move(layer));
  }
  if (!has_output()) return;
  norm_ = body.Child("norm").Weight("weight", {config.width}, WeightInit::kOnes);
  output_ =
      config.tied ? tokens_ : root.Child("lm_head").Weight("weight", {config.vocab, config.width}, WeightInit::kNormal);
}

torch::Tensor LlamaBackbone::EmbedAt(const torch::Tensor& tokens, int64_t) { return at::embedding(tokens_, tokens); }

torch::Tensor LlamaBackbone::FinalNorm(const torch::Tensor& hidden) { return RmsNorm(hidden, norm_, config_.norm_eps); }

}  // namespace sluice
