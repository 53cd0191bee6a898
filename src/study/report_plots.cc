// One plot shows rate against quality for each mode, with every plain codec as a point; studies over cuts or steps add
// the view along that axis. A point is the mean over its seeds, and pointing at it tells the runs that it stands for.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "study/report_blocks.h"

namespace sluice {
namespace {

std::string SettingText(double lambda, double step) {
  if (lambda > 0) return fmt::format("λ {:g}", lambda);
  return step > 0 ? fmt::format("step {:g}", step) : "";
}

std::string RunNote(const StudySummary& summary, const RunResult& run) {
  std::string note = fmt::format("run {}", run.name);
  if (run.labels.seed > 0) note += fmt::format(", seed {}", run.labels.seed);
  note += fmt::format(": {} bits, {} {}", FigureText(run.Figure("bits_per_token"), 1), MetricName(summary),
                      FigureText(run.Figure(summary.metric), 4));
  return note + "\n" + (run.train_command.empty() ? run.eval_command : run.train_command);
}

// The runs behind a point of a curve, one note for all.
std::string PointNote(const StudySummary& summary, const StudyCurve& curve, const CurvePoint& point) {
  std::string note = SettingText(point.lambda, point.step);
  for (const RunResult& run : summary.runs) {
    const RunLabels& labels = run.labels;
    const bool behind = run.done() && labels.role == RunRole::kPoint && labels.series == curve.series &&
                        labels.mode == curve.mode && labels.cut == curve.cut && labels.lambda == point.lambda &&
                        labels.step == point.step;
    if (behind) note += "\n" + RunNote(summary, run);
  }
  return note;
}

PlotSeries CurveSeries(const StudySummary& summary, const StudyCurve& curve) {
  PlotSeries series{.name = CurveName(summary, curve.series, curve.mode, curve.cut), .points = true};
  for (const CurvePoint& point : curve.points) {
    series.x.push_back(point.rate.mean);
    series.y.push_back(point.quality.mean);
    series.notes.push_back(PointNote(summary, curve, point));
  }
  return series;
}

// Adds the codecs that are not trained, as points with their names. Where curves say what is worth seeing, one that
// lies beyond them by more than they span is named in the caption instead: it would press them all into one line.
void AddPlainSeries(const StudySummary& summary, PlotBlock& plot) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const PlotSeries& curve : plot.series) {
    for (const double y : curve.y) {
      low = std::min(low, y);
      high = std::max(high, y);
    }
  }
  std::vector<std::string> beyond;
  PlotSeries series{.name = "plain codecs", .line = false, .points = true};
  for (const RunResult* run : summary.Done(RunRole::kBaseline)) {
    const auto rate = run->Figure("bits_per_token"), quality = run->Figure(summary.metric);
    if (!rate || !quality) continue;
    if (high > low && (*quality > 2 * high - low || *quality < 2 * low - high)) {
      beyond.push_back(
          fmt::format("{} ({} bits, {})", run->labels.codec, FigureText(*rate, 1), FigureText(*quality, 2)));
      continue;
    }
    series.x.push_back(*rate);
    series.y.push_back(*quality);
    series.labels.push_back(run->labels.codec);
    series.notes.push_back(RunNote(summary, *run));
  }
  if (!series.x.empty()) plot.series.push_back(std::move(series));
  if (!beyond.empty()) plot.caption += fmt::format(" Far beyond the plot: {}.", fmt::join(beyond, ", "));
}

// What the model reaches without a cut, and joint training's reference.
std::vector<PlotReference> References(const StudySummary& summary, const std::string& mode) {
  std::vector<PlotReference> references;
  for (const RunResult& run : summary.runs) {
    const bool fits =
        run.done() && run.labels.role != RunRole::kTuning && (mode == "joint") == (run.labels.mode == "joint");
    if (!fits) continue;
    const std::string key = mode == "joint" ? "reference_perplexity" : "uncut_" + summary.metric;
    const auto value = run.Figure(key);
    if (!value) continue;
    references.push_back({mode == "joint" ? "reference: trained without the codec" : "uncut model", *value});
    break;
  }
  return references;
}

PlotBlock RatePlot(const StudySummary& summary, const std::string& mode) {
  PlotBlock plot{.title = "Rate against " + MetricName(summary) + (mode.empty() ? "" : ", " + mode),
                 .caption =
                     "Further left and lower is better. A point is the mean over its seeds; point at it, or step "
                     "through with the arrow keys, for runs and commands.",
                 .x_label = "bits per token",
                 .y_label = MetricName(summary),
                 .log_x = true};
  for (const StudyCurve& curve : summary.curves) {
    const bool fits = curve.mode == mode || (curve.mode.empty() && mode != "joint");
    if (fits) plot.series.push_back(CurveSeries(summary, curve));
  }
  if (mode != "joint") AddPlainSeries(summary, plot);
  plot.references = References(summary, mode);
  return plot;
}

// A figure of every curve's points along the cuts or the steps: one line for each setting or cut.
PlotBlock AlongPlot(const StudySummary& summary, const std::string& title, bool along_cuts, const std::string& figure) {
  PlotBlock plot{
      .title = title,
      .caption = along_cuts ? "One line for each operating point." : "One line for each cut; no learning.",
      .x_label = along_cuts ? "layers before the cut" : "quantization step, in deviations of the hidden state",
      .y_label = figure == "bits_per_token"     ? "bits per token"
                 : figure == "perplexity_ratio" ? "perplexity over uncut"
                                                : figure,
      .log_x = !along_cuts};
  std::map<std::string, size_t> index;
  for (const RunResult* run : summary.Done(RunRole::kPoint)) {
    const auto value = run->Figure(figure);
    const RunLabels& labels = run->labels;
    if (!value || labels.seed > 1 || (!along_cuts && labels.step <= 0)) continue;
    const std::string name = along_cuts
                                 ? fmt::format("{}{}, {}", labels.series, labels.mode.empty() ? "" : " " + labels.mode,
                                               SettingText(labels.lambda, labels.step))
                                 : fmt::format("{}, cut {}", labels.series, labels.cut);
    if (!index.contains(name)) {
      index[name] = plot.series.size();
      plot.series.push_back({.name = name, .points = true});
    }
    PlotSeries& series = plot.series[index[name]];
    series.x.push_back(along_cuts ? static_cast<double>(labels.cut) : labels.step);
    series.y.push_back(*value);
    series.notes.push_back(RunNote(summary, *run));
  }
  return plot;
}

bool Has(const StudySummary& summary, const std::string& figure) {
  return std::any_of(summary.runs.begin(), summary.runs.end(), [&](const RunResult& r) { return r.Figure(figure); });
}

// Accuracy beside the log-likelihood, where a task has one.
PlotBlock AccuracyPlot(const StudySummary& summary) {
  PlotBlock plot{.title = "Rate against accuracy of the last word",
                 .caption = "Share of passages whose last word the cut model gets wholly right; higher is better.",
                 .x_label = "bits per token",
                 .y_label = "accuracy",
                 .log_x = true};
  std::map<std::string, size_t> index;
  for (const RunResult& run : summary.runs) {
    const auto rate = run.Figure("bits_per_token"), accuracy = run.Figure("last_word_accuracy");
    if (!rate || !accuracy) continue;
    const bool plain = run.labels.role == RunRole::kBaseline;
    const std::string name = plain ? "plain codecs" : run.labels.series;
    if (!index.contains(name)) {
      index[name] = plot.series.size();
      plot.series.push_back({.name = name, .line = !plain, .points = true});
    }
    PlotSeries& series = plot.series[index[name]];
    series.x.push_back(*rate);
    series.y.push_back(*accuracy);
    series.labels.push_back(plain ? run.labels.codec : "");
    series.notes.push_back(RunNote(summary, run));
  }
  return plot;
}

}  // namespace

std::vector<PageBlock> ReportPlots(const StudySummary& summary) {
  std::vector<PageBlock> blocks;
  std::set<std::string> modes;
  for (const StudyCurve& curve : summary.curves) modes.insert(curve.mode);
  if (modes.size() > 1) modes.erase("");  // what is not trained joins the frozen plot
  if (modes.empty() && !summary.Done(RunRole::kBaseline).empty()) modes.insert("");
  for (const std::string& mode : modes) blocks.push_back(RatePlot(summary, mode));
  if (summary.plan.study == "layers") {
    blocks.push_back(AlongPlot(summary, "Rate by cut", true, "bits_per_token"));
    blocks.push_back(AlongPlot(summary, "Distortion by cut", true, "perplexity_ratio"));
  }
  if (summary.plan.study == "step") {
    blocks.push_back(AlongPlot(summary, "Perplexity against the quantization step", false, "perplexity_ratio"));
    blocks.push_back(AlongPlot(summary, "Bits against the quantization step", false, "bits_per_token"));
  }
  if (Has(summary, "last_word_accuracy")) blocks.push_back(AccuracyPlot(summary));
  return blocks;
}

}  // namespace sluice
