#include <fmt/format.h>

#include <filesystem>
#include <optional>

#include "base/interrupt.h"
#include "base/progress.h"
#include "cli/light_verbs.h"
#include "cli/verb.h"
#include "codec/activation_archive.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr const char* kExamples =
    "  sluice pack-hidden hidden.safetensors --out hidden.sla                  (lossless)\n"
    "  sluice pack-hidden hidden.npy --out hidden.sla --relative 0.001\n"
    "  sluice pack-hidden more.safetensors --tensor h7 --out hidden.sla --append\n";

struct PackVerbOptions {
  fs::path in;
  std::string tensor;
  fs::path out;
  double absolute = 0;
  double relative = 0;
  double bits = 0;
  bool append = false;
  uint32_t chunk_tokens = 0;
};

void AddOptions(CLI::App& app, PackVerbOptions& options) {
  app.add_option("in", options.in, "Hidden states, .safetensors or .npy, F32, F16 or BF16 of [T, d] or [B, T, d]")
      ->type_name("FILE")
      ->required();
  app.add_option("--tensor", options.tensor, "Name of the tensor; not needed where the file has one float tensor only");
  app.add_option("--out", options.out, "Archive to write (.sla)")->type_name("FILE")->required();
  auto* absolute =
      app.add_option("--absolute", options.absolute, "Largest error of an element")->check(CLI::PositiveNumber);
  auto* relative = app.add_option("--relative", options.relative, "Largest error of an element over its magnitude")
                       ->check(CLI::PositiveNumber);
  auto* bits = app.add_option("--bits", options.bits, "Bits an element, with the finest uniform steps that fit")
                   ->check(CLI::PositiveNumber);
  absolute->excludes(relative)->excludes(bits);
  relative->excludes(bits);
  app.add_flag("--append", options.append, "Go on after the complete chunks of an archive that is already there");
  app.add_option("--chunk-tokens", options.chunk_tokens,
                 "Tokens that are packed, and later read, together; 0: 16384, fewer for wide states")
      ->check(CLI::Range(uint64_t{0}, kMaxArchiveChunkTokens));
}

FidelitySpec FidelityAsked(const CLI::App& app, const PackVerbOptions& options) {
  if (app.count("--absolute") > 0) return {Fidelity::kAbsolute, options.absolute};
  if (app.count("--relative") > 0) return {Fidelity::kRelative, options.relative};
  if (app.count("--bits") > 0) return {Fidelity::kBits, options.bits};
  return {};
}

Result<ArchiveStats> PackHidden(const CLI::App& app, const PackVerbOptions& options) {
  CatchInterrupts();
  std::optional<ProgressBar> bar;
  PackOptions pack{FidelityAsked(app, options), options.chunk_tokens, options.append, {}};
  pack.progress = [&](uint64_t done, uint64_t total) -> Status {
    if (!bar) bar.emplace("packing", total);
    bar->Update(done);
    if (!InterruptRequested() || done == total) return OkStatus();
    return Interrupted(fmt::format("stopped after {} of {} tokens; {} holds them and can be read and appended to", done,
                                   total, options.out.string()));
  };
  return PackHidden(options.in, options.tensor, options.out, pack);
}

}  // namespace

int RunPackHidden(int argc, char** argv) {
  Verb verb("pack-hidden", "Pack hidden states into an archive, without any model: lossless, or within an error bound.",
            kExamples);
  PackVerbOptions options;
  AddOptions(verb.app(), options);
  return verb.Run(argc, argv, [&]() -> Status {
    SLUICE_ASSIGN_OR_RETURN(const ArchiveStats stats, PackHidden(verb.app(), options));
    const double bits = 8.0 * static_cast<double>(stats.packed_bytes) / static_cast<double>(stats.tokens * stats.width);
    const double ratio = static_cast<double>(stats.source_bytes) / static_cast<double>(stats.packed_bytes);
    verb.Print({{"out", options.out.string()},
                {"tokens", stats.tokens},
                {"width", stats.width},
                {"source_bytes", stats.source_bytes},
                {"packed_bytes", stats.packed_bytes},
                {"archive_bytes", stats.bytes},
                {"bits_per_element", bits},
                {"ratio", ratio}},
               fmt::format("{}: {} tokens of width {}, {} bytes into {}, {:.3f} bits an element, ratio {:.3f}\n",
                           options.out.string(), stats.tokens, stats.width, stats.source_bytes, stats.packed_bytes,
                           bits, ratio));
    return OkStatus();
  });
}

}  // namespace sluice
