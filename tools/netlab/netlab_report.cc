// The runs of a network laboratory as a table, a CSV file and a page with plots. Reads OUT/runs/*.json as run.sh
// writes them; every figure is the median over the rounds of one profile, codec and prompt.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "base/file.h"
#include "page/page.h"
#include "page/plot_svg.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

struct Row {
  std::string profile, settings, codec;
  int64_t prompt = 0;
  std::vector<double> connect = {}, first_token = {}, tokens_per_second = {}, wire_bytes = {}, bits_per_token = {},
                      head_cpu = {}, tail_cpu = {};
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

void Add(const nlohmann::json& run, Row& row) {
  const nlohmann::json& result = run.at("result");
  const auto wait = result.at("first_token_seconds").get<double>();
  const auto seconds = result.at("session_seconds").get<double>();
  const auto tokens = static_cast<double>(result.at("ids").size());
  row.connect.push_back(result.at("connect_seconds"));
  row.first_token.push_back(wait);
  if (tokens > 1 && seconds > wait) row.tokens_per_second.push_back((tokens - 1) / (seconds - wait));
  row.wire_bytes.push_back(result.at("wire_bytes"));
  row.bits_per_token.push_back(result.at("bits_per_token"));
  row.head_cpu.push_back(run.at("head_cpu"));
  row.tail_cpu.push_back(run.at("tail_cpu"));
}

// In the order of the first run of each: that of run.sh's options, when it made them in one go.
Result<std::vector<Row>> ReadRuns(const fs::path& folder) {
  std::vector<std::pair<fs::file_time_type, fs::path>> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder / "runs", error))
    if (entry.path().extension() == ".json") files.emplace_back(entry.last_write_time(), entry.path());
  if (error || files.empty()) return InvalidArgument(fmt::format("{}: no runs", (folder / "runs").string()));
  std::sort(files.begin(), files.end());
  std::vector<Row> rows;
  for (const auto& [time, path] : files) {
    SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
    try {
      const nlohmann::json run = nlohmann::json::parse(text);
      Row key{run.at("profile"), run.at("settings"), run.at("codec"), run.at("prompt")};
      auto row = std::find_if(rows.begin(), rows.end(), [&](const Row& r) {
        return std::tie(r.profile, r.settings, r.codec, r.prompt) ==
               std::tie(key.profile, key.settings, key.codec, key.prompt);
      });
      if (row == rows.end()) row = rows.insert(rows.end(), std::move(key));
      Add(run, *row);
    } catch (const nlohmann::json::exception& fault) {
      return Corrupt(fmt::format("{}: {}", path.string(), fault.what()));
    }
  }
  return rows;
}

std::vector<std::string> Cells(const Row& row) {
  return {row.profile,
          fmt::format("{}", row.prompt),
          row.codec,
          fmt::format("{:.3f}", Median(row.connect)),
          fmt::format("{:.3f}", Median(row.first_token)),
          row.tokens_per_second.empty() ? "" : fmt::format("{:.1f}", Median(row.tokens_per_second)),
          fmt::format("{:.0f}", Median(row.wire_bytes)),
          fmt::format("{:.1f}", Median(row.bits_per_token)),
          fmt::format("{:.2f}", Median(row.head_cpu)),
          fmt::format("{:.2f}", Median(row.tail_cpu)),
          fmt::format("{}", row.first_token.size())};
}

const std::vector<std::string> kColumns = {"link",          "prompt",     "codec",      "connect s",
                                           "first token s", "tokens/s",   "wire bytes", "bits per token",
                                           "head CPU s",    "tail CPU s", "runs"};

// How long a prompt waits over how fast the link is, a curve for each codec.
PlotBlock WaitPlot(const std::vector<Row>& rows, int64_t prompt) {
  PlotBlock plot{.title = fmt::format("Time to first token, prompt of {} tokens", prompt),
                 .x_label = "rate of the link, Mbit/s",
                 .y_label = "seconds to the first token",
                 .log_x = true,
                 .log_y = true};
  for (const Row& row : rows) {
    if (row.prompt != prompt) continue;
    auto series = std::find_if(plot.series.begin(), plot.series.end(),
                               [&](const PlotSeries& other) { return other.name == row.codec; });
    if (series == plot.series.end()) {
      series = plot.series.insert(series, PlotSeries{.name = row.codec, .points = true});
    }
    series->x.push_back(std::strtod(row.settings.c_str(), nullptr));
    series->y.push_back(Median(row.first_token));
    series->labels.emplace_back();
    series->notes.push_back(fmt::format("{}, {:.0f} bytes", row.settings, Median(row.wire_bytes)));
  }
  return plot;
}

PageContent MakePage(const std::vector<Row>& rows, const std::string& command) {
  PageContent page;
  page.title = "Split inference over a network laboratory";
  page.summary = "Head and tail in network namespaces of one machine; medians over the runs of each line.";
  page.command = command;
  std::map<int64_t, std::map<std::string, BarsBlock>> waits;
  TableBlock table{.title = "All runs", .columns = kColumns};
  for (const Row& row : rows) {
    table.rows.push_back(Cells(row));
    BarsBlock& bars = waits[row.prompt][row.profile];
    bars.title = fmt::format("Time to first token, {} tokens, {}", row.prompt, row.profile);
    bars.caption =
        fmt::format("Mbit/s up and down, delay one way in ms, jitter in ms, loss in percent: {}", row.settings);
    bars.unit = "s";
    bars.rows.push_back(row.codec);
    bars.parts.resize(1);
    bars.parts[0].name = "first token";
    bars.parts[0].values.push_back(Median(row.first_token));
  }
  for (const auto& [prompt, profiles] : waits) {
    if (profiles.size() > 1) page.blocks.emplace_back(WaitPlot(rows, prompt));
  }
  for (auto& [prompt, profiles] : waits)
    for (auto& [profile, bars] : profiles) page.blocks.emplace_back(std::move(bars));
  page.blocks.emplace_back(std::move(table));
  return page;
}

Status Report(const fs::path& folder, const fs::path& html, const fs::path& csv, const fs::path& svg) {
  SLUICE_ASSIGN_OR_RETURN(const std::vector<Row> rows, ReadRuns(folder));
  std::string text = fmt::format("{}\n", fmt::join(kColumns, ","));
  for (const std::string& name : kColumns) fmt::print("{:>22}", name);
  fmt::print("\n");
  for (const Row& row : rows) {
    const std::vector<std::string> cells = Cells(row);
    text += fmt::format("{}\n", fmt::join(cells, ","));
    for (const std::string& cell : cells) fmt::print("{:>22}", cell);
    fmt::print("\n");
  }
  if (!csv.empty()) SLUICE_RETURN_IF_ERROR(WriteFileAtomic(csv, text));
  if (!svg.empty()) {
    const auto longest =
        std::max_element(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.prompt < b.prompt; });
    SLUICE_RETURN_IF_ERROR(WriteFileAtomic(svg, RenderPlotSvg(WaitPlot(rows, longest->prompt))));
  }
  if (html.empty()) return OkStatus();
  const Result<std::string> command = ReadFile(folder / "command.txt");
  SLUICE_ASSIGN_OR_RETURN(const std::string page, RenderPage(MakePage(rows, command.ok() ? *command : "")));
  return WriteFileAtomic(html, page);
}

int Main(int argc, char** argv) {
  CLI::App app("Table, CSV and page of a network laboratory's runs");
  fs::path folder, html, csv, svg;
  app.add_option("folder", folder, "Folder that tools/netlab/run.sh wrote")->required();
  app.add_option("--html", html, "Page to write");
  app.add_option("--csv", csv, "Table to write");
  app.add_option("--svg", svg, "Picture to write: time to first token over the rate of the link, longest prompt");
  CLI11_PARSE(app, argc, argv);
  const Status status = Report(folder, html, csv, svg);
  if (!status.ok()) std::fprintf(stderr, "netlab_report: %s\n", status.ToString().c_str());
  return ExitCode(status.code());
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) { return sluice::Main(argc, argv); }
