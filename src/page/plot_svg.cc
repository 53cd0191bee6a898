// A small plotter of its own rather than the page's: the page draws on a canvas in the reader's browser, and a picture
// for a paper must come out of the program alone. Marks of logarithmic axes are 1-2-5 per decade, of even ones 1-2-5
// steps.
#include "page/plot_svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "page/page_escape.h"

namespace sluice {
namespace {

constexpr double kWidth = 860, kHeight = 520, kLeft = 84, kRight = 24, kTop = 52, kBottom = 62, kLegendRow = 20;
constexpr const char* kColours[] = {"#2166b5", "#d2622a", "#15866b", "#a03a8c",
                                    "#8a6a00", "#5a55b0", "#b03040", "#4d7382"};
constexpr const char* kDashes[] = {"", "8 4", "2 3", "10 3 2 3", "5 5", "14 4", "3 6", "6 2 2 2"};
constexpr double kFewMarks = 6;

// One axis: from values to pixels.
class Axis {
 public:
  Axis(bool log, double from, double to) : log_(log), from_(from), to_(to) {}

  void Include(double value) {
    if (!Usable(value)) return;
    low_ = std::min(low_, value);
    high_ = std::max(high_, value);
  }
  void Settle() {
    if (low_ > high_) low_ = log_ ? 1 : 0, high_ = log_ ? 10 : 1;
    if (log_) {
      const double pad = low_ == high_ ? 2 : std::pow(high_ / low_, 0.06);
      low_ /= pad, high_ *= pad;
    } else {
      const double pad = low_ == high_ ? std::max(1.0, std::abs(low_) * 0.1) : (high_ - low_) * 0.06;
      low_ = low_ >= 0 && low_ < pad ? 0 : low_ - pad;
      high_ += pad;
    }
  }
  bool Usable(double value) const { return std::isfinite(value) && (!log_ || value > 0); }
  double At(double value) const {
    const double share = log_ ? std::log(value / low_) / std::log(high_ / low_) : (value - low_) / (high_ - low_);
    return from_ + share * (to_ - from_);
  }
  std::vector<double> Marks() const {
    std::vector<double> marks;
    if (log_) {
      for (double power = std::pow(10, std::floor(std::log10(low_))); power <= high_; power *= 10) {
        for (const double digit : {1.0, 2.0, 5.0}) {
          if (digit * power >= low_ && digit * power <= high_) marks.push_back(digit * power);
        }
      }
      if (marks.size() >= 3) return marks;
      marks.clear();
    }
    const double raw = (high_ - low_) / kFewMarks, power = std::pow(10, std::floor(std::log10(raw)));
    double step = 10 * power;
    for (const double digit : {5.0, 2.0, 1.0}) step = digit * power >= raw ? digit * power : step;
    for (double k = std::ceil(low_ / step); k * step <= high_; ++k) marks.push_back(k * step);
    return marks;
  }

 private:
  bool log_;
  double from_, to_;  // pixels
  double low_ = std::numeric_limits<double>::infinity(), high_ = -std::numeric_limits<double>::infinity();
};

std::string Text(double x, double y, std::string_view anchor, const std::string& text, const char* more = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>\n", x, y, anchor, more,
                     EscapeHtml(text));
}

std::string Line(double x1, double y1, double x2, double y2, const char* stroke, const char* dash = "") {
  return fmt::format(
      "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" stroke-dasharray=\"{}\"/>\n", x1, y1,
      x2, y2, stroke, dash);
}

std::string MarkText(double value) {
  const double size = std::abs(value);
  return size != 0 && (size >= 1e6 || size < 1e-3) ? fmt::format("{:.0e}", value) : fmt::format("{:.6g}", value);
}

std::string Axes(const PlotBlock& plot, const Axis& x, const Axis& y, double bottom) {
  std::string svg;
  for (const double mark : x.Marks()) {
    svg += Line(x.At(mark), kTop, x.At(mark), bottom, "#eceff3");
    svg += Text(x.At(mark), bottom + 18, "middle", MarkText(mark));
  }
  for (const double mark : y.Marks()) {
    svg += Line(kLeft, y.At(mark), kWidth - kRight, y.At(mark), "#eceff3");
    svg += Text(kLeft - 8, y.At(mark) + 4, "end", MarkText(mark));
  }
  svg += Line(kLeft, bottom, kWidth - kRight, bottom, "#56616f") + Line(kLeft, kTop, kLeft, bottom, "#56616f");
  svg += Text((kLeft + kWidth - kRight) / 2, bottom + 42, "middle", plot.x_label);
  const std::string turn = fmt::format(" transform=\"rotate(-90 18 {:.1f})\"", (kTop + bottom) / 2);
  return svg + Text(18, (kTop + bottom) / 2, "middle", plot.y_label, turn.c_str());
}

// Labels of points; one that would lie on another is left out. Widths are guessed, there is no font here.
class Labels {
 public:
  std::string Place(double x, double y, const std::string& text) {
    constexpr double kLetter = 6.5, kHeightOfLabel = 13;
    const double width = kLetter * static_cast<double>(text.size());
    const bool right = x + width + 8 < kWidth - kRight;
    const double left = right ? x + 7 : x - 7 - width;
    for (const auto& [other, top, end] : taken_) {
      if (left < end && other < left + width && std::abs(top - y) < kHeightOfLabel) return "";
    }
    taken_.push_back({left, y, left + width});
    return Text(x + (right ? 7 : -7), y - 6, right ? "start" : "end", text, " font-size=\"11\"");
  }

 private:
  struct Box {
    double left, top, right;
  };
  std::vector<Box> taken_;
};

std::string Curve(const PlotSeries& series, size_t index, const Axis& x, const Axis& y, Labels& labels) {
  std::vector<size_t> order;
  for (size_t i = 0; i < series.x.size(); ++i) {
    if (x.Usable(series.x[i]) && y.Usable(series.y[i])) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return series.x[a] < series.x[b]; });
  const char* colour = kColours[index % std::size(kColours)];
  std::string svg, points;
  for (const size_t i : order) {
    const double px = x.At(series.x[i]), py = y.At(series.y[i]);
    points += fmt::format("{:.1f},{:.1f} ", px, py);
    if (series.points || order.size() == 1)
      svg += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\" fill=\"{}\"/>\n", px, py, colour);
    if (i < series.labels.size() && !series.labels[i].empty()) svg += labels.Place(px, py, series.labels[i]);
  }
  if (series.line) {
    svg = fmt::format(
              "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\" stroke-dasharray=\"{}\"/>\n",
              points, colour, kDashes[index % std::size(kDashes)]) +
          svg;
  }
  return svg;
}

std::string Legend(const PlotBlock& plot, double top) {
  std::string svg;
  const size_t columns = 3;
  for (size_t i = 0; i < plot.series.size(); ++i) {
    const double x = kLeft + static_cast<double>(i % columns) * (kWidth - kLeft - kRight) / columns;
    const double y = top + static_cast<double>(i / columns) * kLegendRow;
    svg += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"12\" height=\"12\" rx=\"2\" fill=\"{}\"/>\n", x, y - 10,
                       kColours[i % std::size(kColours)]);
    svg += Text(x + 18, y, "start", plot.series[i].name);
  }
  return svg;
}

}  // namespace

std::string RenderPlotSvg(const PlotBlock& plot) {
  const double bottom = kHeight - kBottom;
  Axis x(plot.log_x, kLeft, kWidth - kRight), y(plot.log_y, bottom, kTop);
  for (const PlotSeries& series : plot.series) {
    for (size_t i = 0; i < series.x.size(); ++i) {
      if (!x.Usable(series.x[i]) || !y.Usable(series.y[i])) continue;
      x.Include(series.x[i]);
      y.Include(series.y[i]);
    }
  }
  for (const PlotReference& reference : plot.references) y.Include(reference.y);
  x.Settle();
  y.Settle();
  const double height = kHeight + kLegendRow * std::ceil(static_cast<double>(plot.series.size()) / 3) + 8;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
      "font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"#1b2430\" role=\"img\">\n<title>{2}</title>\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
      kWidth, height, EscapeHtml(plot.title));
  svg += Text(kLeft, 30, "start", plot.title, " font-size=\"17\" font-weight=\"600\"");
  svg += Axes(plot, x, y, bottom);
  for (const PlotReference& reference : plot.references) {
    if (!y.Usable(reference.y)) continue;
    svg += Line(kLeft, y.At(reference.y), kWidth - kRight, y.At(reference.y), "#56616f", "4 4");
    svg += Text(kLeft + 6, y.At(reference.y) - 6, "start", reference.name, " fill=\"#56616f\"");
  }
  Labels labels;
  for (size_t i = 0; i < plot.series.size(); ++i) svg += Curve(plot.series[i], i, x, y, labels);
  return svg + Legend(plot, kHeight + 6) + "</svg>\n";
}

std::string PlotFileName(std::string_view title) {
  constexpr size_t kLongest = 60;
  std::string name;
  for (const char c : title) {
    const bool upper = c >= 'A' && c <= 'Z';
    if (upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      name += upper ? static_cast<char>(c - 'A' + 'a') : c;
    } else if (!name.empty() && name.back() != '-') {
      name += '-';
    }
  }
  name.resize(std::min(name.size(), kLongest));
  while (!name.empty() && name.back() == '-') name.pop_back();
  return name.empty() ? "plot" : name;
}

}  // namespace sluice
