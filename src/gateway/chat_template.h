#ifndef SLUICE_GATEWAY_CHAT_TEMPLATE_H_
#define SLUICE_GATEWAY_CHAT_TEMPLATE_H_

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace sluice {

struct ChatMessage {
  std::string role;  ///< "system", "user" or "assistant"
  std::string content;
};

/// A piece of a conversation as the model is to see it: text, which is encoded as text whatever it spells, or a token
/// that no text can make.
struct TemplatePiece {
  enum class Kind { kText, kToken, kBos, kEos };
  Kind kind = Kind::kText;
  std::string text;  ///< of kText and kToken
};

/// How a conversation becomes one sequence. docs/serving.md shows what each looks like.
class ChatTemplate {
 public:
  /// "plain", "chatml" or "llama2". Errors: InvalidArgument for any other name.
  static Result<ChatTemplate> Named(std::string_view name);
  /// The built-in template that a chat_template of Hugging Face's form says the same as. Errors: Unsupported when it is
  /// none of them.
  static Result<ChatTemplate> Recognize(std::string_view jinja);

  std::string_view name() const;
  /// Ends where the assistant begins to speak. Errors: InvalidArgument, "messages: ...", for roles in an order that the
  /// template cannot say.
  Result<std::vector<TemplatePiece>> Render(std::span<const ChatMessage> messages) const;
  /// Strings at which the assistant has ended.
  std::vector<std::string> stop_strings() const;
  /// Tokens, by their text, at which it has.
  std::vector<std::string> stop_tokens() const;
  /// Tokens, by their text, that the template writes.
  std::vector<std::string> tokens() const;

 private:
  enum class Kind { kPlain, kChatMl, kLlama2 };
  explicit ChatTemplate(Kind kind) : kind_(kind) {}

  Kind kind_;
};

/// The chat_template of a model folder: chat_template.jinja, or that of tokenizer_config.json (of several, the one
/// named "default"); none when it has none. Errors: Io; Corrupt for a file that is not what it should be.
Result<std::optional<std::string>> ReadModelTemplate(const std::filesystem::path& model);

}  // namespace sluice

#endif  // SLUICE_GATEWAY_CHAT_TEMPLATE_H_
