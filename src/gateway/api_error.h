#ifndef SLUICE_GATEWAY_API_ERROR_H_
#define SLUICE_GATEWAY_API_ERROR_H_

#include <nlohmann/json.hpp>
#include <string>

#include "base/status.h"

namespace sluice {

/// Why a request was refused or failed, as an HTTP client is told.
struct ApiError {
  int http = 400;
  std::string message;
  std::string type = "invalid_request_error";
  std::string param = {};  ///< the field that is to blame; empty: none
  std::string code = {};
};

/// What happened behind the gateway. The client's fault is 400; a node's 502, 503 or 504.
ApiError ErrorOf(const Status& status);
/// What a parser of requests said, "field: text": the field becomes `param`.
ApiError FieldErrorOf(const Status& status);

/// A text, or null where it is empty.
nlohmann::ordered_json OrNull(const std::string& text);

/// {"error": {...}} in OpenAI's form.
nlohmann::ordered_json ErrorJson(const ApiError& error);

}  // namespace sluice

#endif  // SLUICE_GATEWAY_API_ERROR_H_
