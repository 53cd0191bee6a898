// Alarms in the order of their times; the thread sleeps until the first. A callback runs under the lock, which is what
// makes dropping an alarm a promise that it will not ring.
#include "wire/watchdog.h"

#include "base/clock.h"

namespace sluice {

Watchdog::Alarm& Watchdog::Alarm::operator=(Alarm&& other) noexcept {
  if (this == &other) return *this;
  Drop();
  dog_ = std::exchange(other.dog_, nullptr);
  key_ = other.key_;
  return *this;
}

void Watchdog::Alarm::Drop() {
  if (dog_ == nullptr) return;
  const std::lock_guard<std::mutex> lock(dog_->mutex_);
  dog_->alarms_.erase(key_);
  dog_ = nullptr;
}

Watchdog::Watchdog() : thread_([this] { Loop(); }) {}

Watchdog::~Watchdog() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Watchdog::Alarm Watchdog::After(double seconds, std::function<void()> ring) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const Key key{Clock::now() + DurationOf(seconds), count_++};
  const auto placed = alarms_.emplace(key, std::move(ring)).first;
  // Every frame sets an alarm: the thread is woken only for one that is earlier than what it waits for.
  if (placed == alarms_.begin()) changed_.notify_all();
  return Alarm(this, key);
}

void Watchdog::Loop() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopping_) {
    if (alarms_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const auto first = alarms_.begin();
    if (first->first.first > Clock::now()) {
      const auto until = first->first.first;
      changed_.wait_until(lock, until);
      continue;
    }
    const std::function<void()> ring = std::move(first->second);
    alarms_.erase(first);
    ring();
  }
}

}  // namespace sluice
