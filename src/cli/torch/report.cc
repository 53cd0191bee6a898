#include "cli/torch/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cli/machine_checks.h"
#include "page/page.h"
#include "study/study_plan.h"
#include "train/metrics_log.h"

namespace sluice {
namespace {

Status WritePage(const std::filesystem::path& path, PageContent content, const std::string& command) {
  content.machine = DescribeMachine();
  content.command = command;
  SLUICE_ASSIGN_OR_RETURN(const std::string html, RenderPage(content));
  return WriteFileAtomic(path, html);
}

using Log = std::vector<std::pair<int64_t, Metrics>>;

PlotSeries SeriesOf(const Log& log, const std::string& metric, const std::string& name, bool points = false) {
  PlotSeries series{.name = name, .line = true, .points = points};
  for (const auto& [step, metrics] : log) {
    const double value = MetricValue(metrics, metric);
    if (std::isnan(value)) continue;
    series.x.push_back(static_cast<double>(step));
    series.y.push_back(value);
  }
  return series;
}

void AddPlot(std::vector<PageBlock>& blocks, std::string title, std::string caption, std::string unit,
             std::vector<PlotSeries> series) {
  std::erase_if(series, [](const PlotSeries& s) { return s.x.empty(); });
  if (series.empty()) return;
  blocks.push_back(PlotBlock{.title = std::move(title),
                             .caption = std::move(caption),
                             .x_label = "step",
                             .y_label = std::move(unit),
                             .series = std::move(series)});
}

}  // namespace

std::string CommandLine(int argc, char** argv) { return CommandText({argv, argv + argc}); }

Status WriteEvaluationPage(const std::filesystem::path& path, const Evaluation& evaluation,
                           const std::string& command) {
  const double rise = std::exp(evaluation.score.cross_entropy_nats() - evaluation.score.uncut_cross_entropy_nats()) - 1;
  PageContent content;
  content.title = fmt::format("{} at cut {}", evaluation.codec, evaluation.cut);
  content.summary =
      fmt::format("{} tokens of width {}, encoded to bytes, decoded, and scored by the layers after the cut.",
                  evaluation.tokens, evaluation.width);
  content.facts = {
      {"bits per token", fmt::format("{:.1f}", evaluation.BitsPerToken()), "bytes written, headers included"},
      {"bits per element", fmt::format("{:.2f}", evaluation.BitsPerToken() / static_cast<double>(evaluation.width)),
       ""},
      {"rise of perplexity", fmt::format("{:+.2f} %", 100 * rise),
       fmt::format("{:.3f}, uncut {:.3f}", std::exp(evaluation.score.cross_entropy_nats()),
                   std::exp(evaluation.score.uncut_cross_entropy_nats()))},
      {"top-1 agreement", fmt::format("{:.1f} %", 100 * evaluation.score.top1_agreement()), "with the uncut model"}};
  content.blocks = evaluation.ToBlocks();
  content.json = evaluation.ToJson().dump();
  return WritePage(path, std::move(content), command);
}

Status WriteTrainingPage(const std::filesystem::path& path, const std::filesystem::path& run,
                         const std::string& command) {
  SLUICE_ASSIGN_OR_RETURN(const Log log, ReadMetrics(run));
  if (log.empty()) return InvalidArgument(fmt::format("{}: the run has logged nothing", run.string()));
  PageContent content;
  content.title = "Training run";
  content.summary =
      fmt::format("{} steps. Lines named 'selection' are on text that was kept out of training.", log.back().first);
  const Metrics& last = log.back().second;
  for (const char* name : {"bits_per_token", "select_bits_per_token", "select_perplexity_ratio", "loss"}) {
    const double value = MetricValue(last, name);
    if (!std::isnan(value)) content.facts.push_back({name, fmt::format("{:.4g}", value), "at the last step"});
  }
  AddPlot(content.blocks, "Rate", "Ideal bits per token under the densities as they were learned.", "bits per token",
          {SeriesOf(log, "bits_per_token", "total"), SeriesOf(log, "bits_hyper", "hyper-prior"),
           SeriesOf(log, "bits_latent", "latent"), SeriesOf(log, "select_bits_per_token", "selection", true)});
  AddPlot(content.blocks, "Distortion", "D of the objective D + lambda R.", "nats per token",
          {SeriesOf(log, "distortion", "training")});
  AddPlot(content.blocks, "Loss", "The objective; it rises where frozen mode adds the distortion to the rate.", "loss",
          {SeriesOf(log, "loss", "training"), SeriesOf(log, "select_loss", "selection", true)});
  AddPlot(content.blocks, "Perplexity of the cut model over the uncut one", "On the selection split.", "ratio",
          {SeriesOf(log, "select_perplexity_ratio", "selection", true)});
  AddPlot(content.blocks, "Learning rate and gradient", "", "",
          {SeriesOf(log, "learning_rate", "learning rate"), SeriesOf(log, "gradient_norm", "gradient norm")});
  nlohmann::ordered_json raw = nlohmann::ordered_json::array();
  for (const auto& [step, metrics] : log) {
    nlohmann::ordered_json line = {{"step", step}};
    for (const auto& [name, value] : metrics) line[name] = value;
    raw.push_back(std::move(line));
  }
  content.json = raw.dump();
  return WritePage(path, std::move(content), command);
}

}  // namespace sluice
