#include "cli/torch/network.h"

namespace sluice {

Result<TrustOptions> TrustOf(const NetworkOptions& options) {
  TrustOptions trust;
  if (!options.keys.empty()) {
    SLUICE_ASSIGN_OR_RETURN(trust, TrustFromFolder(options.keys));
  }
  SLUICE_ASSIGN_OR_RETURN(const std::string token, ReadToken(options.token_file));
  if (!token.empty()) trust.token = token;
  trust.plaintext = options.no_tls;
  return trust;
}

WireLog LogOf(const NetworkOptions& options, const std::string& name) {
  LogLevel level = LogLevel::kWarning;
  if (options.log_level == "debug") level = LogLevel::kDebug;
  if (options.log_level == "info") level = LogLevel::kInfo;
  if (options.log_level == "error") level = LogLevel::kError;
  return WireLog::ToStandardError(name, options.log_json, level);
}

}  // namespace sluice
