#ifndef SLUICE_WIRE_WATCHDOG_H_
#define SLUICE_WIRE_WATCHDOG_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "base/clock.h"

namespace sluice {

/// One thread that calls back what takes too long. Callbacks must be short, and must not arm or drop an alarm.
/// Threads: any.
class Watchdog {
 public:
  /// Rings once after its time, unless it is dropped before. When the destructor returns, the callback is not running
  /// and never will.
  class Alarm {
   public:
    Alarm() = default;
    Alarm(Alarm&& other) noexcept : dog_(std::exchange(other.dog_, nullptr)), key_(other.key_) {}
    Alarm& operator=(Alarm&& other) noexcept;
    ~Alarm() { Drop(); }
    void Drop();

   private:
    friend class Watchdog;
    Alarm(Watchdog* dog, std::pair<Clock::time_point, uint64_t> key) : dog_(dog), key_(key) {}

    Watchdog* dog_ = nullptr;
    std::pair<Clock::time_point, uint64_t> key_;
  };

  Watchdog();
  /// Needs: no alarm is left.
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  [[nodiscard]] Alarm After(double seconds, std::function<void()> ring);

 private:
  using Key = std::pair<Clock::time_point, uint64_t>;
  void Loop();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<Key, std::function<void()>> alarms_;
  uint64_t count_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace sluice

#endif  // SLUICE_WIRE_WATCHDOG_H_
