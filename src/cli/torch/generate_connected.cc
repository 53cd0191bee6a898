#include <fmt/format.h>

#include "base/file.h"
#include "base/interrupt.h"
#include "cli/torch/generate_run.h"
#include "cli/torch/network.h"
#include "cli/torch/rate_control.h"
#include "cli/torch/torch_stage.h"
#include "wire/head_session.h"

namespace sluice {
namespace {

HeadRequest RequestFor(const GenerateVerbOptions& options, const BackboneConfig& config,
                       const std::vector<int64_t>& prompt) {
  HeadRequest request;
  request.prompt = prompt;
  const SamplingOptions& sampling = options.generate.sampling;
  request.sampling = {sampling.temperature, sampling.top_k, sampling.top_p, sampling.seed};
  request.max_new_tokens = static_cast<uint64_t>(options.generate.max_new_tokens);
  request.stop = config.eos;
  request.chunk_tokens = options.chunk == 0 ? kNetworkChunk : options.chunk;
  request.log_probabilities = options.log_probabilities;
  request.deadline_seconds = options.deadline_seconds;
  request.requirement = options.require;
  request.give_up = &InterruptRequested;
  return request;
}

nlohmann::ordered_json DetailsOf(const HeadOutcome& outcome, uint32_t chunk, double bits) {
  nlohmann::ordered_json details = {{"session", outcome.session},
                                    {"chunk", chunk},
                                    {"wire_bytes", outcome.wire_bytes},
                                    {"raw_bytes", outcome.raw_bytes},
                                    {"bits_per_token", bits},
                                    {"first_token_seconds", outcome.first_token_seconds},
                                    {"session_seconds", outcome.seconds},
                                    {"resumes", outcome.resumes}};
  for (const ChainNode& node : outcome.stages) {
    details["stages"].push_back(
        {{"node", node.name}, {"layers", fmt::format("{}:{}", node.begin, node.end)}, {"codec", node.codec}});
  }
  return details;
}

}  // namespace

Result<GenerateResult> GenerateConnected(const GenerateVerbOptions& options, const std::vector<int64_t>& prompt,
                                         const TokenSink& on_token) {
  if (options.layers.empty() || options.codec.empty()) {
    return InvalidArgument("--connect needs --layers :K, the layers of this node, and --codec, that of the link");
  }
  SLUICE_ASSIGN_OR_RETURN(const LayerRange range, ParseLayers(options.layers));
  if (range.begin != 0 || range.end < 0) {
    return InvalidArgument(fmt::format("layers '{}' are not those of a head; expected :K", options.layers));
  }
  SLUICE_ASSIGN_OR_RETURN(const TrustOptions trust, TrustOf(options.network));
  SLUICE_ASSIGN_OR_RETURN(const LinkPeer peer, LinkPeer::Make(options.connect, trust));
  SLUICE_ASSIGN_OR_RETURN(const auto stage, TorchStage::Load(options.model, range));
  HeadRequest request = RequestFor(options, stage->config(), prompt);
  const WireLog log = LogOf(options.network, options.network.name.empty() ? "head" : options.network.name);
  WireMetrics metrics;
  SLUICE_ASSIGN_OR_RETURN(const RatedCodec rated,
                          ChooseLinkCodec(options, *stage, peer, prompt, request.chunk_tokens, metrics));
  request.bypass = rated.bypass;
  StageQueue queue(*stage);
  const StreamPatience patience{.stall_seconds = options.stall_seconds};
  Head head(*stage, queue, *rated.codec, peer, patience, options.retry_seconds, metrics, log);
  log.Event(LogLevel::kInfo, "connecting", {{"link", options.connect}});
  const std::optional<double> connected = peer.Connect(patience.handshake_seconds, &InterruptRequested);
  SLUICE_ASSIGN_OR_RETURN(const HeadOutcome outcome,
                          head.Generate(request, [&](const SampledToken& token) { return on_token(token.id); }));
  if (!options.metrics_file.empty()) {
    SLUICE_RETURN_IF_ERROR(WriteFileAtomic(options.metrics_file, std::string_view(metrics.Text())));
  }
  GenerateResult result;
  nlohmann::ordered_json probabilities = nlohmann::ordered_json::array();
  for (const SampledToken& token : outcome.tokens) {
    result.ids.push_back(token.id);
    probabilities.push_back(token.log_probability);
  }
  const auto sent = static_cast<double>(prompt.size() + result.ids.size());
  const double bits = 8.0 * static_cast<double>(outcome.wire_bytes) / sent;
  result.details = DetailsOf(outcome, request.chunk_tokens, bits);
  if (connected) result.details["connect_seconds"] = *connected;
  if (!rated.report.is_null()) result.details["rate"] = rated.report;
  if (options.log_probabilities) result.details["log_probabilities"] = std::move(probabilities);
  result.text = fmt::format("[{} bytes crossed the link, {:.1f} bits per token, first token after {:.3f} s{}]",
                            outcome.wire_bytes, bits, outcome.first_token_seconds,
                            outcome.resumes > 0 ? fmt::format(", resumed {} times", outcome.resumes) : "");
  return result;
}

}  // namespace sluice
