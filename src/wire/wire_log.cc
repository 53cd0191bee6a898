// spdlog keeps threads apart and knows levels and time; the line itself is made here, because its JSON must be JSON
// whatever is in the fields.
#include "wire/wire_log.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <chrono>

namespace sluice {
namespace {

spdlog::level::level_enum LevelOf(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      break;
  }
  return spdlog::level::err;
}

std::string Now() {
  const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(now)),
                     now.time_since_epoch().count() % 1000);
}

}  // namespace

WireLog WireLog::ToStandardError(std::string node, bool json, LogLevel least) {
  WireLog log;
  log.logger_ = std::make_shared<spdlog::logger>("sluice", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  log.logger_->set_pattern("%v");
  log.logger_->set_level(LevelOf(least));
  log.logger_->flush_on(spdlog::level::debug);
  log.node_ = std::move(node);
  log.json_ = json;
  return log;
}

void WireLog::Event(LogLevel level, std::string_view event, const Fields& fields) const {
  if (!logger_ || !logger_->should_log(LevelOf(level))) return;
  const spdlog::string_view_t name = spdlog::level::to_string_view(LevelOf(level));
  const std::string level_name(name.data(), name.size());
  if (json_) {
    Fields line = {{"time", Now()}, {"level", level_name}, {"node", node_}, {"event", event}};
    line.update(fields);
    logger_->log(LevelOf(level), line.dump(-1, ' ', false, Fields::error_handler_t::replace));
    return;
  }
  std::string line = fmt::format("{} {} {} {}", Now(), level_name, node_, event);
  for (const auto& [key, value] : fields.items()) {
    line += fmt::format(" {}={}", key, value.dump(-1, ' ', false, Fields::error_handler_t::replace));
  }
  logger_->log(LevelOf(level), line);
}

}  // namespace sluice
