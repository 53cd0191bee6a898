// Models bring their template as a program in Jinja. Running a stranger's program for every request is a large thing to
// trust; most of them say one of a few things. So they are recognized, and what is not recognized is refused: a
// conversation in a form that the model never saw gives bad answers without any error.
//
// ChatML is recognized by the set of its string constants: whatever the program around them does, a template without a
// constant of its own, such as a system message to be put in, has nothing else to say. Llama 2's is the only one with
// both [INST] and <<SYS>>.
#include "gateway/chat_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "base/file.h"
#include "base/json_depth.h"

namespace sluice {
namespace {

using Piece = TemplatePiece::Kind;

constexpr uint64_t kMaxTemplateFile = 1 << 20;
constexpr std::string_view kImStart = "<|im_start|>", kImEnd = "<|im_end|>";

/// The string constants of a program in Jinja, as they are spelled.
std::set<std::string> Constants(std::string_view jinja) {
  std::set<std::string> found;
  for (size_t i = 0; i < jinja.size(); ++i) {
    const char quote = jinja[i];
    if (quote != '\'' && quote != '"') continue;
    const size_t begin = ++i;
    while (i < jinja.size() && jinja[i] != quote) i += jinja[i] == '\\' ? 2 : 1;
    found.emplace(jinja.substr(begin, std::min(i, jinja.size()) - begin));
  }
  return found;
}

bool IsChatMl(std::string_view jinja) {
  static const std::set<std::string> known = {
      "<|im_start|>", "<|im_end|>",  "\\n", "role", "content", "<|im_end|>\\n", "<|im_start|>assistant\\n",
      "assistant",    "assistant\\n"};
  const std::set<std::string> constants = Constants(jinja);
  return constants.contains(std::string(kImStart)) && std::ranges::includes(known, constants) &&
         jinja.find(kImEnd) != std::string_view::npos && jinja.find("bos_token") == std::string_view::npos;
}

bool IsLlama2(std::string_view jinja) {
  constexpr std::array<std::string_view, 5> kMarks = {"[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "bos_token"};
  return std::ranges::all_of(kMarks, [&](auto mark) { return jinja.find(mark) != std::string_view::npos; });
}

std::string Stripped(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(kSpace) - begin + 1));
}

std::vector<TemplatePiece> RenderPlain(std::span<const ChatMessage> messages) {
  std::string text;
  for (const ChatMessage& message : messages) {
    const char* who = message.role == "system" ? "System" : message.role == "user" ? "User" : "Assistant";
    text += fmt::format("{}: {}\n", who, message.content);
  }
  return {{Piece::kBos, ""}, {Piece::kText, text + "Assistant:"}};
}

std::vector<TemplatePiece> RenderChatMl(std::span<const ChatMessage> messages) {
  std::vector<TemplatePiece> pieces;
  for (const ChatMessage& message : messages) {
    pieces.push_back({Piece::kToken, std::string(kImStart)});
    pieces.push_back({Piece::kText, message.role + "\n" + message.content});
    pieces.push_back({Piece::kToken, std::string(kImEnd)});
    pieces.push_back({Piece::kText, "\n"});
  }
  pieces.push_back({Piece::kToken, std::string(kImStart)});
  pieces.push_back({Piece::kText, "assistant\n"});
  return pieces;
}

Result<std::vector<TemplatePiece>> RenderLlama2(std::span<const ChatMessage> messages) {
  std::string system;
  if (!messages.empty() && messages.front().role == "system") {
    system = fmt::format("<<SYS>>\n{}\n<</SYS>>\n\n", messages.front().content);
    messages = messages.subspan(1);
  }
  std::vector<TemplatePiece> pieces;
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string_view expected = i % 2 == 0 ? "user" : "assistant";
    if (messages[i].role != expected) {
      return InvalidArgument(fmt::format(
          "messages: llama2 takes one system message, then user and assistant in turns; message {} after it is of {}",
          i, messages[i].role));
    }
    if (expected == "user") {
      pieces.push_back({Piece::kBos, ""});
      const std::string content = i == 0 ? system + messages[i].content : messages[i].content;
      pieces.push_back({Piece::kText, "[INST] " + Stripped(content) + " [/INST]"});
    } else {
      pieces.push_back({Piece::kText, " " + Stripped(messages[i].content) + " "});
      pieces.push_back({Piece::kEos, ""});
    }
  }
  if (messages.size() % 2 == 0) return InvalidArgument("messages: the last message must be the user's");
  return pieces;
}

Result<nlohmann::json> ReadJson(const std::filesystem::path& path) {
  SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxTemplateFile));
  SLUICE_RETURN_IF_ERROR(CheckJsonDepth(text).WithContext(path.string()));
  nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Corrupt(path.string() + ": is not a JSON object");
  return json;
}

}  // namespace

Result<ChatTemplate> ChatTemplate::Named(std::string_view name) {
  for (const ChatTemplate known :
       {ChatTemplate(Kind::kPlain), ChatTemplate(Kind::kChatMl), ChatTemplate(Kind::kLlama2)}) {
    if (known.name() == name) return known;
  }
  return InvalidArgument(fmt::format("'{}' is no chat template; there are plain, chatml and llama2", name));
}

Result<ChatTemplate> ChatTemplate::Recognize(std::string_view jinja) {
  if (IsChatMl(jinja)) return ChatTemplate(Kind::kChatMl);
  if (IsLlama2(jinja)) return ChatTemplate(Kind::kLlama2);
  return Unsupported(
      "the model's chat_template is none of the built-in ones (chatml, llama2); --chat-template names one to use "
      "instead");
}

std::string_view ChatTemplate::name() const {
  return kind_ == Kind::kPlain ? "plain" : kind_ == Kind::kChatMl ? "chatml" : "llama2";
}

Result<std::vector<TemplatePiece>> ChatTemplate::Render(std::span<const ChatMessage> messages) const {
  if (kind_ == Kind::kPlain) return RenderPlain(messages);
  if (kind_ == Kind::kChatMl) return RenderChatMl(messages);
  return RenderLlama2(messages);
}

std::vector<std::string> ChatTemplate::stop_strings() const {
  if (kind_ == Kind::kPlain) return {"\nUser:", "\nSystem:"};
  return {};
}

std::vector<std::string> ChatTemplate::stop_tokens() const {
  if (kind_ == Kind::kChatMl) return {std::string(kImEnd)};
  return {};
}

std::vector<std::string> ChatTemplate::tokens() const {
  if (kind_ == Kind::kChatMl) return {std::string(kImStart), std::string(kImEnd)};
  return {};
}

Result<std::optional<std::string>> ReadModelTemplate(const std::filesystem::path& model) {
  std::error_code error;
  if (std::filesystem::exists(model / "chat_template.jinja", error)) {
    SLUICE_ASSIGN_OR_RETURN(std::string text, ReadFile(model / "chat_template.jinja", kMaxTemplateFile));
    return std::optional<std::string>(std::move(text));
  }
  const std::filesystem::path path = model / "tokenizer_config.json";
  if (!std::filesystem::exists(path, error)) return std::optional<std::string>();
  SLUICE_ASSIGN_OR_RETURN(const nlohmann::json config, ReadJson(path));
  const auto found = config.find("chat_template");
  if (found == config.end() || found->is_null()) return std::optional<std::string>();
  if (found->is_string()) return std::optional<std::string>(found->get<std::string>());
  for (const nlohmann::json& item : found->is_array() ? *found : nlohmann::json::array()) {
    const bool sound = item.is_object() && item.contains("template") && item["template"].is_string();
    if (sound && item.value("name", nlohmann::json()) == "default") {
      return std::optional<std::string>(item["template"].get<std::string>());
    }
  }
  return Corrupt(path.string() + ": chat_template is neither a string nor a list with one named default");
}

}  // namespace sluice
