#include "cli/verb.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>

#include "base/progress.h"

namespace sluice {

Verb::Verb(std::string name, const std::string& description, const std::string& examples)
    : name_(std::move(name)), app_(description, "sluice " + name_) {
  app_.footer("\nExamples:\n" + examples +
              "\nExit codes: 0 Ok, 1 Internal, 2 InvalidArgument, 3 Truncated, 4 Corrupt, 5 Unsupported, 6 Mismatch, "
              "7 Io, 8 Unavailable, 9 Denied, 10 TimedOut, 130 Interrupted.");
  app_.add_flag("--json", json_, "Print the result as JSON on standard output, errors included");
  app_.add_flag("-q,--quiet", quiet_, "No progress bar");
  app_.option_defaults()->always_capture_default();
  app_.get_formatter()->column_width(34);
}

int Verb::Report(const Status& status) const {
  if (status.ok()) return 0;
  fmt::print(stderr, "sluice {}: {}\n", name_, status.ToString());
  if (json_) {
    const nlohmann::ordered_json error = {{"code", StatusCodeName(status.code())}, {"message", status.message()}};
    fmt::print("{}\n",
               nlohmann::ordered_json{{"error", error}}.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  }
  return ExitCode(status.code());
}

int Verb::Run(int argc, char** argv, const std::function<Status()>& work) {
  try {
    app_.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app_.exit(help);
  } catch (const CLI::ParseError& error) {
    json_ = json_ || std::any_of(argv, argv + argc, [](const char* arg) { return std::string_view(arg) == "--json"; });
    return Report(InvalidArgument(fmt::format("{} (see sluice {} --help)", error.what(), name_)));
  }
  if (quiet()) ProgressBar::Silence();
  try {
    Status status = work();
    if (status.ok() && (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)) {
      status = IoError("standard output cannot be written");
    }
    return Report(status);
  } catch (const std::exception& error) {
    return Report(Internal(error.what()));
  }
}

void Verb::Print(const nlohmann::ordered_json& result, std::string_view text) const {
  if (json_) {
    fmt::print("{}\n", result.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    fmt::print("{}", text);
  }
}

std::string ProgramVersion() { return SLUICE_VERSION; }

std::string KeyValueTable(const std::vector<std::pair<std::string, std::string>>& rows) {
  size_t width = 0;
  for (const auto& row : rows) width = std::max(width, row.first.size());
  std::string text;
  for (const auto& [name, value] : rows) text += fmt::format("{:<{}}  {}\n", name, width, value);
  return text;
}

}  // namespace sluice
