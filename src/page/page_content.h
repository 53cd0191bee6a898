#ifndef SLUICE_PAGE_PAGE_CONTENT_H_
#define SLUICE_PAGE_PAGE_CONTENT_H_

#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace sluice {

/// A figure worth reading first, shown large: "bits per token", "151.8", "165 allowed".
struct PageFact {
  std::string label = {};
  std::string value = {};
  std::string note = {};  ///< Optional small line below the value.
};

/// One curve or cloud of points.
/// Data: x and y of the same length, any order; a point that is not finite is a gap. labels and notes are empty or one
/// per point.
struct PlotSeries {
  std::string name = {};
  std::vector<double> x = {};
  std::vector<double> y = {};
  std::vector<std::string> labels = {};  ///< Written beside the points, for example the lambda of an operating point.
  std::vector<std::string> notes = {};   ///< Shown when a reader points at it: which run it is, how it was made.
  bool line = true;                      ///< Joins the points in the order of x.
  bool points = false;                   ///< Marks every point.
};

/// A horizontal line with its name, for example the perplexity of the uncut model.
struct PlotReference {
  std::string name = {};
  double y = 0;
};

/// A plot of curves, scatter points or both. Its reader can switch either axis to logarithms, zoom and hide series.
struct PlotBlock {
  std::string title = {};
  std::string caption = {};
  std::string x_label = {};
  std::string y_label = {};
  bool log_x = false;  ///< First view of the axis. Points at or below zero are gaps on a logarithmic axis.
  bool log_y = false;
  std::vector<PlotSeries> series = {};
  std::vector<PlotReference> references = {};
};

/// One part of every stacked bar: values[i] belongs to row i.
struct BarPart {
  std::string name = {};
  std::vector<double> values = {};
};

/// Horizontal stacked bars on one common linear scale: the rate of each method split by part.
/// Data: every value finite and not negative.
struct BarsBlock {
  std::string title = {};
  std::string caption = {};
  std::string unit = {};  ///< For example "bits per token".
  std::vector<std::string> rows = {};
  std::vector<BarPart> parts = {};
};

/// One vertical bar for each channel, in the order of the channels or sorted by the reader.
struct ChannelsBlock {
  std::string title = {};
  std::string caption = {};
  std::string x_label = "channel";
  std::string y_label = {};
  std::vector<double> values = {};
};

/// A table. The first cell of a row is its heading; columns whose cells are all numbers are aligned to the right.
/// Data: every row as long as columns.
struct TableBlock {
  std::string title = {};
  std::string caption = {};
  std::vector<std::string> columns = {};
  std::vector<std::vector<std::string>> rows = {};
};

using PageBlock = std::variant<PlotBlock, BarsBlock, ChannelsBlock, TableBlock>;

/// Everything a page shows, from top to bottom. Any text may hold any characters: all of it is escaped.
struct PageContent {
  std::string title = {};
  std::string summary = {};  ///< One or two sentences under the title.
  std::vector<PageFact> facts = {};
  std::vector<PageBlock> blocks = {};
  std::vector<std::pair<std::string, std::string>> machine = {};  ///< Name and value: CPU, threads, BLAS, versions.
  std::string command = {};                                       ///< The exact command that made the figures.
  std::string json = {};  ///< The raw document, embedded and offered for download; empty for none.
};

}  // namespace sluice

#endif  // SLUICE_PAGE_PAGE_CONTENT_H_
