#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "base/clock.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "cli/light_verbs.h"
#include "cli/metrics_text.h"
#include "cli/verb.h"

namespace sluice {
namespace {

constexpr uint64_t kMostBytes = 16 << 20;
constexpr auto kPollTime = std::chrono::milliseconds(50);
constexpr const char* kClearScreen = "\x1b[H\x1b[J";

struct Source {
  std::filesystem::path file;
  std::vector<MetricSample> before = {};
  Clock::time_point time = {};
};

Result<std::vector<MetricSample>> Read(const std::filesystem::path& file) {
  SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(file, kMostBytes));
  auto read = ParseMetrics(text);
  if (!read.ok()) return read.status().WithContext(file.string());
  return read;
}

/// The table of one node since the last call, or since its start.
Result<std::string> Table(Source& source) {
  SLUICE_ASSIGN_OR_RETURN(auto read, Read(source.file));
  const bool first = source.time == Clock::time_point();
  const double seconds = first ? 0 : SecondsSince(source.time);
  std::string table = source.file.string() + "\n" + LinkTable(source.before, read, seconds) + "\n";
  source.before = std::move(read);
  source.time = Clock::now();
  return table;
}

Status PrintJson(Verb& verb, const std::vector<Source>& sources) {
  nlohmann::ordered_json nodes = nlohmann::ordered_json::array();
  for (const Source& source : sources) {
    SLUICE_ASSIGN_OR_RETURN(const auto read, Read(source.file));
    nlohmann::ordered_json node = {{"file", source.file.string()}};
    node.update(NodeJson(read));
    nodes.push_back(std::move(node));
  }
  verb.Print({{"nodes", nodes}}, "");
  return OkStatus();
}

Status Watch(std::vector<Source>& sources, double interval, bool once) {
  while (true) {
    std::string page;
    for (Source& source : sources) {
      SLUICE_ASSIGN_OR_RETURN(const std::string table, Table(source));
      page += table;
    }
    fmt::print("{}{}", once ? "" : kClearScreen, page);
    std::fflush(stdout);
    const auto until = Clock::now() + DurationOf(interval);
    while (!once && !InterruptRequested() && Clock::now() < until) std::this_thread::sleep_for(kPollTime);
    if (once || InterruptRequested()) return OkStatus();
  }
}

}  // namespace

int RunTop(int argc, char** argv) {
  Verb verb("top", "Show the links of nodes as they work, from their metrics files.",
            "  sluice serve --metrics-file tail.prom ...\n"
            "  sluice top tail.prom relay.prom     # live, until Ctrl-C\n"
            "  sluice top --once tail.prom         # the sums since the node's start\n"
            "  sluice top --json tail.prom         # the same as JSON, once\n");
  std::vector<Source> sources;
  std::vector<std::filesystem::path> files;
  double interval = 5;
  bool once = false;
  verb.app().add_option("files", files, "Written by --metrics-file")->type_name("FILE")->required();
  verb.app().add_option("--interval", interval, "Seconds between two looks")->check(CLI::Range(0.1, 3600.0));
  verb.app().add_flag("--once", once, "Print once and end");
  return verb.Run(argc, argv, [&]() -> Status {
    CatchInterrupts();
    for (const auto& file : files) sources.push_back({file});
    if (verb.json()) return PrintJson(verb, sources);
    return Watch(sources, interval, once);
  });
}

}  // namespace sluice
