// GPT-2 as Radford et al. describe it and Hugging Face stores it: x + attention(norm(x)), then x + mlp(norm(x)),
// matrices stored [in, out]. Source: "Language Models are Unsupervised Multitask Learners" (2019).
#include "backbone/gpt2_backbone.h"

namespace sluice {
namespace {

struct Norm {
  torch::Tensor weight, bias;
  double eps;

  torch::Tensor operator()(const torch::Tensor& x) const { return at::layer_norm(x, {x.size(-1)}, weight, bias, eps); }
};

Norm MakeNorm(WeightScope scope, const BackboneConfig& config) {
  torch::Tensor weight = scope.Weight("weight", {config.width}, WeightInit::kOnes);
  return {std::move(weight), scope.Weight("bias", {config.width}, WeightInit::kZeros), config.norm_eps};
}

class Gpt2Layer : public BackboneLayer {
 public:
  Gpt2Layer(const BackboneConfig& config, int64_t index, CausalMask& mask)
      : config_(config), index_(index), mask_(mask) {}

  void Register(WeightScope scope) {
    const int64_t d = config_.width;
    norm1_ = MakeNorm(scope.Child("ln_1"), config_);
    WeightScope attention = scope.Child("attn");
    packed_ = ConvProjection(attention.Child("c_attn"), d, 3 * d, WeightInit::kNormal);
    mixed_ = ConvProjection(attention.Child("c_proj"), d, d, WeightInit::kResidual);
    norm2_ = MakeNorm(scope.Child("ln_2"), config_);
    WeightScope mlp = scope.Child("mlp");
    up_ = ConvProjection(mlp.Child("c_fc"), d, config_.mlp_width, WeightInit::kNormal);
    down_ = ConvProjection(mlp.Child("c_proj"), config_.mlp_width, d, WeightInit::kResidual);
  }

  torch::Tensor Forward(const torch::Tensor& hidden, KvCache* cache) override {
    const torch::Tensor packed =
        packed_(norm1_(hidden)).view({hidden.size(0), hidden.size(1), 3, config_.heads, config_.head_dim});
    const torch::Tensor attended =
        CausalAttention(packed.select(2, 0), packed.select(2, 1), packed.select(2, 2), index_, mask_, cache);
    const torch::Tensor middle = hidden + mixed_(attended);
    return middle + down_(Activate(up_(norm2_(middle)), config_.activation));
  }

 private:
  const BackboneConfig config_;
  const int64_t index_;
  CausalMask& mask_;
  Norm norm1_, norm2_;
  Projection packed_, mixed_, up_, down_;
};

}  // namespace

Gpt2Backbone::Gpt2Backbone(const BackboneConfig& config, LayerRange range, bool embeddings, WeightSource& source)
    : Backbone(config, range, embeddings) {
  const int64_t d = config.width;
  WeightScope root(*this, source);
  WeightScope body = root.Child("transformer");
  if (has_embeddings() || (has_output() && config.tied)) {
    tokens_ = body.Child("wte").Weight("weight", {config.vocab, d}, WeightInit::kNormal);
  }
  if (has_embeddings()) positions_ = body.Child("wpe").Weight("weight", {config.context, d}, WeightInit::kNormal);
  WeightScope layers = body.Child("h");
  for (int64_t i = range_.begin; i < range_.end; ++i) {
    auto layer = std::make_shared<Gpt2Layer>(config, i, mask_);
    layer->Register(layers.Child(std::to_string(i), layer));
    layers_.push_back(std::move(layer));
  }
  if (!has_output()) return;
  WeightScope norm = body.Child("ln_f");
  norm_weight_ = norm.Weight("weight", {d}, WeightInit::kOnes);
  norm_bias_ = norm.Weight("bias", {d}, WeightInit::kZeros);
  output_ = config.tied ? tokens_ : root.Child("lm_head").Weight("weight", {config.vocab, d}, WeightInit::kNormal);
}

torch::Tensor Gpt2Backbone::EmbedAt(const torch::Tensor& tokens, int64_t position) {
  return at::embedding(tokens_, tokens) + positions_.narrow(0, position, tokens.size(1));
}

torch::Tensor Gpt2Backbone::FinalNorm(const torch::Tensor& hidden) {
  return at::layer_norm(hidden, {hidden.size(-1)}, norm_weight_, norm_bias_, config_.norm_eps);
}

}  // namespace sluice
