// A request is a tree of JSON from a stranger. Every field is asked for by name and type; the first that is wrong ends
// the parsing with its name, because that is what the client's author needs. Whether a field is ignored or refused
// follows one rule: leaving it away must not change what the answer means.
#include "gateway/api_request.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/json_depth.h"

namespace sluice {
namespace {

using ParsedJson = nlohmann::json;

constexpr uint64_t kDefaultCompletionTokens = 16;
constexpr uint64_t kMostTokens = 1 << 24;
constexpr double kMostTemperature = 2;

Status Wrong(std::string_view field, std::string_view expected, const ParsedJson& got) {
  return InvalidArgument(fmt::format("{}: expected {}, got {} {}", field, expected,
                                     got.is_array() || got.is_object() ? "an" : "a", got.type_name()));
}

/// Reads the fields of one object.
class Fields {
 public:
  explicit Fields(const ParsedJson& object, std::string prefix = "") : object_(object), prefix_(std::move(prefix)) {}

  /// Null when the field is absent or null.
  const ParsedJson* Find(const char* name) const {
    const auto found = object_.find(name);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }
  std::string Name(const char* name) const { return prefix_ + name; }

  Status Flag(const char* name, bool& value) const {
    const ParsedJson* field = Find(name);
    if (field == nullptr) return OkStatus();
    if (!field->is_boolean()) return Wrong(Name(name), "true or false", *field);
    value = field->get<bool>();
    return OkStatus();
  }

  Status Text(const char* name, std::string& value) const {
    const ParsedJson* field = Find(name);
    if (field == nullptr) return OkStatus();
    if (!field->is_string()) return Wrong(Name(name), "a string", *field);
    value = field->get<std::string>();
    return OkStatus();
  }

  Status Number(const char* name, double least, double most, double& value) const {
    const ParsedJson* field = Find(name);
    if (field == nullptr) return OkStatus();
    if (!field->is_number()) return Wrong(Name(name), "a number", *field);
    value = field->get<double>();
    if (value >= least && value <= most) return OkStatus();
    return InvalidArgument(fmt::format("{}: expected a number from {} to {}, got {}", Name(name), least, most, value));
  }

  Result<std::optional<uint64_t>> Count(const char* name, uint64_t least, uint64_t most) const {
    const ParsedJson* field = Find(name);
    if (field == nullptr) return std::optional<uint64_t>();
    if (!field->is_number_integer()) return Wrong(Name(name), "an integer", *field);
    if (field->is_number_unsigned() && *field >= least && *field <= most) {
      return std::optional<uint64_t>(field->get<uint64_t>());
    }
    return InvalidArgument(
        fmt::format("{}: expected an integer from {} to {}, got {}", Name(name), least, most, field->dump()));
  }

  /// A field that may be there as long as it asks for nothing.
  Status Nothing(const char* name, const ParsedJson& allowed) const {
    const ParsedJson* field = Find(name);
    if (field == nullptr || *field == allowed || (allowed.empty() && field->empty())) return OkStatus();
    return Unsupported(fmt::format("{}: this server takes {} only", Name(name), allowed.dump()));
  }

 private:
  const ParsedJson& object_;
  std::string prefix_;
};

Result<ParsedJson> ParseObject(std::string_view body) {
  const Status depth = CheckJsonDepth(body);
  if (!depth.ok()) return InvalidArgument("the body's JSON is too deep: " + depth.message());
  ParsedJson json = ParsedJson::parse(body, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return InvalidArgument("the body is not JSON in UTF-8");
  if (!json.is_object()) {
    return InvalidArgument(fmt::format("the body is JSON of type {}, expected an object", json.type_name()));
  }
  return json;
}

Result<std::vector<int64_t>> ParseTokens(const ParsedJson& array) {
  std::vector<int64_t> tokens;
  tokens.reserve(array.size());
  for (const ParsedJson& item : array) {
    const bool token = item.is_number_unsigned() && item <= uint64_t{INT32_MAX};
    if (!token) return InvalidArgument(fmt::format("prompt: '{}' is not the id of a token", item.dump().substr(0, 40)));
    tokens.push_back(item.get<int64_t>());
  }
  return tokens;
}

Result<std::vector<ApiPrompt>> ParsePrompts(const Fields& fields) {
  constexpr std::string_view kForms = "a string, token ids, or an array of either";
  const ParsedJson* field = fields.Find("prompt");
  if (field == nullptr) return InvalidArgument("prompt: is missing");
  if (field->is_string()) return std::vector<ApiPrompt>{field->get<std::string>()};
  if (!field->is_array()) return Wrong("prompt", kForms, *field);
  if (field->empty()) return InvalidArgument("prompt: the array is empty");
  if (field->front().is_number()) {
    SLUICE_ASSIGN_OR_RETURN(auto tokens, ParseTokens(*field));
    return std::vector<ApiPrompt>{std::move(tokens)};
  }
  if (field->size() > kMaxPrompts) {
    return InvalidArgument(fmt::format("prompt: {} prompts, at most {} are taken", field->size(), kMaxPrompts));
  }
  std::vector<ApiPrompt> prompts;
  for (const ParsedJson& item : *field) {
    if (item.is_string()) {
      prompts.emplace_back(item.get<std::string>());
      continue;
    }
    if (!item.is_array()) return Wrong("prompt", kForms, item);
    SLUICE_ASSIGN_OR_RETURN(auto tokens, ParseTokens(item));
    prompts.emplace_back(std::move(tokens));
  }
  return prompts;
}

Status ParseStop(const Fields& fields, std::vector<std::string>& stop) {
  const ParsedJson* field = fields.Find("stop");
  if (field == nullptr) return OkStatus();
  if (!field->is_string() && !field->is_array()) return Wrong("stop", "a string or an array of strings", *field);
  const ParsedJson list = field->is_string() ? ParsedJson::array({*field}) : *field;
  if (list.size() > kMaxStopStrings) {
    return InvalidArgument(fmt::format("stop: {} strings, at most {} are taken", list.size(), kMaxStopStrings));
  }
  for (const ParsedJson& item : list) {
    if (!item.is_string()) return Wrong("stop", "strings", item);
    const auto& text = item.get_ref<const std::string&>();
    if (text.empty() || text.size() > kMaxStopBytes) {
      return InvalidArgument(fmt::format("stop: a string of {} bytes, expected 1 to {}", text.size(), kMaxStopBytes));
    }
    stop.push_back(text);
  }
  return OkStatus();
}

Status ParseSampling(const Fields& fields, ApiRequest& request) {
  SLUICE_RETURN_IF_ERROR(fields.Number("temperature", 0, kMostTemperature, request.temperature));
  SLUICE_RETURN_IF_ERROR(fields.Number("top_p", 0, 1, request.top_p));
  if (request.top_p <= 0) return InvalidArgument("top_p: expected a number above 0");
  const ParsedJson* seed = fields.Find("seed");
  if (seed == nullptr) return OkStatus();
  if (!seed->is_number_integer()) return Wrong("seed", "an integer", *seed);
  request.seed = seed->is_number_unsigned() ? seed->get<uint64_t>() : static_cast<uint64_t>(seed->get<int64_t>());
  return OkStatus();
}

Status ParseStream(const Fields& fields, ApiRequest& request) {
  SLUICE_RETURN_IF_ERROR(fields.Flag("stream", request.stream));
  const ParsedJson* options = fields.Find("stream_options");
  if (options == nullptr) return OkStatus();
  if (!options->is_object()) return Wrong("stream_options", "an object", *options);
  if (!request.stream) return InvalidArgument("stream_options: only together with \"stream\": true");
  return Fields(*options, "stream_options.").Flag("include_usage", request.include_usage);
}

/// Whatever route they come by: a client that asks for tools where it cannot have them expects them all the same.
Status RefuseUnsupported(const Fields& fields) {
  for (const char* name : {"n", "best_of"}) SLUICE_RETURN_IF_ERROR(fields.Nothing(name, 1));
  for (const char* name : {"frequency_penalty", "presence_penalty", "top_logprobs"}) {
    SLUICE_RETURN_IF_ERROR(fields.Nothing(name, 0));
  }
  for (const char* name : {"tools", "functions"}) SLUICE_RETURN_IF_ERROR(fields.Nothing(name, ParsedJson::array()));
  SLUICE_RETURN_IF_ERROR(fields.Nothing("suffix", ""));
  SLUICE_RETURN_IF_ERROR(fields.Nothing("logit_bias", ParsedJson::object()));
  const ParsedJson* format = fields.Find("response_format");
  if (format == nullptr) return OkStatus();
  if (!format->is_object()) return Wrong("response_format", "an object", *format);
  return Fields(*format, "response_format.").Nothing("type", "text");
}

/// What both kinds of requests have.
Status ParseShared(const Fields& fields, ApiRequest& request) {
  SLUICE_RETURN_IF_ERROR(fields.Text("model", request.model));
  SLUICE_RETURN_IF_ERROR(ParseSampling(fields, request));
  SLUICE_RETURN_IF_ERROR(ParseStop(fields, request.stop));
  SLUICE_RETURN_IF_ERROR(ParseStream(fields, request));
  SLUICE_RETURN_IF_ERROR(fields.Flag("return_token_ids", request.token_ids));
  return RefuseUnsupported(fields);
}

/// A message's text: a string, or an array of parts that are text.
Result<std::string> ParseContent(const Fields& message) {
  const ParsedJson* content = message.Find("content");
  const std::string name = message.Name("content");
  if (content == nullptr) return InvalidArgument(name + ": is missing");
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array()) return Wrong(name, "a string or an array of parts", *content);
  std::string text;
  for (const ParsedJson& part : *content) {
    if (!part.is_object()) return Wrong(name, "parts that are objects", part);
    const Fields fields(part, name + ".");
    std::string type, piece;
    SLUICE_RETURN_IF_ERROR(fields.Text("type", type));
    if (type != "text") return Unsupported(fmt::format("{}: parts of type '{}'; only text is taken", name, type));
    SLUICE_RETURN_IF_ERROR(fields.Text("text", piece));
    text += piece;
  }
  return text;
}

Status ParseMessages(const Fields& fields, std::vector<ChatMessage>& messages) {
  const ParsedJson* field = fields.Find("messages");
  if (field == nullptr) return InvalidArgument("messages: is missing");
  if (!field->is_array()) return Wrong("messages", "an array", *field);
  if (field->empty() || field->size() > kMaxMessages) {
    return InvalidArgument(fmt::format("messages: {} messages, expected 1 to {}", field->size(), kMaxMessages));
  }
  for (size_t i = 0; i < field->size(); ++i) {
    const ParsedJson& item = (*field)[i];
    const std::string name = fmt::format("messages[{}]", i);
    if (!item.is_object()) return Wrong(name, "an object", item);
    const Fields message(item, name + ".");
    ChatMessage& parsed = messages.emplace_back();
    SLUICE_RETURN_IF_ERROR(message.Text("role", parsed.role));
    if (parsed.role == "developer") parsed.role = "system";
    if (parsed.role != "system" && parsed.role != "user" && parsed.role != "assistant") {
      return Unsupported(
          fmt::format("{}.role: '{}', expected system, developer, user or assistant", name, parsed.role));
    }
    SLUICE_ASSIGN_OR_RETURN(parsed.content, ParseContent(message));
  }
  return OkStatus();
}

}  // namespace

Result<ApiRequest> ParseCompletionRequest(std::string_view body) {
  SLUICE_ASSIGN_OR_RETURN(const ParsedJson json, ParseObject(body));
  const Fields fields(json);
  ApiRequest request;
  SLUICE_ASSIGN_OR_RETURN(request.prompts, ParsePrompts(fields));
  SLUICE_RETURN_IF_ERROR(ParseShared(fields, request));
  SLUICE_ASSIGN_OR_RETURN(request.max_tokens, fields.Count("max_tokens", 1, kMostTokens));
  if (!request.max_tokens) request.max_tokens = kDefaultCompletionTokens;
  SLUICE_RETURN_IF_ERROR(fields.Flag("echo", request.echo));
  SLUICE_ASSIGN_OR_RETURN(const auto probabilities, fields.Count("logprobs", 0, 5));
  if (probabilities.value_or(0) > 0) {
    return Unsupported("logprobs: this server gives those of the chosen tokens, with 0, and of no others");
  }
  request.log_probabilities = probabilities.has_value();
  if (request.echo && request.log_probabilities) return Unsupported("echo: not together with logprobs");
  return request;
}

Result<ApiRequest> ParseChatRequest(std::string_view body) {
  SLUICE_ASSIGN_OR_RETURN(const ParsedJson json, ParseObject(body));
  const Fields fields(json);
  ApiRequest request;
  request.chat = true;
  SLUICE_RETURN_IF_ERROR(ParseMessages(fields, request.messages));
  SLUICE_RETURN_IF_ERROR(ParseShared(fields, request));
  SLUICE_ASSIGN_OR_RETURN(request.max_tokens, fields.Count("max_completion_tokens", 1, kMostTokens));
  SLUICE_ASSIGN_OR_RETURN(const auto older, fields.Count("max_tokens", 1, kMostTokens));
  if (!request.max_tokens) request.max_tokens = older;
  SLUICE_RETURN_IF_ERROR(fields.Flag("logprobs", request.log_probabilities));
  return request;
}

}  // namespace sluice
