#include <fmt/format.h>

#include <filesystem>

#include "base/file.h"
#include "cli/light_verbs.h"
#include "cli/machine_checks.h"
#include "cli/verb.h"
#include "page/page.h"
#include "page/plot_svg.h"
#include "study/study_report.h"
#include "study/study_summary.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

struct ReportRequest {
  std::vector<fs::path> folders;
  fs::path html, csv, svg;
  bool group = false;
};

Status WritePlots(const fs::path& folder, const PageContent& content, size_t& written) {
  SLUICE_RETURN_IF_ERROR(MakeFolder(folder));
  for (const PageBlock& block : content.blocks) {
    const auto* plot = std::get_if<PlotBlock>(&block);
    if (plot == nullptr) continue;
    const std::string name = fmt::format("{:02}-{}.svg", ++written, PlotFileName(plot->title));
    SLUICE_RETURN_IF_ERROR(WriteFileAtomic(folder / name, RenderPlotSvg(*plot)));
  }
  return OkStatus();
}

Status Work(Verb& verb, const ReportRequest& request) {
  if (request.html.empty() && request.csv.empty() && request.svg.empty())
    return InvalidArgument("nothing to write: give --html, --csv or --svg");
  std::vector<StudySummary> summaries;
  for (const fs::path& folder : request.folders) {
    SLUICE_ASSIGN_OR_RETURN(StudySummary summary, SummarizeStudy(folder));
    SLUICE_RETURN_IF_ERROR(WriteSummary(summary));
    summaries.push_back(std::move(summary));
  }
  SLUICE_ASSIGN_OR_RETURN(const PageContent content, MakeReport(summaries, request.group));
  if (!request.html.empty()) {
    SLUICE_ASSIGN_OR_RETURN(const std::string page, RenderPage(content));
    SLUICE_RETURN_IF_ERROR(WriteFileAtomic(request.html, page));
  }
  if (!request.csv.empty()) SLUICE_RETURN_IF_ERROR(WriteFileAtomic(request.csv, SummariesToCsv(summaries)));
  size_t plots = 0;
  if (!request.svg.empty()) SLUICE_RETURN_IF_ERROR(WritePlots(request.svg, content, plots));
  size_t runs = 0, done = 0;
  for (const StudySummary& summary : summaries) {
    runs += summary.runs.size();
    for (const RunResult& run : summary.runs) done += run.done() ? 1 : 0;
  }
  verb.Print({{"studies", summaries.size()},
              {"runs", runs},
              {"done", done},
              {"blocks", content.blocks.size()},
              {"svg_files", plots}},
             fmt::format("{} of {} runs of {} studies reported\n", done, runs, summaries.size()));
  return OkStatus();
}

}  // namespace

int RunReport(int argc, char** argv) {
  Verb verb("report", "Turn the folders of studies into one self-contained page, tables and plots.",
            "  sluice report results/rd --html report.html\n"
            "  sluice report results/rd results/layers --html report.html --csv runs.csv --svg plots\n");
  ReportRequest request;
  CLI::App& app = verb.app();
  app.add_option("folders", request.folders, "Folders that `sluice study --out` made")->type_name("DIR")->required();
  app.add_option("--html", request.html, "The page to write")->type_name("FILE");
  app.add_option("--csv", request.csv, "One row a run")->type_name("FILE");
  app.add_option("--svg", request.svg, "Folder for one SVG file a plot")->type_name("DIR");
  app.add_flag("--group", request.group, "Allow studies of different models, each in parts of its own");
  return verb.Run(argc, argv, [&] { return Work(verb, request); });
}

}  // namespace sluice
