#ifndef SLUICE_BACKBONE_TINY_CONFIGS_H_
#define SLUICE_BACKBONE_TINY_CONFIGS_H_

#include "backbone/config.h"

namespace sluice {

/// A GPT-2 small enough to be run a hundred times in a test.
inline BackboneConfig TinyGpt2() { return BackboneConfig::Gpt2(4, 40, 5, 97, 48); }

/// A Llama with grouped keys, an output matrix of its own and the third generation's rotary scaling.
inline BackboneConfig TinyLlama() {
  BackboneConfig config;
  config.family = BackboneFamily::kLlama;
  config.layers = 3;
  config.width = 48;
  config.heads = 6;
  config.kv_heads = 2;
  config.head_dim = 8;
  config.mlp_width = 70;
  config.vocab = 89;
  config.context = 64;
  config.activation = Activation::kSilu;
  config.tied = false;
  config.rope_scaling = {RopeScaling::Kind::kLlama3, 8.0, 1.0, 4.0, 32};
  config.bos = 1;
  config.eos = {2, 5};
  return config;
}

}  // namespace sluice

#endif  // SLUICE_BACKBONE_TINY_CONFIGS_H_
