#include "cli/stream_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "base/bytes.h"
#include "base/file.h"
#include "cli/verb.h"
#include "codec/certificate.h"
#include "plain/plain_codec.h"

namespace sluice {

const char* const kEncodeExamples =
    "  sluice encode --model DIR --codec runs/a --text book.txt --out book.slc      (loads only the layers before the "
    "cut)\n"
    "  sluice encode --model DIR --codec zstd:3 --cut 3 --text book.txt --out book.slc\n"
    "  sluice encode --hidden states.safetensors --codec q80 --out states.slc       (no transformer, no libtorch)\n"
    "  sluice encode --hidden states.safetensors --codec static.pack --out states.slc\n"
    "  sluice encode --hidden states.npy --codec a.pack --target-bits-per-token 80 --out states.slc\n"
    "  sluice encode --hidden states.npy --codec side.pack --ids ids.txt --send-ids --out states.slc\n";

const char* const kDecodeExamples =
    "  sluice decode --model DIR --codec runs/a --in book.slc --text book.txt       (loads only the layers after the "
    "cut)\n"
    "  sluice decode --model DIR --codec runs/a --in book.slc --out hidden.safetensors\n"
    "  sluice decode --in states.slc --out states.safetensors                       (plain codecs need no model)\n"
    "  sluice decode --codec static.pack --in states.slc --out states.safetensors\n"
    "  sluice decode --codec side.pack --in states.slc --ids-out ids.txt --out states.npy\n";

void AddEncodeOptions(CLI::App& app, EncodeOptions& options) {
  app.add_option("-m,--model", options.model, "Model folder (Hugging Face layout)")->type_name("DIR");
  app.add_option("--codec", options.codec, "A trained codec's folder, or a name: " + PlainCodecSpecs())
      ->type_name("CODEC")
      ->required();
  auto* text =
      app.add_option("--text", options.text, "UTF-8 text files whose hidden states are sent")->type_name("FILE");
  auto* hidden =
      app.add_option("--hidden", options.hidden, "Hidden states instead, .safetensors or .npy, [T, d] or [B, T, d]")
          ->type_name("FILE");
  text->excludes(hidden);
  app.add_option("--tensor", options.tensor, "Name of the tensor in --hidden")->needs(hidden);
  app.add_option("--out", options.out, "Stream to write (.slc)")->type_name("FILE")->required();
  app.add_option("--cut", options.cut, "Layers before the cut; -1: the codec's, or the middle")
      ->check(CLI::Range(-1, kMostLayers));
  app.add_option("-c,--context", options.context, "Tokens of a window of text; 0: the model's context")
      ->check(CLI::Range(0, 1 << 20));
  app.add_option("--batch", options.batch, "Windows in one frame")->check(CLI::Range(1, 4096));
  app.add_option("--chunk", options.chunk, "Most tokens in one frame of --hidden; a trained codec may need fewer")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("-t,--threads", options.threads, "Threads; 0: all cores. A float codec's stream records them")
      ->check(CLI::Range(0, 255));
  app.add_flag("--drop-blank-lines", options.drop_blank_lines, "Leave out blank lines of --text");
  auto* point =
      app.add_option("--lambda-index", options.point,
                     "Operating point of a pack that has several: 0 is the finest, each is half an octave coarser")
          ->needs(hidden)
          ->check(CLI::Range(0, 255));
  app.add_option("--target-bits-per-token", options.bits_per_token,
                 "Choose a pack's operating points frame by frame so that the stream averages this rate")
      ->needs(hidden)
      ->excludes(point)
      ->check(CLI::PositiveNumber);
  app.add_option("--ids", options.ids, "Token ids of --hidden, numbers in a file, for packs made with --side tokens")
      ->type_name("FILE")
      ->needs(hidden);
  app.add_flag("--send-ids", options.send_ids,
               "Put the token ids into the stream, entropy-coded, for a decoder that does not know them: who reads it "
               "with the pack can read the text");
  app.add_option("--require", options.require,
                 "Refuse a pack whose certificate is missing, foreign or, at the operating point used, worse: "
                 "\"ppl<=1.03,top1>=0.97\" (also kl, greedy, bits); a target rate keeps to the points that meet it");
}

void AddDecodeOptions(CLI::App& app, DecodeOptions& options) {
  app.add_option("-m,--model", options.model, "Model folder (Hugging Face layout)")->type_name("DIR");
  app.add_option("--codec", options.codec, "The trained codec's folder or .pack; plain codecs are named in the stream")
      ->type_name("CODEC");
  app.add_option("--in", options.in, "Stream to read (.slc)")->type_name("FILE")->required();
  app.add_option("--text", options.text, "The text that was encoded: scores the model's predictions of it")
      ->type_name("FILE");
  app.add_option("--out", options.out, "Write the decoded hidden states, .safetensors or .npy")->type_name("FILE");
  app.add_option("-c,--context", options.context, "Tokens of a window of --text, as given to encode")
      ->check(CLI::Range(0, 1 << 20));
  app.add_flag("--drop-blank-lines", options.drop_blank_lines, "Leave out blank lines of --text, as given to encode");
  app.add_option("--ids", options.ids, "Token ids, numbers in a file, for packs made with --side tokens")
      ->type_name("FILE");
  app.add_option("--ids-out", options.ids_out, "Write the token ids that the stream carries (encode --send-ids)")
      ->type_name("FILE");
  app.add_option("--require", options.require,
                 "Refuse a pack whose certificate is missing, foreign or, at any operating point that the stream uses, "
                 "worse: \"ppl<=1.03,top1>=0.97\" (also kl, greedy, bits)");
}

Result<std::vector<int32_t>> ReadIds(const std::filesystem::path& path) {
  constexpr uint64_t kMostBytes = uint64_t{1} << 30;
  SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMostBytes));
  std::vector<int32_t> ids;
  const char *at = text.data(), *const end = at + text.size();
  while (true) {
    at = std::find_if_not(at, end, [](unsigned char c) { return std::isspace(c) != 0; });
    if (at == end) return ids;
    int32_t id = 0;
    const auto parsed = std::from_chars(at, end, id);
    const bool whole = parsed.ptr == end || std::isspace(static_cast<unsigned char>(*parsed.ptr)) != 0;
    if (parsed.ec != std::errc() || !whole) {
      return Corrupt(fmt::format("{}: byte {}: expected a token id", path.string(), at - text.data()));
    }
    ids.push_back(id);
    at = parsed.ptr;
  }
}

Status WriteIds(const std::filesystem::path& path, std::span<const int32_t> ids) {
  return WriteFileAtomic(path, AsBytes(fmt::format("{}\n", fmt::join(ids, "\n"))));
}

Result<PointVerdicts> JudgeRequirement(const std::string& require, const std::string& codec) {
  if (require.empty()) return PointVerdicts{};
  SLUICE_ASSIGN_OR_RETURN(const Requirement requirement, Requirement::Parse(require));
  if (!IsPackFile(codec)) {
    return Mismatch(fmt::format("--require \"{}\": only packs have certificates, {} is none", require,
                                codec.empty() ? "the codec" : codec));
  }
  SLUICE_ASSIGN_OR_RETURN(const Pack pack, Pack::Open(codec));
  Result<PointVerdicts> verdicts = requirement.Judge(pack);
  if (!verdicts.ok()) return verdicts.status().WithContext(codec);
  SLUICE_RETURN_IF_ERROR(AllowedPoints(*verdicts).status().WithContext(codec));
  return verdicts;
}

}  // namespace sluice
