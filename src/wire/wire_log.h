#ifndef SLUICE_WIRE_WIRE_LOG_H_
#define SLUICE_WIRE_WIRE_LOG_H_

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace spdlog {
class logger;
}

namespace sluice {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

/// What happens on a node, one line an event, for people or, as JSON, for machines. A default-constructed log is
/// silent. Threads: any.
class WireLog {
 public:
  using Fields = nlohmann::ordered_json;

  WireLog() = default;
  /// Writes events from `least` on to standard error; `node` is in every line.
  static WireLog ToStandardError(std::string node, bool json, LogLevel least);

  /// `fields`: an object. {"session", "0af3..."} and the like.
  void Event(LogLevel level, std::string_view event, const Fields& fields = Fields::object()) const;

 private:
  std::shared_ptr<spdlog::logger> logger_;
  std::string node_;
  bool json_ = false;
};

}  // namespace sluice

#endif  // SLUICE_WIRE_WIRE_LOG_H_
