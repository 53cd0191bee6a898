#ifndef SLUICE_CLI_VERB_H_
#define SLUICE_CLI_VERB_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/status.h"

namespace sluice {

/// What every sub-command shares: its parser with --json and --quiet, error reporting, exit codes.
///
/// A verb declares its options on `app`, and `Run` parses, does the work and reports. Failures go to standard error as
/// "sluice VERB: Code: message", with --json also to standard output as {"error": {...}}; nothing else is printed then.
class Verb {
 public:
  /// `examples`: lines shown at the end of --help.
  Verb(std::string name, const std::string& description, const std::string& examples);

  CLI::App& app() { return app_; }
  bool json() const { return json_; }
  /// Nothing is shown but the result and errors.
  bool quiet() const { return quiet_ || json_; }

  /// Parses and runs. `argv[0]` is the verb. Returns the exit code.
  int Run(int argc, char** argv, const std::function<Status()>& work);

  /// Prints a result: as JSON with --json, else `text`.
  void Print(const nlohmann::ordered_json& result, std::string_view text) const;

 private:
  int Report(const Status& status) const;

  std::string name_;
  CLI::App app_;
  bool json_ = false;
  bool quiet_ = false;
};

/// The version of this program, "0.1.0".
std::string ProgramVersion();

/// Left-aligned two-column lines, "name   value".
std::string KeyValueTable(const std::vector<std::pair<std::string, std::string>>& rows);

}  // namespace sluice

#endif  // SLUICE_CLI_VERB_H_
