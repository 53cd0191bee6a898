#ifndef SLUICE_GATEWAY_TOKEN_TEXT_H_
#define SLUICE_GATEWAY_TOKEN_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace sluice {

/// The text of tokens that come one by one. A character that several tokens make comes whole, with the last of them.
class TokenText {
 public:
  /// Continues `before`, the last tokens of the prompt: what joins two texts, such as a space, then appears. Empty: the
  /// text begins anew. `tokenizer` outlives it. Errors: those of Tokenizer::Decode.
  static Result<TokenText> After(const Tokenizer& tokenizer, std::vector<int32_t> before);

  /// What one more token adds; may be nothing. Errors: those of Tokenizer::Decode.
  Result<std::string> Add(int64_t id);
  /// What was held back, when no token will follow: bytes that are no whole character.
  Result<std::string> Flush();

 private:
  explicit TokenText(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}

  const Tokenizer* tokenizer_;
  std::vector<int32_t> ids_;
  size_t given_ = 0;  // bytes of the text of ids_
};

/// Bytes at the end of a text that a further token may still change: an unfinished character, or up to three U+FFFD,
/// which SentencePiece writes for the bytes of one.
size_t UnsettledBytes(std::string_view text);

/// Watches a text that comes in pieces for stop strings, and lets through what can no longer be part of one.
class StopScanner {
 public:
  explicit StopScanner(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  /// What may be shown now. Once a stop string is complete: the text before it, and nothing afterwards.
  std::string Add(std::string_view text);
  /// What was held back, when nothing will follow.
  std::string Flush();
  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace sluice

#endif  // SLUICE_GATEWAY_TOKEN_TEXT_H_
