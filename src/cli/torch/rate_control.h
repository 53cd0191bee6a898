#ifndef SLUICE_CLI_TORCH_RATE_CONTROL_H_
#define SLUICE_CLI_TORCH_RATE_CONTROL_H_

#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "cli/torch/generate_run.h"
#include "cli/torch/torch_stage.h"
#include "wire/link_stream.h"
#include "wire/wire_metrics.h"

namespace sluice {

/// The codec that a session will use, and why.
struct RatedCodec {
  std::unique_ptr<LinkCodec> codec;
  std::string bypass;             ///< see CodecChoice
  nlohmann::ordered_json report;  ///< null when nothing was measured
};

/// Opens the codec of `options`, or chooses one of several: measures the link, and what each codec makes of the
/// prompt's first chunk. Says on standard error what it found. Errors: InvalidArgument for several codecs without a
/// rule; Mismatch when the node takes none of them; those of ProbeLink and OpenAnyLinkCodec.
Result<RatedCodec> ChooseLinkCodec(const GenerateVerbOptions& options, TorchStage& stage, const LinkPeer& peer,
                                   std::span<const int64_t> prompt, uint32_t chunk, WireMetrics& metrics);

}  // namespace sluice

#endif  // SLUICE_CLI_TORCH_RATE_CONTROL_H_
