#ifndef SLUICE_CLI_VERB_H_
#define SLUICE_CLI_VERB_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/status.h"

namespace sluice {

/// Of any model; what an option that counts layers can be.
inline constexpr int kMostLayers = 65'535;

/// What every sub-command shares: its parser with --json and --quiet, error reporting, exit codes.
///
/// A verb declares its options on `app`, and `Run` parses, does the work and reports. Options of type_name FILE, DIR or
/// CODEC name files: a result is never written over what another of them names. Numbers that are not finite are
/// refused. Failures go to standard error as "sluice VERB: Code: message", with --json also to standard output as
/// {"error": {...}}; nothing else is printed then.
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

  /// Prints a result: as JSON with --json, else `text`. A failure after it, of a part of the work, is told on standard
  /// error alone.
  void Print(const nlohmann::ordered_json& result, std::string_view text);

 private:
  std::string name_;
  CLI::App app_;
  bool json_ = false;
  bool quiet_ = false;
  bool printed_ = false;
};

/// Says what failed, as `Verb` does, when something did; `command` is "sluice VERB". Returns the exit code.
int ReportStatus(const Status& status, std::string_view command, bool json);
/// Whether --json is among the arguments, for errors before or while they are parsed.
bool AsksForJson(int argc, const char* const* argv);

/// The version of this program, "0.1.0".
std::string ProgramVersion();

/// Left-aligned two-column lines, "name   value".
std::string KeyValueTable(const std::vector<std::pair<std::string, std::string>>& rows);

}  // namespace sluice

#endif  // SLUICE_CLI_VERB_H_
