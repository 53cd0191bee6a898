#include "cli/verb.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>

#include "base/progress.h"

namespace sluice {
namespace {

// Options that name what a verb writes. Every other option of type FILE, DIR or CODEC names what it reads.
constexpr std::string_view kOutputs[] = {"--out", "--ids-out", "--html", "--csv", "--metrics-file"};

void PrintJson(const nlohmann::ordered_json& json) {
  fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

// CLI11 appends the checks of an option to its type: "FLOAT:POSITIVE".
std::string TypeOf(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  return type.substr(0, type.find(':'));
}

bool NamesFile(const CLI::Option& option) {
  const std::string type = TypeOf(option);
  return type == "FILE" || type == "DIR" || type == "CODEC";
}

// Also for files that are not there yet, and through links.
bool OneFile(const std::filesystem::path& a, const std::filesystem::path& b) {
  std::error_code error;
  if (std::filesystem::equivalent(a, b, error)) return true;
  return std::filesystem::absolute(a, error).lexically_normal() ==
         std::filesystem::absolute(b, error).lexically_normal();
}

// "--out a --text a" would write the result over the text.
Status CheckOutputs(const CLI::App& app) {
  const std::vector<const CLI::Option*> options = app.get_options();
  const auto writes = [](const CLI::Option& option) {
    return std::find(std::begin(kOutputs), std::end(kOutputs), option.get_name()) != std::end(kOutputs);
  };
  for (const CLI::Option* output : options) {
    if (output->empty() || !writes(*output)) continue;
    for (const CLI::Option* other : options) {
      if (other == output || other->empty() || !NamesFile(*other)) continue;
      for (const std::string& name : other->results()) {
        if (!OneFile(output->results().front(), name)) continue;
        return InvalidArgument(fmt::format("{}: {} would overwrite what {} {}", name, output->get_name(),
                                           other->get_name(), writes(*other) ? "writes" : "reads"));
      }
    }
  }
  return OkStatus();
}

// Range checks compare, and NaN compares as neither too small nor too large.
Status CheckFinite(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options()) {
    if (TypeOf(*option) != "FLOAT") continue;
    for (const std::string& number : option->results()) {
      if (std::isfinite(std::strtod(number.c_str(), nullptr))) continue;
      return InvalidArgument(fmt::format("{}: {} is not a finite number", option->get_name(), number));
    }
  }
  return OkStatus();
}

}  // namespace

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

int Verb::Run(int argc, char** argv, const std::function<Status()>& work) {
  try {
    app_.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app_.exit(help);
  } catch (const CLI::ParseError& error) {
    return ReportStatus(InvalidArgument(fmt::format("{} (see sluice {} --help)", error.what(), name_)),
                        "sluice " + name_, AsksForJson(argc, argv));
  }
  if (quiet()) ProgressBar::Silence();
  const auto report = [&](const Status& status) { return ReportStatus(status, "sluice " + name_, json_ && !printed_); };
  try {
    Status status = CheckFinite(app_);
    if (status.ok()) status = CheckOutputs(app_);
    if (status.ok()) status = work();
    if (status.ok() && (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)) {
      status = IoError("standard output cannot be written");
    }
    return report(status);
  } catch (const std::filesystem::filesystem_error& error) {
    return report(IoError(error.what()));
  } catch (const std::exception& error) {
    return report(Internal(error.what()));
  }
}

void Verb::Print(const nlohmann::ordered_json& result, std::string_view text) {
  printed_ = true;
  if (json_) {
    PrintJson(result);
  } else {
    fmt::print("{}", text);
  }
}

int ReportStatus(const Status& status, std::string_view command, bool json) {
  if (status.ok()) return 0;
  fmt::print(stderr, "{}: {}\n", command, status.ToString());
  if (json) {
    PrintJson({{"error", {{"code", StatusCodeName(status.code())}, {"message", status.message()}}}});
  }
  return ExitCode(status.code());
}

bool AsksForJson(int argc, const char* const* argv) {
  return std::any_of(argv, argv + argc, [](const char* argument) { return std::string_view(argument) == "--json"; });
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
