#ifndef SLUICE_BACKBONE_GPT2_BACKBONE_H_
#define SLUICE_BACKBONE_GPT2_BACKBONE_H_

#include "backbone/attention.h"
#include "backbone/backbone.h"
#include "backbone/backbone_weights.h"

namespace sluice {

/// GPT-2: learned positions, pre-norm layers, packed q|k|v, GELU MLP.
class Gpt2Backbone : public Backbone {
 public:
  static constexpr const char* kPrefix = "transformer.";

  Gpt2Backbone(const BackboneConfig& config, LayerRange range, bool embeddings, WeightSource& source);

  torch::Tensor TokenEmbeddings() const override { return tokens_; }

 protected:
  torch::Tensor EmbedAt(const torch::Tensor& tokens, int64_t position) override;
  torch::Tensor FinalNorm(const torch::Tensor& hidden) override;
  torch::Tensor OutputMatrix() const override { return output_; }

 private:
  CausalMask mask_{1};
  torch::Tensor tokens_, positions_, norm_weight_, norm_bias_, output_;
};

}  // namespace sluice

#endif  // SLUICE_BACKBONE_GPT2_BACKBONE_H_
