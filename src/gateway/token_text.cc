// Text is what the tokenizer says that all tokens together are, never what single tokens are: a character may lie in
// several tokens, and a space depends on what is before it. Decoding everything for every token is quadratic, and takes
// less time than one layer for one token up to lengths that no model here reaches.
#include "gateway/token_text.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
constexpr int kMostReplacements = 3;  // of the bytes of one character that is not finished
constexpr size_t kMostUnfinished = 3;

/// Bytes of a character at the end that wants more bytes.
size_t UnfinishedBytes(std::string_view text) {
  for (size_t count = 1; count <= std::min(kMostUnfinished, text.size()); ++count) {
    const auto byte = static_cast<unsigned char>(text[text.size() - count]);
    if ((byte & 0xC0) == 0x80) continue;
    const size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
    return length > count ? count : 0;
  }
  return 0;
}

}  // namespace

size_t UnsettledBytes(std::string_view text) {
  const size_t unfinished = UnfinishedBytes(text);
  if (unfinished > 0) return unfinished;
  size_t count = 0;
  for (int i = 0; i < kMostReplacements && text.ends_with(kReplacement); ++i) {
    text.remove_suffix(kReplacement.size());
    count += kReplacement.size();
  }
  return count;
}

Result<TokenText> TokenText::After(const Tokenizer& tokenizer, std::vector<int32_t> before) {
  TokenText text(tokenizer);
  text.ids_ = std::move(before);
  SLUICE_ASSIGN_OR_RETURN(const std::string decoded, tokenizer.Decode(text.ids_));
  text.given_ = decoded.size();
  return text;
}

Result<std::string> TokenText::Add(int64_t id) {
  ids_.push_back(static_cast<int32_t>(id));
  SLUICE_ASSIGN_OR_RETURN(const std::string decoded, tokenizer_->Decode(ids_));
  const size_t settled = decoded.size() - UnsettledBytes(decoded);
  if (settled <= given_) return std::string();
  std::string added = decoded.substr(given_, settled - given_);
  given_ = settled;
  return added;
}

Result<std::string> TokenText::Flush() {
  SLUICE_ASSIGN_OR_RETURN(const std::string decoded, tokenizer_->Decode(ids_));
  std::string rest = decoded.size() > given_ ? decoded.substr(given_) : "";
  given_ = std::max(given_, decoded.size());
  return rest;
}

std::string StopScanner::Add(std::string_view text) {
  if (stopped_) return "";
  held_ += text;
  size_t cut = std::string::npos;
  for (const std::string& stop : stops_) cut = std::min(cut, held_.find(stop));
  stopped_ = cut != std::string::npos;
  if (!stopped_) {
    size_t keep = 0;
    for (const std::string& stop : stops_) {
      for (size_t length = std::min(stop.size() - 1, held_.size()); length > keep; --length) {
        if (std::string_view(held_).ends_with(std::string_view(stop).substr(0, length))) keep = length;
      }
    }
    cut = held_.size() - keep;
  }
  std::string shown = held_.substr(0, cut);
  held_.erase(0, stopped_ ? held_.size() : cut);
  return shown;
}

std::string StopScanner::Flush() { return std::exchange(held_, ""); }

}  // namespace sluice
