#ifndef SLUICE_BACKBONE_LLAMA_BACKBONE_H_
#define SLUICE_BACKBONE_LLAMA_BACKBONE_H_

#include "backbone/attention.h"
#include "backbone/backbone.h"
#include "backbone/backbone_weights.h"

namespace sluice {

/// Llama 1 to 3: rotary positions, RMS norms, grouped keys, gated MLP.
class LlamaBackbone : public Backbone {
 public:
  static constexpr const char* kPrefix = "model.";

  LlamaBackbone(const BackboneConfig& config, LayerRange range, bool embeddings, WeightSource& source);

  torch::Tensor TokenEmbeddings() const override { return tokens_; }

 protected:
  torch::Tensor EmbedAt(const torch::Tensor& tokens, int64_t position) override;
  torch::Tensor FinalNorm(const torch::Tensor& hidden) override;
  torch::Tensor OutputMatrix() const override { return output_; }

 private:
  CausalMask mask_;
  RotaryTable rotary_;
  torch::Tensor tokens_, norm_, output_;
};

}  // namespace sluice

#endif  // SLUICE_BACKBONE_LLAMA_BACKBONE_H_
