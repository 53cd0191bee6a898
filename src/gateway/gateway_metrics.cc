#include "gateway/gateway_metrics.h"

#include <fmt/format.h>

namespace sluice {

void GatewayMetrics::CountRequest(const std::string& route, int http) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++requests_[{route, http}];
}

void GatewayMetrics::CountTokens(const Usage& usage) {
  const std::lock_guard<std::mutex> lock(mutex_);
  tokens_.prompt_tokens += usage.prompt_tokens;
  tokens_.completion_tokens += usage.completion_tokens;
}

void GatewayMetrics::CountCancelled() {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++cancelled_;
}

std::string GatewayMetrics::Text(size_t active, uint64_t refused) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::string text;
  const auto describe = [&](const char* name, const char* type, const char* help) {
    text += fmt::format("# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
  };
  const auto single = [&](const char* name, const char* type, const char* help, uint64_t value) {
    describe(name, type, help);
    text += fmt::format("{} {}\n", name, value);
  };
  describe("sluice_http_requests_total", "counter", "HTTP requests by route and code.");
  for (const auto& [key, count] : requests_) {
    text += fmt::format("sluice_http_requests_total{{route=\"{}\",code=\"{}\"}} {}\n", key.first, key.second, count);
  }
  describe("sluice_http_tokens_total", "counter", "Tokens of prompts and of answers.");
  text += fmt::format("sluice_http_tokens_total{{kind=\"prompt\"}} {}\n", tokens_.prompt_tokens);
  text += fmt::format("sluice_http_tokens_total{{kind=\"completion\"}} {}\n", tokens_.completion_tokens);
  single("sluice_http_generating", "gauge", "Requests that generate now.", active);
  single("sluice_http_cancelled_total", "counter", "Clients that went away before the end.", cancelled_);
  single("sluice_http_refused_connections_total", "counter", "Connections beyond the limit.", refused);
  return text;
}

}  // namespace sluice
