#ifndef SLUICE_STUDY_TORCH_CUT_RUNNER_H_
#define SLUICE_STUDY_TORCH_CUT_RUNNER_H_

#include <torch/torch.h>

#include <memory>
#include <optional>

#include "backbone/backbone.h"
#include "backbone/kv_cache.h"
#include "study/torch/tensor_codec.h"

namespace sluice {

/// A model that continues one sequence, uncut or with every hidden state sent through a codec as real bytes.
/// Threads: one at a time.
class CutRunner {
 public:
  /// Without a codec the model is not cut. The codec is borrowed and must be for this model.
  CutRunner(std::shared_ptr<Backbone> backbone, TensorCodec* codec);

  /// Data: tokens int64 [1, T], the positions after the last call's -> logits [1, 1, V] of what follows.
  /// Errors: throws StatusError when the codec fails.
  torch::Tensor Next(const torch::Tensor& tokens);

  /// Of the whole stream: the header that all steps share is counted once.
  uint64_t wire_bytes() const { return wire_bytes_; }

 private:
  torch::Tensor LastLogits(const torch::Tensor& hidden);

  std::shared_ptr<Backbone> backbone_;
  KvCache cache_;
  TensorCodec* codec_;
  uint64_t wire_bytes_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_STUDY_TORCH_CUT_RUNNER_H_
