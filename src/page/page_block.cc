// The four kinds of block, each with the same three questions: is it sound, what stands in the HTML, what goes to the
// script. Stacked bars and tables are complete in the HTML; plots and channels leave an empty figure for the script.
#include "page/page_block.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string_view>
#include <variant>

#include "page/page_escape.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

// Colours of parts repeat after this many (page_style.css has as many).
constexpr size_t kColourClasses = 8;

Status Differ(std::string_view what, size_t got, size_t expected) {
  return InvalidArgument(CleanText(what) + " has " + std::to_string(got) + " values, expected " +
                         std::to_string(expected));
}

Result<size_t> Count(const PlotBlock& plot) {
  size_t numbers = 0;
  for (const PlotSeries& series : plot.series) {
    const std::string name = "series \"" + series.name + "\"";
    if (series.x.size() != series.y.size()) return Differ("y of " + name, series.y.size(), series.x.size());
    if (!series.labels.empty() && series.labels.size() != series.x.size()) {
      return Differ("labels of " + name, series.labels.size(), series.x.size());
    }
    if (!series.notes.empty() && series.notes.size() != series.x.size()) {
      return Differ("notes of " + name, series.notes.size(), series.x.size());
    }
    numbers += 2 * series.x.size();
  }
  return numbers;
}

Result<size_t> Count(const BarsBlock& bars) {
  for (const BarPart& part : bars.parts) {
    const std::string name = "part \"" + part.name + "\"";
    if (part.values.size() != bars.rows.size()) return Differ(name, part.values.size(), bars.rows.size());
    for (size_t i = 0; i < part.values.size(); ++i) {
      if (std::isfinite(part.values[i]) && part.values[i] >= 0) continue;
      return InvalidArgument(CleanText(name) + ", row " + std::to_string(i + 1) + ": " +
                             std::to_string(part.values[i]) + " is not a finite value of at least 0");
    }
  }
  return bars.parts.size() * bars.rows.size();
}

Result<size_t> Count(const ChannelsBlock& channels) { return channels.values.size(); }

Result<size_t> Count(const TableBlock& table) {
  for (size_t i = 0; i < table.rows.size(); ++i) {
    if (table.rows[i].size() != table.columns.size()) {
      return Differ("table row " + std::to_string(i + 1), table.rows[i].size(), table.columns.size());
    }
  }
  return table.rows.size() * table.columns.size();
}

std::string ShortNumber(double value) {
  char text[32];
  std::snprintf(text, sizeof(text),
                value != 0 && std::abs(value) < 0.1 ? "%.3g"
                : std::abs(value) < 100             ? "%.2f"
                                                    : "%.1f",
                value);
  return text;
}

// A cell is a number when, signs, separators, a unit of percent or an interval aside, it has digits only.
bool IsNumber(std::string_view cell) {
  bool digit = false;
  for (const char c : cell) {
    if (c >= '0' && c <= '9') {
      digit = true;
    } else if (std::string_view("+-.,%eE x\xC2\xB1").find(c) == std::string_view::npos) {
      return false;
    }
  }
  return digit || cell.empty() || cell == "-";
}

std::string FigureHtml(size_t index) { return "<figure data-block=\"" + std::to_string(index) + "\"></figure>\n"; }

std::string Body(const PlotBlock&, size_t index) { return FigureHtml(index); }
std::string Body(const ChannelsBlock&, size_t index) { return FigureHtml(index); }

std::string LegendHtml(const BarsBlock& bars) {
  std::string html = "<ul class=\"legend\">";
  for (size_t i = 0; i < bars.parts.size(); ++i) {
    html += "<li><span class=\"swatch c" + std::to_string(i % kColourClasses) + "\"></span>" +
            EscapeHtml(bars.parts[i].name) + "</li>";
  }
  return html + "</ul>\n";
}

std::string BarHtml(const BarsBlock& bars, size_t row, double longest) {
  double total = 0;
  std::string parts;
  for (size_t i = 0; i < bars.parts.size(); ++i) {
    const double value = bars.parts[i].values[row];
    total += value;
    if (value == 0) continue;
    char width[32];
    std::snprintf(width, sizeof(width), "%.4f", longest > 0 ? 100 * value / longest : 0);
    const std::string tip = EscapeHtml(bars.parts[i].name) + ": " + ShortNumber(value) + " " + EscapeHtml(bars.unit);
    parts += "<span class=\"part c" + std::to_string(i % kColourClasses) + "\" style=\"width:" + width +
             "%\" data-tip=\"" + tip + "\"></span>";
  }
  return "<div class=\"bar\"><div class=\"name\">" + EscapeHtml(bars.rows[row]) + "</div><div class=\"track\">" +
         parts + "</div><div class=\"total\">" + ShortNumber(total) + "</div></div>\n";
}

std::string Body(const BarsBlock& bars, size_t index) {
  double longest = 0;
  for (size_t row = 0; row < bars.rows.size(); ++row) {
    double total = 0;
    for (const BarPart& part : bars.parts) total += part.values[row];
    longest = std::max(longest, total);
  }
  std::string html = "<figure data-block=\"" + std::to_string(index) + "\">\n" + LegendHtml(bars);
  html += "<div class=\"bars\" role=\"img\" aria-label=\"" + EscapeHtml(bars.title) +
          ". The same values follow as a table.\">\n";
  for (size_t row = 0; row < bars.rows.size(); ++row) html += BarHtml(bars, row, longest);
  return html + "</div>\n<p class=\"unit\">" + EscapeHtml(bars.unit) + "</p>\n</figure>\n";
}

std::string Body(const TableBlock& table, size_t index) {
  std::vector<const char*> align(table.columns.size(), " class=\"number\"");
  for (size_t c = 0; c < table.columns.size(); ++c) {
    const auto text = [c](const std::vector<std::string>& row) { return !IsNumber(row[c]); };
    if (c == 0 || std::any_of(table.rows.begin(), table.rows.end(), text)) align[c] = "";
  }
  std::string html = "<figure data-block=\"" + std::to_string(index) +
                     "\">\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" " + "aria-label=\"" +
                     EscapeHtml(table.title) + "\"><table><thead><tr>";
  for (size_t c = 0; c < table.columns.size(); ++c) {
    html += std::string("<th scope=\"col\"") + align[c] + ">" + EscapeHtml(table.columns[c]) + "</th>";
  }
  html += "</tr></thead><tbody>\n";
  for (const auto& row : table.rows) {
    html += "<tr>";
    for (size_t c = 0; c < row.size(); ++c) {
      const std::string tag = c == 0 ? "th" : "td";
      html += "<" + tag + (c == 0 ? " scope=\"row\"" : align[c]) + ">" + EscapeHtml(row[c]) + "</" + tag + ">";
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n</figure>\n";
}

Json Numbers(const std::vector<double>& values) {
  Json list = Json::array();
  for (const double value : values) list.push_back(std::isfinite(value) ? Json(value) : Json(nullptr));
  return list;
}

Json Texts(const std::vector<std::string>& texts) {
  Json list = Json::array();
  for (const std::string& text : texts) list.push_back(CleanText(text));
  return list;
}

Json Describe(const PlotBlock& plot) {
  Json json = {{"kind", "plot"},
               {"xLabel", CleanText(plot.x_label)},
               {"yLabel", CleanText(plot.y_label)},
               {"logX", plot.log_x},
               {"logY", plot.log_y},
               {"series", Json::array()},
               {"references", Json::array()}};
  for (const PlotSeries& series : plot.series) {
    json["series"].push_back({{"name", CleanText(series.name)},
                              {"x", Numbers(series.x)},
                              {"y", Numbers(series.y)},
                              {"labels", Texts(series.labels)},
                              {"notes", Texts(series.notes)},
                              {"line", series.line},
                              {"points", series.points}});
  }
  for (const PlotReference& reference : plot.references) {
    if (!std::isfinite(reference.y)) continue;
    json["references"].push_back({{"name", CleanText(reference.name)}, {"y", reference.y}});
  }
  return json;
}

Json Describe(const BarsBlock& bars) {
  Json json = {{"kind", "bars"}, {"unit", CleanText(bars.unit)}, {"rows", Texts(bars.rows)}, {"parts", Json::array()}};
  for (const BarPart& part : bars.parts) {
    json["parts"].push_back({{"name", CleanText(part.name)}, {"values", Numbers(part.values)}});
  }
  return json;
}

Json Describe(const ChannelsBlock& channels) {
  return {{"kind", "channels"},
          {"xLabel", CleanText(channels.x_label)},
          {"yLabel", CleanText(channels.y_label)},
          {"values", Numbers(channels.values)}};
}

Json Describe(const TableBlock& table) {
  Json json = {{"kind", "table"}, {"columns", Texts(table.columns)}, {"rows", Json::array()}};
  for (const auto& row : table.rows) json["rows"].push_back(Texts(row));
  return json;
}

}  // namespace

Result<size_t> CheckBlock(const PageBlock& block) {
  return std::visit([](const auto& kind) { return Count(kind); }, block);
}

std::string BlockHtml(const PageBlock& block, size_t index) {
  const auto html = [index](const auto& kind) {
    const std::string id = "block-" + std::to_string(index);
    std::string text = "<section class=\"card\" aria-labelledby=\"" + id + "\">\n<h2 id=\"" + id + "\">" +
                       EscapeHtml(kind.title) + "</h2>\n";
    if (!kind.caption.empty()) text += "<p class=\"caption\">" + EscapeHtml(kind.caption) + "</p>\n";
    return text + Body(kind, index) + "</section>\n";
  };
  return std::visit(html, block);
}

Json BlockJson(const PageBlock& block) {
  const auto json = [](const auto& kind) {
    Json described = Describe(kind);
    described["title"] = CleanText(kind.title);
    return described;
  };
  return std::visit(json, block);
}

}  // namespace sluice
