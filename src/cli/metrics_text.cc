// A reader for our own counters, and the table made of them. Everything shown is a difference of two readings, so a
// node that was up for a week shows what it does now.
#include "cli/metrics_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

namespace sluice {
namespace {

/// Finds NAME="VALUE" at `at` and goes behind it.
bool TakeLabel(std::string_view line, size_t& at, MetricSample& sample) {
  const size_t equals = line.find("=\"", at);
  if (equals == std::string_view::npos) return false;
  std::string value;
  size_t i = equals + 2;
  for (; i < line.size() && line[i] != '"'; ++i) {
    if (line[i] == '\\' && i + 1 < line.size()) {
      ++i;
      value += line[i] == 'n' ? '\n' : line[i];
    } else {
      value += line[i];
    }
  }
  if (i >= line.size()) return false;
  sample.labels[std::string(line.substr(at, equals - at))] = value;
  at = i + 1;
  return true;
}

bool ParseLine(std::string_view line, MetricSample& sample) {
  size_t at = std::min(line.find('{'), line.find(' '));
  if (at == std::string_view::npos || at == 0) return false;
  sample.name = line.substr(0, at);
  if (line[at] == '{') {
    ++at;
    while (at < line.size() && line[at] != '}') {
      if (!TakeLabel(line, at, sample)) return false;
      if (at < line.size() && line[at] == ',') ++at;
    }
    if (at + 1 >= line.size() || line[at + 1] != ' ') return false;
    ++at;
  }
  const std::string_view number = line.substr(at + 1);
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), sample.value);
  return error == std::errc() && end == number.data() + number.size();
}

using Samples = std::vector<MetricSample>;

/// The sum over samples of this name whose labels include `labels`.
double Sum(const Samples& samples, std::string_view name, const std::map<std::string, std::string>& labels) {
  double sum = 0;
  for (const MetricSample& sample : samples) {
    if (sample.name != name) continue;
    const bool same = std::all_of(labels.begin(), labels.end(), [&](const auto& label) {
      const auto found = sample.labels.find(label.first);
      return found != sample.labels.end() && found->second == label.second;
    });
    if (same) sum += sample.value;
  }
  return sum;
}

// What is counted by a label: title, name of the metric, label.
constexpr struct {
  const char *title, *name, *label;
} kCounts[] = {{"errors", "sluice_errors_total", "code"}, {"bypassed", "sluice_bypass_total", "reason"}};

std::map<std::string, double> Counts(const Samples& now, std::string_view name, const char* label) {
  std::map<std::string, double> counts;
  for (const MetricSample& sample : now) {
    if (sample.name == name && sample.labels.contains(label)) counts[sample.labels.at(label)] += sample.value;
  }
  return counts;
}

}  // namespace

Result<std::vector<MetricSample>> ParseMetrics(std::string_view text) {
  Samples samples;
  size_t number = 0;
  while (!text.empty()) {
    ++number;
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.front() == '#') continue;
    MetricSample sample;
    if (!ParseLine(line, sample)) {
      return Corrupt(fmt::format("line {}: expected NAME{{LABELS}} NUMBER of Prometheus text", number));
    }
    samples.push_back(std::move(sample));
  }
  return samples;
}

std::vector<LinkFigures> FiguresOfLinks(const Samples& before, const Samples& now) {
  const auto moved = [&](std::string_view name, const auto& labels) {
    return std::max(0.0, Sum(now, name, labels) - Sum(before, name, labels));
  };
  std::vector<LinkFigures> figures;
  for (const MetricSample& sample : now) {
    if (sample.name != "sluice_frames_total") continue;
    const auto& labels = sample.labels;
    const auto label = [&](const char* name) { return labels.contains(name) ? labels.at(name) : std::string("?"); };
    LinkFigures row{label("link"), label("codec"), label("phase"), label("dir")};
    const bool sent = row.direction == "sent";
    std::map<std::string, std::string> both = labels, link = labels;
    both.erase("dir");
    link.erase("dir");
    link.erase("codec");
    row.tokens = moved("sluice_tokens_total", labels);
    row.wire_bytes = moved("sluice_wire_bytes_total", labels);
    if (row.wire_bytes > 0) row.ratio = moved("sluice_raw_bytes_total", labels) / row.wire_bytes;
    const double frames = moved("sluice_frames_total", labels), trips = moved("sluice_rtt_seconds_count", link);
    const double codec = moved(sent ? "sluice_encode_seconds_total" : "sluice_decode_seconds_total", both);
    if (frames > 0) row.codec_ms = 1e3 * codec / frames;
    if (sent && trips > 0) row.rtt_ms = 1e3 * moved("sluice_rtt_seconds_sum", link) / trips;
    figures.push_back(std::move(row));
  }
  return figures;
}

std::string LinkTable(const Samples& before, const Samples& now, double seconds) {
  const double per = seconds > 0 ? seconds : 1;
  const char* unit = seconds > 0 ? "/s" : "";
  std::string text =
      fmt::format("{:<24} {:<14} {:<8} {:<8} {:>10} {:>12} {:>7} {:>9} {:>9}\n", "link", "codec", "phase", "dir",
                  fmt::format("tokens{}", unit), fmt::format("kB{}", unit), "ratio", "codec ms", "rtt ms");
  for (const LinkFigures& row : FiguresOfLinks(before, now)) {
    text += fmt::format("{:<24} {:<14} {:<8} {:<8} {:>10.1f} {:>12.2f} {:>7.2f} {:>9.3f} {:>9}\n", row.link, row.codec,
                        row.phase, row.direction, row.tokens / per, row.wire_bytes / per / 1e3, row.ratio, row.codec_ms,
                        row.rtt_ms ? fmt::format("{:.2f}", *row.rtt_ms) : std::string("-"));
  }
  text += fmt::format("sessions {:g} now, {:g} in all; resumed {:g}\n", Sum(now, "sluice_sessions", {}),
                      Sum(now, "sluice_sessions_total", {}), Sum(now, "sluice_resumes_total", {}));
  std::string counts;
  for (const auto& [title, name, label] : kCounts) {
    std::string values;
    for (const auto& [value, count] : Counts(now, name, label)) values += fmt::format(" {} {:g}", value, count);
    counts += fmt::format("{}{}:{}", counts.empty() ? "" : "; ", title, values.empty() ? " none" : values);
  }
  return text + counts + "\n";
}

nlohmann::ordered_json NodeJson(const Samples& now) {
  nlohmann::ordered_json links = nlohmann::ordered_json::array();
  for (const LinkFigures& row : FiguresOfLinks({}, now)) {
    links.push_back({{"link", row.link},
                     {"codec", row.codec},
                     {"phase", row.phase},
                     {"dir", row.direction},
                     {"tokens", row.tokens},
                     {"wire_bytes", row.wire_bytes},
                     {"ratio", row.ratio},
                     {"codec_ms", row.codec_ms}});
    if (row.rtt_ms) links.back()["rtt_ms"] = *row.rtt_ms;
  }
  nlohmann::ordered_json node = {{"links", links},
                                 {"sessions_now", Sum(now, "sluice_sessions", {})},
                                 {"sessions", Sum(now, "sluice_sessions_total", {})},
                                 {"resumed", Sum(now, "sluice_resumes_total", {})}};
  for (const auto& [title, name, label] : kCounts) node[title] = Counts(now, name, label);
  return node;
}

}  // namespace sluice
