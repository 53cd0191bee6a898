#ifndef SLUICE_GATEWAY_API_REQUEST_H_
#define SLUICE_GATEWAY_API_REQUEST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/status.h"
#include "gateway/chat_template.h"

namespace sluice {

inline constexpr size_t kMaxPrompts = 16;
inline constexpr size_t kMaxMessages = 1024;
inline constexpr size_t kMaxStopStrings = 4;
inline constexpr size_t kMaxStopBytes = 256;

/// A text, or its tokens.
using ApiPrompt = std::variant<std::string, std::vector<int64_t>>;

/// A request of /v1/completions or /v1/chat/completions.
/// Range: temperature in [0, 2], top_p in (0, 1], up to 4 stop strings of 1 to 256 bytes, up to 16 prompts.
struct ApiRequest {
  bool chat = false;
  std::string model;                   ///< empty: whichever is served
  std::vector<ApiPrompt> prompts;      ///< of completions; each has its choice in the answer
  std::vector<ChatMessage> messages;   ///< of chats
  std::optional<uint64_t> max_tokens;  ///< none: 16 of completions, all that fit of chats
  double temperature = 1;
  double top_p = 1;
  std::optional<uint64_t> seed;
  std::vector<std::string> stop;
  bool stream = false;
  bool include_usage = false;      ///< in a last event of the stream
  bool echo = false;               ///< completions: the prompt comes first
  bool log_probabilities = false;  ///< of the tokens that were chosen
  bool token_ids = false;          ///< "return_token_ids"
};

/// Reads the body of a request. Fields that are not known are ignored; those that are known and would change the answer
/// in a way that is not offered are refused. null is the same as nothing.
/// Errors, with a message "field: what is expected and what came": InvalidArgument; Unsupported for what other servers
/// may offer, such as n > 1; without a field for what is not a JSON object.
Result<ApiRequest> ParseCompletionRequest(std::string_view body);
Result<ApiRequest> ParseChatRequest(std::string_view body);

}  // namespace sluice

#endif  // SLUICE_GATEWAY_API_REQUEST_H_
