// Figures of different models in one table would be read as figures of different codecs, so they are refused unless the
// reader asked for groups; then every block's title names its model.
#include "study/study_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "study/report_blocks.h"

namespace sluice {
namespace {

size_t DoneRuns(const StudySummary& summary) {
  return static_cast<size_t>(
      std::count_if(summary.runs.begin(), summary.runs.end(), [](const RunResult& run) { return run.done(); }));
}

bool SeveralModels(std::span<const StudySummary> summaries) {
  return std::any_of(summaries.begin(), summaries.end(),
                     [&](const StudySummary& summary) { return summary.model != summaries.front().model; });
}

Status Check(std::span<const StudySummary> summaries, bool group) {
  if (summaries.empty()) return InvalidArgument("no studies to report");
  for (const StudySummary& summary : summaries) {
    if (DoneRuns(summary) == 0)
      return InvalidArgument(
          fmt::format("{}: none of its {} runs is done", summary.folder.string(), summary.runs.size()));
    if (group || summary.model == summaries.front().model) continue;
    return Mismatch(fmt::format("{} is of model {}, {} of model {}; --group puts different models into one page",
                                summaries.front().folder.string(), summaries.front().model.substr(0, 16),
                                summary.folder.string(), summary.model.substr(0, 16)));
  }
  return OkStatus();
}

void AddFacts(const StudySummary& summary, std::vector<PageFact>& facts) {
  const size_t done = DoneRuns(summary);
  facts.push_back({"runs of " + summary.plan.study, fmt::format("{} of {}", done, summary.runs.size()),
                   done < summary.runs.size() ? "the others are listed below" : "all done"});
  for (const BdRow& row : summary.bd_rates) {
    constexpr size_t kMostFacts = 8;
    if (!row.pchip || facts.size() >= kMostFacts) continue;
    facts.push_back({"BD-rate of " + CurveName(summary, row.series, row.mode, row.cut),
                     fmt::format("{:+.1f} %", row.pchip->percent), "bits against " + summary.anchor});
  }
}

void Prefix(const std::string& prefix, PageBlock& block) {
  std::visit([&](auto& kind) { kind.title = prefix + kind.title; }, block);
}

}  // namespace

Result<PageContent> MakeReport(std::span<const StudySummary> summaries, bool group) {
  SLUICE_RETURN_IF_ERROR(Check(summaries, group));
  const bool several = summaries.size() > 1, models = SeveralModels(summaries);
  PageContent content;
  content.title = several ? "Studies" : "Study: " + summaries.front().plan.study;
  content.machine = summaries.front().machine;
  nlohmann::ordered_json raw = nlohmann::ordered_json::array();
  for (const StudySummary& summary : summaries) {
    AddFacts(summary, content.facts);
    for (const std::string& note : summary.notes)
      content.summary +=
          fmt::format("{}{}{}.", content.summary.empty() ? "" : " ", several ? summary.plan.study + ": " : "", note);
    content.command += (content.command.empty() ? "" : "\n") + summary.command;
    raw.push_back(summary.ToJson());
    std::vector<PageBlock> blocks = ReportPlots(summary);
    for (PageBlock& block : ReportTables(summary)) blocks.push_back(std::move(block));
    for (PageBlock& block : blocks) {
      const std::string model = models ? " (model " + summary.model.substr(0, 8) + ")" : "";
      if (several) Prefix(summary.plan.study + model + ": ", block);
      content.blocks.push_back(std::move(block));
    }
  }
  content.json = raw.dump();
  if (content.summary.empty()) content.summary = "All runs of the plan are done.";
  return content;
}

}  // namespace sluice
