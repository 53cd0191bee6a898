#ifndef SLUICE_STUDY_TORCH_STEP_CODEC_H_
#define SLUICE_STUDY_TORCH_STEP_CODEC_H_

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "backbone/backbone.h"
#include "study/torch/tensor_codec.h"
#include "study/torch/text_stream.h"

namespace sluice {

/// Opens any codec that a study measures: what OpenTensorCodec opens, and two without a network for studies alone,
///
///   step:S    every channel rounded to S deviations of the hidden state
///   static:S  the same along the principal axes of the hidden states
///
/// where the deviation is the root mean square over channels. Each channel has one probability table, fitted on `fit`
/// and known to both ends, so its bytes are not counted. Such a stream is read by the codec object that wrote it only.
/// Errors: InvalidArgument for a step that is not positive, or without a text to fit on; as OpenTensorCodec and
/// TextWindows::Load.
Result<std::unique_ptr<TensorCodec>> OpenStudyCodec(const std::string& spec, const CutContext& context,
                                                    Backbone& backbone, const std::filesystem::path& model,
                                                    const TextSource& fit);

}  // namespace sluice

#endif  // SLUICE_STUDY_TORCH_STEP_CODEC_H_
