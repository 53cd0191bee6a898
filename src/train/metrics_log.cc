// TensorBoard reads TFRecord files: length (u64), masked CRC-32C of the length, payload, masked CRC-32C of the payload.
// Debian 12 has no CRC-32C library and a few records a second need no fast one, so it is computed bit by bit here.
#include "train/metrics_log.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/file.h"
#include "event.pb.h"

namespace sluice {
namespace {

using nlohmann::ordered_json;

constexpr const char* kLinesFile = "metrics.jsonl";

double Now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

uint32_t MaskedCrc(std::string_view bytes) {
  constexpr uint32_t kCastagnoli = 0x82F63B78u;  // reflected polynomial
  uint32_t crc = ~0u;
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (kCastagnoli & (0u - (crc & 1)));
  }
  crc = ~crc;
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

void WriteRecord(std::ofstream& out, const tensorboard::Event& event) {
  const std::string payload = event.SerializeAsString();
  char length[8];
  StoreLe<uint64_t>(payload.size(), length);
  char crc[4];
  StoreLe(MaskedCrc({length, 8}), crc);
  out.write(length, 8).write(crc, 4).write(payload.data(), static_cast<std::streamsize>(payload.size()));
  StoreLe(MaskedCrc(payload), crc);
  out.write(crc, 4);
}

// Drops what a killed run wrote after its last checkpoint, a torn last line included.
Status TrimLines(const std::filesystem::path& path, int64_t resume_step) {
  if (!std::filesystem::exists(path)) return OkStatus();
  std::ifstream in(path);
  std::string kept, line;
  while (std::getline(in, line)) {
    const auto json = ordered_json::parse(line, nullptr, false);
    if (!json.is_object() || !json.contains("step") || !json["step"].is_number_integer()) break;
    if (json["step"].get<int64_t>() > resume_step) break;
    kept += line + "\n";
  }
  return WriteFileAtomic(path, kept);
}

}  // namespace

double MetricValue(const Metrics& metrics, const std::string& name) {
  for (const auto& [key, value] : metrics) {
    if (key == name) return value;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

Result<MetricsLog> MetricsLog::Open(const std::filesystem::path& folder, int64_t resume_step) {
  SLUICE_RETURN_IF_ERROR(MakeFolder(folder));
  SLUICE_RETURN_IF_ERROR(TrimLines(folder / kLinesFile, resume_step));
  std::ofstream lines(folder / kLinesFile, std::ios::app);
  const auto events_path = folder / fmt::format("events.out.tfevents.{:010}.sluice", static_cast<int64_t>(Now()));
  std::ofstream events(events_path, std::ios::binary | std::ios::app);
  if (!lines || !events) return IoError(fmt::format("{}: cannot write the metrics log", folder.string()));
  tensorboard::Event version;
  version.set_wall_time(Now());
  version.set_file_version("brain.Event:2");
  WriteRecord(events, version);
  return MetricsLog(std::move(lines), std::move(events));
}

Status MetricsLog::Write(int64_t step, const Metrics& metrics) {
  ordered_json line = {{"step", step}};
  tensorboard::Event event;
  event.set_wall_time(Now());
  event.set_step(step);
  for (const auto& [name, value] : metrics) {
    line[name] = std::isfinite(value) ? ordered_json(value) : ordered_json(nullptr);
    auto* scalar = event.mutable_summary()->add_value();
    scalar->set_tag(name);
    scalar->set_simple_value(static_cast<float>(value));
  }
  lines_ << line.dump() << '\n' << std::flush;
  WriteRecord(events_, event);
  events_.flush();
  if (!lines_ || !events_) return IoError(fmt::format("step {}: cannot write the metrics log", step));
  return OkStatus();
}

Result<std::vector<std::pair<int64_t, Metrics>>> ReadMetrics(const std::filesystem::path& folder) {
  const auto path = folder / kLinesFile;
  std::ifstream in(path);
  if (!in) return IoError(fmt::format("{}: cannot open", path.string()));
  std::vector<std::pair<int64_t, Metrics>> steps;
  std::string line;
  while (std::getline(in, line)) {
    const auto json = ordered_json::parse(line, nullptr, false);
    if (!json.is_object() || !json.contains("step") || !json["step"].is_number_integer()) {
      return Corrupt(fmt::format("{}: line {} is not a metrics record", path.string(), steps.size() + 1));
    }
    Metrics metrics;
    for (const auto& [key, value] : json.items()) {
      if (key != "step" && value.is_number()) metrics.emplace_back(key, value.get<double>());
    }
    steps.emplace_back(json["step"].get<int64_t>(), std::move(metrics));
  }
  return steps;
}

}  // namespace sluice
