// GPT-2's pattern is: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// Here it is written with possessive repeats, which match the same and never backtrack, and with white space spelled
// out: PCRE2's \s counts U+180E, which Unicode no longer calls white space and the reference implementations do not.
// One piece per match, anchored, compiled to machine code where PCRE2 can.
#include "text/gpt2_split.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

namespace sluice {
namespace {

#define SLUICE_SPACE R"(\t-\r\x20\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})"
constexpr std::string_view kPattern =
    R"('(?:s|t|re|ve|m|ll|d)|\x20?+\p{L}++|\x20?+\p{N}++|\x20?+[^\p{L}\p{N})" SLUICE_SPACE R"(]++|[)" SLUICE_SPACE
    R"(]+(?![^)" SLUICE_SPACE R"(])|[)" SLUICE_SPACE R"(]++)";
#undef SLUICE_SPACE

std::string Describe(int error) {
  PCRE2_UCHAR text[256] = {};
  pcre2_get_error_message(error, text, sizeof(text));
  return reinterpret_cast<const char*>(text);
}

struct FreeMatch {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

}  // namespace

struct Gpt2Splitter::Pattern {
  explicit Pattern(pcre2_code* compiled) : code(compiled) {}
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;
  ~Pattern() { pcre2_code_free(code); }

  pcre2_code* code;
};

Gpt2Splitter::Gpt2Splitter(std::unique_ptr<Pattern> pattern) : pattern_(std::move(pattern)) {}
Gpt2Splitter::Gpt2Splitter(Gpt2Splitter&&) noexcept = default;
Gpt2Splitter& Gpt2Splitter::operator=(Gpt2Splitter&&) noexcept = default;
Gpt2Splitter::~Gpt2Splitter() = default;

Result<Gpt2Splitter> Gpt2Splitter::Create() {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(kPattern.data()), kPattern.size(),
                                   PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &error, &offset, nullptr);
  if (code == nullptr) return Internal(fmt::format("GPT-2's pattern at offset {}: {}", offset, Describe(error)));
  auto pattern = std::make_unique<Pattern>(code);
  const int compiled = pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  if (compiled != 0 && compiled != PCRE2_ERROR_JIT_BADOPTION) {
    return Internal("GPT-2's pattern: " + Describe(compiled));
  }
  return Gpt2Splitter(std::move(pattern));
}

Status Gpt2Splitter::ForEachPiece(std::string_view text,
                                  const std::function<Status(std::string_view piece)>& piece) const {
  const std::unique_ptr<pcre2_match_data, FreeMatch> match(pcre2_match_data_create(1, nullptr));
  if (match == nullptr) return Internal("no memory for a match");
  const PCRE2_SIZE* span = pcre2_get_ovector_pointer(match.get());
  for (size_t at = 0; at < text.size(); at = span[1]) {
    const int matched = pcre2_match(pattern_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                                    PCRE2_NO_UTF_CHECK, match.get(), nullptr);
    if (matched < 0 || span[1] <= at) {
      return Internal(fmt::format("no piece at byte {} of {}: {}", at, text.size(), Describe(matched)));
    }
    SLUICE_RETURN_IF_ERROR(piece(text.substr(at, span[1] - at)));
  }
  return OkStatus();
}

}  // namespace sluice
