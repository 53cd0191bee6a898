// One table from our codes to HTTP's. OpenAI's clients try 429 and 5xx again by themselves and nothing else, so what
// may succeed later must be among those, and what cannot must not.
#include "gateway/api_error.h"

namespace sluice {
namespace {

int HttpCode(StatusCode code) {
  switch (code) {
    case StatusCode::kInvalidArgument:
    case StatusCode::kUnsupported:
      return 400;
    case StatusCode::kMismatch:
    case StatusCode::kDenied:
      return 502;
    case StatusCode::kUnavailable:
    case StatusCode::kInterrupted:
      return 503;
    case StatusCode::kTimedOut:
      return 504;
    default:
      return 500;
  }
}

}  // namespace

ApiError ErrorOf(const Status& status) {
  ApiError error{.http = HttpCode(status.code()), .message = status.message()};
  if (error.http >= 500) error.type = "server_error";
  error.code = StatusCodeName(status.code());
  return error;
}

ApiError FieldErrorOf(const Status& status) {
  ApiError error{.message = status.message()};
  const size_t colon = error.message.find(": ");
  if (colon != std::string::npos && error.message.find(' ') > colon) error.param = error.message.substr(0, colon);
  if (status.code() == StatusCode::kUnsupported) error.code = "unsupported_value";
  return error;
}

nlohmann::ordered_json OrNull(const std::string& text) {
  return text.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(text);
}

nlohmann::ordered_json ErrorJson(const ApiError& error) {
  return {{"error",
           {{"message", error.message},
            {"type", error.type},
            {"param", OrNull(error.param)},
            {"code", OrNull(error.code)}}}};
}

}  // namespace sluice
