#include "gateway/api_answer.h"

#include "gateway/api_error.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

Json HeadOf(const AnswerHead& head, bool stream) {
  const char* object = !head.chat ? "text_completion" : stream ? "chat.completion.chunk" : "chat.completion";
  return {{"id", head.id}, {"object", object}, {"created", head.created}, {"model", head.model}};
}

/// Of completions: four lists of equal length.
Json CompletionProbabilities(const std::vector<AnswerToken>& tokens) {
  Json lists = {{"tokens", Json::array()},
                {"token_logprobs", Json::array()},
                {"top_logprobs", nullptr},
                {"text_offset", Json::array()}};
  for (const AnswerToken& token : tokens) {
    lists["tokens"].push_back(token.text);
    lists["token_logprobs"].push_back(token.log_probability);
    lists["text_offset"].push_back(token.offset);
  }
  return lists;
}

/// Of chats: an object for each token.
Json ChatProbabilities(const std::vector<AnswerToken>& tokens) {
  Json content = Json::array();
  for (const AnswerToken& token : tokens) {
    const std::vector<uint8_t> bytes(token.text.begin(), token.text.end());
    content.push_back(
        {{"token", token.text}, {"logprob", token.log_probability}, {"bytes", bytes}, {"top_logprobs", Json::array()}});
  }
  return {{"content", content}, {"refusal", nullptr}};
}

void AddDetails(const AnswerHead& head, const AnswerPart& part, Json& choice) {
  choice["logprobs"] = nullptr;
  if (head.log_probabilities) {
    choice["logprobs"] = head.chat ? ChatProbabilities(part.tokens) : CompletionProbabilities(part.tokens);
  }
  choice["finish_reason"] = OrNull(part.finish_reason);
  if (!head.token_ids) return;
  choice["token_ids"] = Json::array();
  for (const AnswerToken& token : part.tokens) choice["token_ids"].push_back(token.id);
}

Json UsageJson(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
}

Json EventWith(const AnswerHead& head, Json choices) {
  Json event = HeadOf(head, true);
  event["choices"] = std::move(choices);
  if (head.include_usage) event["usage"] = nullptr;
  return event;
}

}  // namespace

Json WholeAnswer(const AnswerHead& head, const std::vector<AnswerPart>& choices, const Usage& usage) {
  Json answer = HeadOf(head, false);
  answer["choices"] = Json::array();
  for (size_t i = 0; i < choices.size(); ++i) {
    Json choice = {{"index", i}};
    if (head.chat) {
      choice["message"] = {{"role", "assistant"}, {"content", choices[i].text}, {"refusal", nullptr}};
    } else {
      choice["text"] = choices[i].text;
    }
    AddDetails(head, choices[i], choice);
    answer["choices"].push_back(std::move(choice));
  }
  answer["usage"] = UsageJson(usage);
  return answer;
}

Json PartEvent(const AnswerHead& head, size_t choice, const AnswerPart& part) {
  Json item = {{"index", choice}};
  if (head.chat) {
    item["delta"] = part.text.empty() ? Json::object() : Json{{"content", part.text}};
  } else {
    item["text"] = part.text;
  }
  AddDetails(head, part, item);
  return EventWith(head, Json::array({item}));
}

Json RoleEvent(const AnswerHead& head, size_t choice) {
  const Json item = {{"index", choice},
                     {"delta", {{"role", "assistant"}, {"content", ""}}},
                     {"logprobs", nullptr},
                     {"finish_reason", nullptr}};
  return EventWith(head, Json::array({item}));
}

Json UsageEvent(const AnswerHead& head, const Usage& usage) {
  Json event = HeadOf(head, true);
  event["choices"] = Json::array();
  event["usage"] = UsageJson(usage);
  return event;
}

std::string JsonText(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string EventText(const Json& json) { return "data: " + JsonText(json) + "\n\n"; }

}  // namespace sluice
