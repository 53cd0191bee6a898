// What decides is measured here and now: the link by probes, a codec on the first chunk of the very prompt. Only the
// layers behind the link are taken to cost what those before it do, for each layer.
#include "cli/torch/rate_control.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/clock.h"
#include "wire/codec_choice.h"
#include "wire/handshake.h"
#include "wire/link_probe.h"

namespace sluice {
namespace {

constexpr double kProbeSeconds = 20;

std::vector<std::string> SplitSpecs(const std::string& specs) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= specs.size();) {
    const size_t end = std::min(specs.find(',', begin), specs.size());
    if (end > begin) parts.push_back(specs.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

RateTarget TargetOf(const GenerateVerbOptions& options) {
  if (options.target_ttft > 0) return {RateGoal::kFirstToken, options.target_ttft};
  if (options.target_bits > 0) return {RateGoal::kBitsPerToken, options.target_bits};
  return {};
}

/// Each specification, and each operating point of a pack that has several, as a codec of its own, in their order;
/// those that `require` refuses are left out. Errors: the last refusal when all are.
Result<std::vector<std::unique_ptr<LinkCodec>>> OpenCandidates(const std::string& specs, const std::string& require,
                                                               const StageInfo& stage, int64_t cut) {
  Status refusal;
  std::vector<std::unique_ptr<LinkCodec>> codecs;
  for (const std::string& spec : SplitSpecs(specs)) {
    SLUICE_ASSIGN_OR_RETURN(auto codec, OpenAnyLinkCodec(spec, stage, cut));
    if (codec->points() < 2) {
      codecs.push_back(std::move(codec));
      continue;
    }
    for (size_t point = 0; point < codec->points(); ++point) {
      SLUICE_ASSIGN_OR_RETURN(auto chosen, codec->AtPoint(static_cast<int>(point)));
      codecs.push_back(std::move(chosen));
    }
  }
  std::erase_if(codecs, [&](const std::unique_ptr<LinkCodec>& codec) {
    const Status met = CheckRequirement(*codec, require);
    if (!met.ok()) refusal = met.WithContext(codec->name());
    return !met.ok();
  });
  if (codecs.empty() && !refusal.ok()) return refusal;
  return codecs;
}

struct FirstChunk {
  Matrix<float> hidden;
  double seconds = 0;
};

/// The second of two runs: the first one warms up.
Result<FirstChunk> RunFirstChunk(TorchStage& stage, std::span<const int64_t> tokens) {
  FirstChunk chunk;
  for (int i = 0; i < 2; ++i) {
    SLUICE_ASSIGN_OR_RETURN(const auto state, stage.NewState(tokens.size()));
    const auto start = Clock::now();
    SLUICE_ASSIGN_OR_RETURN(const Matrix<float> embedded, stage.Embed(*state, tokens));
    SLUICE_ASSIGN_OR_RETURN(chunk.hidden, stage.Run(*state, embedded.View()));
    chunk.seconds = SecondsSince(start);
  }
  return chunk;
}

std::string Speed(double bits_per_second) {
  if (std::isinf(bits_per_second)) return "any speed";
  if (bits_per_second >= 1e9) return fmt::format("{:.1f} Gbit/s", bits_per_second / 1e9);
  return fmt::format("{:.3g} Mbit/s", bits_per_second / 1e6);
}

nlohmann::ordered_json Report(const std::vector<CodecTrial>& trials, const RatePlan& plan, const CodecChoice& choice) {
  nlohmann::ordered_json report = {{"link_bits_per_second", plan.link.bits_per_second},
                                   {"round_trip_seconds", plan.link.round_trip_seconds},
                                   {"chosen", trials[choice.index].name},
                                   {"target_met", choice.met},
                                   {"bypass", choice.bypass}};
  for (const CodecTrial& trial : trials) {
    const double even = BreakEvenBitsPerSecond(trial, trials.front());
    report["codecs"].push_back({{"name", trial.name},
                                {"bits_per_token", trial.bits},
                                {"encode_seconds", trial.encode_seconds},
                                {"decode_seconds", trial.decode_seconds},
                                {"first_token_seconds", FirstTokenSeconds(trial, plan)},
                                {"break_even_bits_per_second", std::isinf(even) ? -1 : even}});
  }
  return report;
}

std::string Explain(const std::vector<CodecTrial>& trials, const RatePlan& plan, const CodecChoice& choice) {
  std::string text = fmt::format("link: {}, round trip {:.2f} ms\n", Speed(plan.link.bits_per_second),
                                 plan.link.round_trip_seconds * 1e3);
  for (size_t i = 0; i < trials.size(); ++i) {
    const double even = BreakEvenBitsPerSecond(trials[i], trials.front());
    text +=
        fmt::format("{} {}: {:.1f} bits per token, first token after about {:.3f} s{}\n", i == choice.index ? "*" : " ",
                    trials[i].name, trials[i].bits, FirstTokenSeconds(trials[i], plan),
                    i == 0 ? "" : fmt::format(", break-even with {} at {}", trials[0].name, Speed(even)));
  }
  if (!choice.met) text += "no codec meets the target; this one comes nearest\n";
  if (!choice.bypass.empty()) text += fmt::format("codecs bypassed: {}\n", choice.bypass);
  return text;
}

}  // namespace

Result<RatedCodec> ChooseLinkCodec(const GenerateVerbOptions& options, TorchStage& stage, const LinkPeer& peer,
                                   std::span<const int64_t> prompt, uint32_t chunk, WireMetrics& metrics) {
  const auto cut = static_cast<int64_t>(stage.info().end);
  RatedCodec rated;
  if (!options.RateControlled()) {
    SLUICE_ASSIGN_OR_RETURN(rated.codec, OpenAnyLinkCodec(options.codec, stage.info(), cut));
    return rated;
  }
  SLUICE_ASSIGN_OR_RETURN(const LinkReport link, ProbeLink(peer, kProbeSeconds));
  const std::span<const int64_t> first = prompt.first(std::min<size_t>(prompt.size(), chunk));
  SLUICE_ASSIGN_OR_RETURN(const FirstChunk run, RunFirstChunk(stage, first));
  SLUICE_ASSIGN_OR_RETURN(auto candidates, OpenCandidates(options.codec, options.require, stage.info(), cut));
  std::vector<std::unique_ptr<LinkCodec>> codecs;
  std::vector<CodecTrial> trials;
  for (auto& codec : candidates) {
    if (std::find(link.codecs.begin(), link.codecs.end(), codec->identity()) == link.codecs.end()) continue;
    SLUICE_ASSIGN_OR_RETURN(CodecTrial trial, TryCodec(*codec, run.hidden.View()));
    codecs.push_back(std::move(codec));
    trials.push_back(std::move(trial));
  }
  if (codecs.empty()) {
    return Mismatch(fmt::format("codec: {} takes none of '{}' (serve --codec)", peer.target(), options.codec));
  }
  const double head = run.seconds / static_cast<double>(first.size());
  const RatePlan plan{link.speed, prompt.size(), chunk, head,
                      head * (stage.info().total - stage.info().end) / std::max(1U, stage.info().end)};
  const CodecChoice choice = ChooseCodec(trials, plan, TargetOf(options));
  metrics.SetLink(peer.target(), link.speed.bits_per_second, link.speed.round_trip_seconds);
  for (const CodecTrial& trial : trials) {
    metrics.SetBreakEven(peer.target(), trial.name, BreakEvenBitsPerSecond(trial, trials.front()));
  }
  fmt::print(stderr, "{}", Explain(trials, plan, choice));
  rated.report = Report(trials, plan, choice);
  rated.bypass = choice.bypass;
  rated.codec = std::move(codecs[choice.index]);
  return rated;
}

}  // namespace sluice
