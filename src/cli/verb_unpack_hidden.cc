#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <optional>
#include <utility>

#include "base/interrupt.h"
#include "base/progress.h"
#include "cli/light_verbs.h"
#include "cli/verb.h"
#include "codec/activation_archive.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using TokenRange = std::pair<uint64_t, uint64_t>;

constexpr const char* kUnpackExamples =
    "  sluice unpack-hidden hidden.sla --out hidden.safetensors\n"
    "  sluice unpack-hidden hidden.sla --out part.npy --tokens 5000:6000       (reads only the chunks it needs)\n";

// "A:B", tokens A to B - 1.
Result<std::optional<TokenRange>> ParseRange(const std::string& text) {
  if (text.empty()) return std::optional<TokenRange>();
  TokenRange range;
  const char* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, range.first);
  if (first.ec == std::errc() && first.ptr != end && *first.ptr == ':') {
    const auto second = std::from_chars(first.ptr + 1, end, range.second);
    if (second.ec == std::errc() && second.ptr == end) return std::optional<TokenRange>(range);
  }
  return InvalidArgument(fmt::format("--tokens {}: expected FIRST:END, two numbers", text));
}

Result<ArchiveStats> Unpack(const fs::path& in, const fs::path& out, const std::string& tokens) {
  SLUICE_ASSIGN_OR_RETURN(const auto range, ParseRange(tokens));
  CatchInterrupts();
  std::optional<ProgressBar> bar;
  return UnpackHidden(in, out, range, [&bar](uint64_t done, uint64_t total) -> Status {
    if (!bar) bar.emplace("unpacking", total);
    bar->Update(done);
    if (!InterruptRequested() || done == total) return OkStatus();
    return Interrupted(fmt::format("stopped after {} of {} tokens, nothing was written", done, total));
  });
}

}  // namespace

int RunUnpackHidden(int argc, char** argv) {
  Verb verb("unpack-hidden", "Write the hidden states of an archive, or a range of its tokens, to a file.",
            kUnpackExamples);
  fs::path in, out;
  std::string tokens;
  verb.app().add_option("in", in, "Archive (.sla)")->type_name("FILE")->required();
  verb.app().add_option("--out", out, "File to write, .safetensors or .npy")->type_name("FILE")->required();
  verb.app().add_option("--tokens", tokens, "Only the tokens FIRST to END - 1, counted over all rows: FIRST:END");
  return verb.Run(argc, argv, [&]() -> Status {
    SLUICE_ASSIGN_OR_RETURN(const ArchiveStats stats, Unpack(in, out, tokens));
    const std::string note = stats.complete ? "" : " (the writer of the archive did not finish; all complete chunks)";
    verb.Print({{"out", out.string()},
                {"tokens", stats.tokens},
                {"width", stats.width},
                {"archive_bytes", stats.bytes},
                {"complete", stats.complete}},
               fmt::format("{}: {} tokens of width {}{}\n", out.string(), stats.tokens, stats.width, note));
    return OkStatus();
  });
}

}  // namespace sluice
