#ifndef SLUICE_STUDY_TORCH_PACK_TENSOR_CODEC_H_
#define SLUICE_STUDY_TORCH_PACK_TENSOR_CODEC_H_

#include <memory>
#include <string>

#include "study/torch/tensor_codec.h"

namespace sluice {

/// The codec of a pack, for tensors. Every frame begins new sequences.
/// Errors: those of PackCodec::Open; Mismatch when the pack is for another model, cut or width.
Result<std::unique_ptr<TensorCodec>> OpenPackTensorCodec(const std::string& path, const CutContext& context);

}  // namespace sluice

#endif  // SLUICE_STUDY_TORCH_PACK_TENSOR_CODEC_H_
