// Text files to windows of tokens. A model that was trained on windows that begin with BOS is scored on windows that
// begin with BOS, so the stream is cut so that every window has one and no token is used twice. Held-out windows are
// halved once, in their order: one half for every choice that is made, one for the figures that are published.
#include "text/corpus.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "text/utf8.h"

namespace sluice {
namespace {

constexpr std::string_view kDocumentEnd = "<|endoftext|>";

}  // namespace

std::string PrepareText(std::string_view text, const CorpusOptions& options) {
  std::string prepared;
  prepared.reserve(text.size());
  while (!text.empty()) {
    const size_t newline = text.find('\n');
    const std::string_view line = text.substr(0, newline);
    const size_t taken = newline == std::string_view::npos ? text.size() : newline + 1;
    const bool dropped =
        (options.split_documents && line == kDocumentEnd) || (options.drop_blank_lines && line.empty());
    if (!dropped) prepared += text.substr(0, taken);
    text.remove_prefix(taken);
  }
  return prepared;
}

Result<std::string> ReadText(std::span<const std::filesystem::path> files, const CorpusOptions& options) {
  if (files.empty()) return InvalidArgument("no text files given");
  std::string text;
  uint64_t left = options.max_bytes;
  for (const std::filesystem::path& file : files) {
    SLUICE_ASSIGN_OR_RETURN(const std::string content, ReadFile(file, left));
    left -= content.size();
    const Status valid = ValidateUtf8(content);
    if (!valid.ok()) return valid.WithContext(file.string());
    if (!text.empty() && text.back() != '\n') text += '\n';
    text += PrepareText(content, options);
  }
  if (text.find_first_not_of(" \t\r\n\v\f") == std::string::npos) {
    return InvalidArgument(
        fmt::format("{}{}: no text in it", files[0].string(), files.size() > 1 ? " and the other files" : ""));
  }
  return text;
}

Result<std::vector<TokenWindow>> CutWindows(std::span<const int32_t> ids, std::optional<int32_t> bos, int32_t context,
                                            bool drop_short) {
  if (context < 2) return InvalidArgument(fmt::format("windows of {} tokens, expected at least 2", context));
  if (ids.empty()) return InvalidArgument("no tokens to cut into windows");
  const size_t step = static_cast<size_t>(context) - (bos ? 1 : 0);
  std::vector<TokenWindow> windows;
  windows.reserve(ids.size() / step + 1);
  for (size_t begin = 0; begin < ids.size(); begin += step) {
    const auto part = ids.subspan(begin, std::min(step, ids.size() - begin));
    if (drop_short && part.size() < step) break;
    TokenWindow window;
    window.reserve(part.size() + 1);
    if (bos) window.push_back(*bos);
    window.insert(window.end(), part.begin(), part.end());
    windows.push_back(std::move(window));
  }
  if (windows.empty()) {
    return InvalidArgument(fmt::format("{} tokens do not fill one window of {}", ids.size(), context));
  }
  return windows;
}

Result<std::vector<TokenWindow>> LoadWindows(const Tokenizer& tokenizer, std::span<const std::filesystem::path> files,
                                             int32_t context, const CorpusOptions& options, bool drop_short,
                                             const EncodeProgress& progress) {
  SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadText(files, options));
  SLUICE_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, tokenizer.Encode(text, progress));
  return CutWindows(ids, tokenizer.bos(), context, drop_short);
}

}  // namespace sluice
