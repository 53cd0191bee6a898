#ifndef SLUICE_GATEWAY_API_ANSWER_H_
#define SLUICE_GATEWAY_API_ANSWER_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gateway/api_request.h"
#include "gateway/choice_run.h"

namespace sluice {

/// What all events of an answer have in common.
struct AnswerHead {
  bool chat = false;
  std::string id;
  std::string model;
  int64_t created = 0;  ///< seconds since 1970
  bool include_usage = false;
  bool log_probabilities = false;
  bool token_ids = false;
};

struct Usage {
  uint64_t prompt_tokens = 0;
  uint64_t completion_tokens = 0;
};

/// An answer in one piece; a part for each choice, with everything in it.
nlohmann::ordered_json WholeAnswer(const AnswerHead& head, const std::vector<AnswerPart>& choices, const Usage& usage);

/// An event of a stream. The first of a chat's choice says who speaks.
nlohmann::ordered_json PartEvent(const AnswerHead& head, size_t choice, const AnswerPart& part);
nlohmann::ordered_json RoleEvent(const AnswerHead& head, size_t choice);
/// The last event, where it was asked for.
nlohmann::ordered_json UsageEvent(const AnswerHead& head, const Usage& usage);

/// JSON for the wire: bytes that are no UTF-8 become U+FFFD.
std::string JsonText(const nlohmann::ordered_json& json);
/// The same as a server-sent event.
std::string EventText(const nlohmann::ordered_json& json);
inline constexpr char kLastEvent[] = "data: [DONE]\n\n";

}  // namespace sluice

#endif  // SLUICE_GATEWAY_API_ANSWER_H_
