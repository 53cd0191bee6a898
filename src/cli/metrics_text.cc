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

std::string Counts(const Samples& now, std::string_view name, const char* label) {
  std::string text;
  for (const MetricSample& sample : now) {
    if (sample.name != name || !sample.labels.contains(label)) continue;
    text += fmt::format(" {} {:g}", sample.labels.at(label), sample.value);
  }
  return text.empty() ? " none" : text;
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

std::string LinkTable(const Samples& before, const Samples& now, double seconds) {
  const double per = seconds > 0 ? seconds : 1;
  const char* unit = seconds > 0 ? "/s" : "";
  const auto moved = [&](std::string_view name, const auto& labels) {
    return std::max(0.0, Sum(now, name, labels) - Sum(before, name, labels));
  };
  std::string text =
      fmt::format("{:<24} {:<14} {:<8} {:<8} {:>10} {:>12} {:>7} {:>9} {:>9}\n", "link", "codec", "phase", "dir",
                  fmt::format("tokens{}", unit), fmt::format("kB{}", unit), "ratio", "codec ms", "rtt ms");
  for (const MetricSample& sample : now) {
    if (sample.name != "sluice_frames_total") continue;
    const auto& labels = sample.labels;
    const bool sent = labels.contains("dir") && labels.at("dir") == "sent";
    std::map<std::string, std::string> both = labels, link = labels;
    both.erase("dir");
    link.erase("dir");
    link.erase("codec");
    const double wire = moved("sluice_wire_bytes_total", labels), frames = moved("sluice_frames_total", labels);
    const double codec = moved(sent ? "sluice_encode_seconds_total" : "sluice_decode_seconds_total", both);
    const double trips = moved("sluice_rtt_seconds_count", link);
    const auto label = [&](const char* name) { return labels.contains(name) ? labels.at(name) : std::string("?"); };
    text += fmt::format("{:<24} {:<14} {:<8} {:<8} {:>10.1f} {:>12.2f} {:>7.2f} {:>9.3f} {:>9}\n", label("link"),
                        label("codec"), label("phase"), label("dir"), moved("sluice_tokens_total", labels) / per,
                        wire / per / 1e3, wire > 0 ? moved("sluice_raw_bytes_total", labels) / wire : 0,
                        frames > 0 ? 1e3 * codec / frames : 0,
                        sent && trips > 0 ? fmt::format("{:.2f}", 1e3 * moved("sluice_rtt_seconds_sum", link) / trips)
                                          : std::string("-"));
  }
  text += fmt::format("sessions {:g} now, {:g} in all; resumed {:g}\n", Sum(now, "sluice_sessions", {}),
                      Sum(now, "sluice_sessions_total", {}), Sum(now, "sluice_resumes_total", {}));
  text += fmt::format("errors:{}; bypassed:{}\n", Counts(now, "sluice_errors_total", "code"),
                      Counts(now, "sluice_bypass_total", "reason"));
  return text;
}

}  // namespace sluice
