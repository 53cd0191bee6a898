#ifndef SLUICE_GATEWAY_PROMPT_ENCODER_H_
#define SLUICE_GATEWAY_PROMPT_ENCODER_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/chat_template.h"
#include "text/tokenizer.h"

namespace sluice {

/// Texts and conversations as the tokens that a model is to continue. Immutable.
/// Exact: what a client writes is encoded as text; only a template makes special tokens. Turns of "chatml" are marked by
/// such tokens, so no message can end its own; "plain" and "llama2" mark turns with text, which a message can write.
/// Threads: any.
class PromptEncoder {
 public:
  /// `tokenizer` is that of the model in folder `model` and outlives the encoder. `chat_template`: "plain", "chatml",
  /// "llama2", or "auto": the one that the model's own is recognized as. Where auto finds none, or not its tokens,
  /// Chat refuses every conversation and says why.
  /// Errors: InvalidArgument for another name, or tokens that a named template needs and the tokenizer lacks; Io and
  /// Corrupt for files that cannot be read.
  static Result<PromptEncoder> Make(const Tokenizer& tokenizer, const std::filesystem::path& model,
                                    const std::string& chat_template);

  /// BOS, where the tokenizer has one, and the text. Errors: those of Tokenizer::Encode.
  Result<std::vector<int64_t>> Text(std::string_view text) const;
  /// Errors: Unsupported without a template; those of ChatTemplate::Render and Tokenizer::Encode.
  Result<std::vector<int64_t>> Chat(std::span<const ChatMessage> messages) const;

  const std::optional<ChatTemplate>& chat_template() const { return template_; }
  /// Tokens that end an answer in a conversation.
  std::vector<int64_t> chat_stop_tokens() const;

 private:
  explicit PromptEncoder(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}
  Status Choose(const std::filesystem::path& model, const std::string& name);
  Status CheckTokens(const ChatTemplate& candidate) const;

  const Tokenizer* tokenizer_;
  std::optional<ChatTemplate> template_;
  std::string no_template_;  // why there is none
  std::map<std::string, int64_t> special_;
};

}  // namespace sluice

#endif  // SLUICE_GATEWAY_PROMPT_ENCODER_H_
