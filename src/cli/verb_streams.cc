#include <fmt/format.h>

#include <filesystem>

#include "cli/light_verbs.h"
#include "cli/stream_options.h"
#include "cli/verb.h"
#include "codec/pack_stream.h"
#include "plain/hidden_stream.h"

namespace sluice {
namespace {

// What the closed loop keeps over 1,024 tokens (docs/codec.md).
constexpr double kTargetTolerance = 1.05;

Result<HiddenStreamStats> Encode(const EncodeOptions& options, PointVerdicts verdicts) {
  const auto chunk = static_cast<uint32_t>(options.chunk);
  if (!IsPackFile(options.codec)) {
    if (options.point != 0 || options.bits_per_token > 0) {
      return InvalidArgument(options.codec + ": only a pack has operating points");
    }
    if (!options.ids.empty() || options.send_ids)
      return InvalidArgument(options.codec + ": only a pack takes token ids");
    return EncodeHiddenFile(options.hidden, options.tensor, options.codec, options.out, chunk);
  }
  const PackRate rate{
      .point = options.point, .bits_per_token = options.bits_per_token, .verdicts = std::move(verdicts)};
  SLUICE_ASSIGN_OR_RETURN(const auto codec, PackCodec::Open(options.codec));
  StreamIds ids;
  ids.carried = options.send_ids;
  if (!options.ids.empty()) {
    SLUICE_ASSIGN_OR_RETURN(ids.ids, ReadIds(options.ids));
  }
  return EncodeHiddenFile(*codec, options.hidden, options.tensor, options.out, chunk, rate, ids);
}

Result<HiddenStreamStats> Decode(const DecodeOptions& options, const StreamHeader& header,
                                 const PointVerdicts& verdicts) {
  if (header.kind == CodecKind::kPlain) {
    if (!options.ids.empty() || !options.ids_out.empty()) {
      return Mismatch(options.in.string() + ": a plain codec wrote it, which knows no token ids (--ids, --ids-out)");
    }
    return DecodeHiddenFile(options.in, options.out);
  }
  if (options.codec.empty()) {
    return Mismatch(fmt::format("{}: a pack's codec wrote this stream: give --codec the pack whose id is {:016x}",
                                options.in.string(), header.codec_id));
  }
  SLUICE_ASSIGN_OR_RETURN(const auto codec, PackCodec::Open(options.codec));
  if (!options.ids_out.empty() && (header.flags & kIdsInStream) == 0) {
    return Mismatch(options.in.string() + ": the stream carries no token ids for --ids-out");
  }
  StreamIds ids;
  if (!options.ids.empty()) {
    SLUICE_ASSIGN_OR_RETURN(ids.ids, ReadIds(options.ids));
  }
  SLUICE_ASSIGN_OR_RETURN(const HiddenStreamStats stats,
                          DecodeHiddenFile(*codec, options.in, options.out, std::nullopt, kDefaultMaxElements, verdicts,
                                           header.flags & kSideTokens ? &ids : nullptr));
  if (!options.ids_out.empty()) SLUICE_RETURN_IF_ERROR(WriteIds(options.ids_out, ids.ids));
  return stats;
}

}  // namespace

int RunEncode(int argc, char** argv) {
  Verb verb("encode", kEncodeDescription, kEncodeExamples);
  EncodeOptions options;
  AddEncodeOptions(verb.app(), options);
  bool needs_torch = false;
  const int code = verb.Run(argc, argv, [&]() -> Status {
    if (options.hidden.empty() && options.text.empty()) return InvalidArgument("give --text FILE... or --hidden FILE");
    SLUICE_ASSIGN_OR_RETURN(PointVerdicts verdicts, JudgeRequirement(options.require, options.codec));
    needs_torch = options.hidden.empty() || std::filesystem::is_directory(options.codec);
    if (needs_torch) return VerdictOn(verdicts, options.point);
    SLUICE_ASSIGN_OR_RETURN(const HiddenStreamStats stats, Encode(options, std::move(verdicts)));
    nlohmann::ordered_json result = {{"out", options.out.string()}, {"codec", options.codec},
                                     {"tokens", stats.tokens},      {"width", stats.width},
                                     {"bytes", stats.bytes},        {"bits_per_token", stats.BitsPerToken()}};
    std::string text = fmt::format("{}: {} tokens of width {}, {} bytes, {:.2f} bits per token\n", options.out.string(),
                                   stats.tokens, stats.width, stats.bytes, stats.BitsPerToken());
    if (options.bits_per_token > 0) {
      const bool met = stats.BitsPerToken() <= kTargetTolerance * options.bits_per_token;
      result["target_met"] = met;
      if (!met) {
        text += fmt::format(
            "more than the target of {:g}: the pack's coarsest operating point costs that much here, or the stream is "
            "too short to make up for its beginning\n",
            options.bits_per_token);
      }
    }
    verb.Print(result, text);
    return OkStatus();
  });
  return needs_torch && code == 0 ? kNeedsTorch : code;
}

int RunDecode(int argc, char** argv) {
  Verb verb("decode", kDecodeDescription, kDecodeExamples);
  DecodeOptions options;
  AddDecodeOptions(verb.app(), options);
  bool needs_torch = false;
  const int code = verb.Run(argc, argv, [&]() -> Status {
    if (options.text.empty() && options.out.empty())
      return InvalidArgument("give --text FILE... to score, --out FILE to write, or both");
    SLUICE_ASSIGN_OR_RETURN(const PointVerdicts verdicts, JudgeRequirement(options.require, options.codec));
    SLUICE_ASSIGN_OR_RETURN(const StreamReader reader, StreamReader::Open(options.in));
    const CodecKind kind = reader.header().kind;
    if (!verdicts.empty() && kind != CodecKind::kInteger) {
      return Mismatch(fmt::format("--require \"{}\": no pack wrote {}", options.require, options.in.string()));
    }
    needs_torch = !options.text.empty() || kind == CodecKind::kFloat ||
                  (kind != CodecKind::kPlain && std::filesystem::is_directory(options.codec));
    if (needs_torch) return OkStatus();
    SLUICE_ASSIGN_OR_RETURN(const HiddenStreamStats stats, Decode(options, reader.header(), verdicts));
    const nlohmann::ordered_json result = {{"out", options.out.string()},
                                           {"tokens", stats.tokens},
                                           {"width", stats.width},
                                           {"bytes", stats.bytes},
                                           {"bits_per_token", stats.BitsPerToken()}};
    verb.Print(result, fmt::format("{}: {} tokens of width {}\n", options.out.string(), stats.tokens, stats.width));
    return OkStatus();
  });
  return needs_torch && code == 0 ? kNeedsTorch : code;
}

}  // namespace sluice
