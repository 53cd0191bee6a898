#include "page/plot_svg.h"

#include <gtest/gtest.h>

#include <limits>

#include "page/page_sample.h"

namespace sluice {
namespace {

size_t Count(const std::string& text, const std::string& what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

TEST(PlotSvgTest, MatchesThePlot) {
  const PlotBlock plot = SampleRateDistortion();
  const std::string svg = RenderPlotSvg(plot);
  size_t points = 0, lines = 0;
  for (const PlotSeries& series : plot.series) {
    points += series.x.size();
    lines += series.line ? 1 : 0;
    EXPECT_NE(svg.find(">" + series.name + "<"), std::string::npos);
  }
  EXPECT_EQ(Count(svg, "<circle"), points);
  EXPECT_EQ(Count(svg, "<polyline"), lines);
  EXPECT_NE(svg.find(">uncut model<"), std::string::npos);
  EXPECT_TRUE(svg.starts_with("<svg "));
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
}

TEST(PlotSvgTest, RejectsMarkupAndGaps) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  PlotBlock plot{.title = "<script>", .log_x = true};
  plot.series.push_back({.name = "a & b", .x = {-1, 0, 1, 10, 100}, .y = {1, 2, nan, 3, 4}, .points = true});
  const std::string svg = RenderPlotSvg(plot);
  EXPECT_EQ(svg.find("<script>"), std::string::npos);
  EXPECT_EQ(svg.find("a & b"), std::string::npos);
  EXPECT_EQ(Count(svg, "<circle"), 2U) << "values that a logarithm does not take, and NaN, are gaps";
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_FALSE(RenderPlotSvg(PlotBlock{}).empty());
}

TEST(PlotSvgTest, MatchesNamesOfFiles) {
  EXPECT_EQ(PlotFileName("Rate against KL, frozen!"), "rate-against-kl-frozen");
  EXPECT_EQ(PlotFileName("../.."), "plot");
  EXPECT_LE(PlotFileName(std::string(300, 'x')).size(), 60U);
}

}  // namespace
}  // namespace sluice
