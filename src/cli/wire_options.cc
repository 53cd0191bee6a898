#include "cli/wire_options.h"

#include <utility>

namespace sluice {

void AddNetworkOptions(CLI::App& app, NetworkOptions& options) {
  app.add_option("--keys", options.keys,
                 "This node's folder from `sluice keys`: TLS 1.3 with certificates on both sides")
      ->type_name("DIR");
  app.add_option("--token-file", options.token_file,
                 "File with the secret that callers show; else the environment's SLUICE_TOKEN, or the folder's")
      ->type_name("FILE");
  app.add_flag("--no-tls", options.no_tls, "Allow other addresses than loopback without keys: everything is readable");
  app.add_option("--name", options.name, "This node's name in logs and messages");
  app.add_option("--log", options.log_level, "Least level that is logged")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}));
  app.add_flag("--log-json", options.log_json, "Log lines as JSON");
}

CLI::Option* AddSeconds(CLI::App& app, const std::string& name, double& seconds, const std::string& description,
                        CLI::Validator range) {
  return app.add_option(name, seconds, description)->check(std::move(range));
}

}  // namespace sluice
