#ifndef SLUICE_CLI_WIRE_OPTIONS_H_
#define SLUICE_CLI_WIRE_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>

namespace sluice {

/// Options that every verb with a network has: whom it trusts, and what it logs.
struct NetworkOptions {
  std::filesystem::path keys;
  std::filesystem::path token_file;
  std::string name;
  std::string log_level = "warning";
  bool no_tls = false;
  bool log_json = false;
};
void AddNetworkOptions(CLI::App& app, NetworkOptions& options);

/// An option that is a time limit. `range`: CLI::NonNegativeNumber where 0 has a meaning.
CLI::Option* AddSeconds(CLI::App& app, const std::string& name, double& seconds, const std::string& description,
                        CLI::Validator range = CLI::PositiveNumber);

}  // namespace sluice

#endif  // SLUICE_CLI_WIRE_OPTIONS_H_
