// Requests of HTTP clients. Data: a byte that chooses the kind, then a length and a text that is a chat_template, then
// the request's body. Proves: the parsers stay inside their limits and blame the body; what they take is within the
// ranges that they promise; templates are recognized or refused, and render what was parsed; text that comes in any
// pieces leaves the scanner whole, or ends where the first stop string begins.
#include <algorithm>

#include "fuzz_input.h"
#include "gateway/api_error.h"
#include "gateway/api_request.h"
#include "gateway/token_text.h"

namespace sluice {
namespace {

void CheckRequest(const ApiRequest& request) {
  FUZZ_REQUIRE(request.temperature >= 0 && request.temperature <= 2 && request.top_p > 0 && request.top_p <= 1);
  FUZZ_REQUIRE(request.stop.size() <= kMaxStopStrings && request.prompts.size() <= kMaxPrompts);
  FUZZ_REQUIRE(request.messages.size() <= kMaxMessages && request.messages.empty() != request.chat);
  FUZZ_REQUIRE(request.max_tokens.value_or(1) >= 1);
  for (const std::string& stop : request.stop) FUZZ_REQUIRE(!stop.empty() && stop.size() <= kMaxStopBytes);
  for (const ChatMessage& message : request.messages) {
    FUZZ_REQUIRE(message.role == "system" || message.role == "user" || message.role == "assistant");
  }
}

void Render(const ApiRequest& request) {
  for (const char* name : {"plain", "chatml", "llama2"}) {
    const auto pieces = ChatTemplate::Named(name)->Render(request.messages);
    RequireInputFault(pieces.status());
    FUZZ_REQUIRE(!pieces.ok() || !pieces->empty());
  }
}

void Scan(std::string_view text, const std::vector<std::string>& stops, size_t piece) {
  StopScanner scanner(stops);
  std::string shown;
  for (size_t at = 0; at < text.size(); at += piece) shown += scanner.Add(text.substr(at, piece));
  const bool stopped = scanner.stopped();
  shown += scanner.Flush();
  FUZZ_REQUIRE(text.starts_with(shown));
  for (const std::string& stop : stops) FUZZ_REQUIRE(shown.find(stop) == std::string::npos);
  FUZZ_REQUIRE(stopped || shown == text);
  FUZZ_REQUIRE(UnsettledBytes(text) <= std::min<size_t>(text.size(), 9));
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  FuzzInput input(data, size);
  const uint8_t kind = input.Byte();
  const std::string_view jinja = input.ShortText();
  RequireInputFault(ChatTemplate::Recognize(jinja).status());
  const std::string_view body = AsText(input.Rest());
  const Result<ApiRequest> request = kind % 2 == 0 ? ParseCompletionRequest(body) : ParseChatRequest(body);
  RequireInputFault(request.status());
  if (!request.ok()) {
    FUZZ_REQUIRE(FieldErrorOf(request.status()).http == 400);
    return 0;
  }
  CheckRequest(*request);
  if (request->chat) Render(*request);
  if (!request->stop.empty()) Scan(body, request->stop, 1 + kind / 2 % 16);
  return 0;
}
