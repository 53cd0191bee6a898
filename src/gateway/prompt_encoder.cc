// Tokenizers here never read special tokens out of a text. A template needs them, so their ids are taken from where
// Hugging Face's files list them.
#include "gateway/prompt_encoder.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json_depth.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxTokenizerFile = uint64_t{256} << 20;

Result<nlohmann::json> ReadObject(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return nlohmann::json::object();
  SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxTokenizerFile));
  SLUICE_RETURN_IF_ERROR(CheckJsonDepth(text).WithContext(path.string()));
  nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Corrupt(path.string() + ": is not a JSON object");
  return json;
}

void AddToken(const nlohmann::json& token, const nlohmann::json& id, std::map<std::string, int64_t>& tokens) {
  if (!token.is_object() || !id.is_number_unsigned() || id > uint64_t{INT32_MAX}) return;
  const auto content = token.find("content");
  if (content != token.end() && content->is_string()) tokens[content->get<std::string>()] = id.get<int64_t>();
}

/// The tokens that a model folder names besides those of its vocabulary.
Result<std::map<std::string, int64_t>> ReadSpecialTokens(const fs::path& model) {
  std::map<std::string, int64_t> tokens;
  SLUICE_ASSIGN_OR_RETURN(const nlohmann::json file, ReadObject(model / "tokenizer.json"));
  const auto added = file.find("added_tokens");
  for (const nlohmann::json& token : added != file.end() && added->is_array() ? *added : nlohmann::json::array()) {
    if (token.is_object() && token.contains("id")) AddToken(token, token["id"], tokens);
  }
  SLUICE_ASSIGN_OR_RETURN(const nlohmann::json config, ReadObject(model / "tokenizer_config.json"));
  const auto decoder = config.find("added_tokens_decoder");
  if (decoder == config.end() || !decoder->is_object()) return tokens;
  for (const auto& [key, token] : decoder->items()) {
    uint64_t id = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error == std::errc() && end == key.data() + key.size()) AddToken(token, id, tokens);
  }
  return tokens;
}

void Append(std::vector<int64_t>& ids, std::span<const int32_t> more) {
  ids.insert(ids.end(), more.begin(), more.end());
}

}  // namespace

Result<PromptEncoder> PromptEncoder::Make(const Tokenizer& tokenizer, const fs::path& model,
                                          const std::string& chat_template) {
  PromptEncoder encoder(tokenizer);
  SLUICE_ASSIGN_OR_RETURN(encoder.special_, ReadSpecialTokens(model));
  SLUICE_RETURN_IF_ERROR(encoder.Choose(model, chat_template));
  return encoder;
}

Status PromptEncoder::Choose(const fs::path& model, const std::string& name) {
  if (name != "auto") {
    SLUICE_ASSIGN_OR_RETURN(const ChatTemplate named, ChatTemplate::Named(name));
    SLUICE_RETURN_IF_ERROR(CheckTokens(named));
    template_ = named;
    return OkStatus();
  }
  SLUICE_ASSIGN_OR_RETURN(const std::optional<std::string> jinja, ReadModelTemplate(model));
  if (!jinja) {
    no_template_ =
        "the model has no chat_template; start the gateway with --chat-template plain, or use /v1/completions";
    return OkStatus();
  }
  const Result<ChatTemplate> found = ChatTemplate::Recognize(*jinja);
  const Status usable = found.ok() ? CheckTokens(*found) : found.status();
  if (usable.ok()) {
    template_ = *found;
  } else {
    no_template_ = usable.message();
  }
  return OkStatus();
}

Status PromptEncoder::CheckTokens(const ChatTemplate& candidate) const {
  for (const std::string& token : candidate.tokens()) {
    if (special_.contains(token)) continue;
    return InvalidArgument(fmt::format("chat template {} needs the token {}, which the model's tokenizer does not list",
                                       candidate.name(), token));
  }
  return OkStatus();
}

Result<std::vector<int64_t>> PromptEncoder::Text(std::string_view text) const {
  std::vector<int64_t> ids;
  if (tokenizer_->bos()) ids.push_back(*tokenizer_->bos());
  SLUICE_ASSIGN_OR_RETURN(const std::vector<int32_t> encoded, tokenizer_->Encode(text));
  Append(ids, encoded);
  return ids;
}

Result<std::vector<int64_t>> PromptEncoder::Chat(std::span<const ChatMessage> messages) const {
  if (!template_) return Unsupported(no_template_);
  SLUICE_ASSIGN_OR_RETURN(const std::vector<TemplatePiece> pieces, template_->Render(messages));
  std::vector<int64_t> ids;
  for (const TemplatePiece& piece : pieces) {
    if (piece.kind == TemplatePiece::Kind::kText) {
      SLUICE_ASSIGN_OR_RETURN(const std::vector<int32_t> encoded, tokenizer_->Encode(piece.text));
      Append(ids, encoded);
    } else if (piece.kind == TemplatePiece::Kind::kToken) {
      ids.push_back(special_.at(piece.text));
    } else {
      const auto token = piece.kind == TemplatePiece::Kind::kBos ? tokenizer_->bos() : tokenizer_->eos();
      if (token) ids.push_back(*token);
    }
  }
  return ids;
}

std::vector<int64_t> PromptEncoder::chat_stop_tokens() const {
  std::vector<int64_t> ids;
  if (!template_) return ids;
  for (const std::string& token : template_->stop_tokens()) ids.push_back(special_.at(token));
  return ids;
}

}  // namespace sluice
