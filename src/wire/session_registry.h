#ifndef SLUICE_WIRE_SESSION_REGISTRY_H_
#define SLUICE_WIRE_SESSION_REGISTRY_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "base/status.h"
#include "wire/limits.h"

namespace sluice {

/// The sessions of a node: how many there may be, how much memory they may take together, and which are there when the
/// node wants to stop. Threads: any.
class SessionRegistry {
 public:
  /// Room for one session, until it is destroyed.
  class Place {
   public:
    Place(Place&& other) noexcept : registry_(std::exchange(other.registry_, nullptr)), key_(other.key_) {}
    Place& operator=(Place&&) = delete;
    ~Place();

   private:
    friend class SessionRegistry;
    Place(SessionRegistry* registry, uint64_t key) : registry_(registry), key_(key) {}
    SessionRegistry* registry_;
    uint64_t key_;
  };

  explicit SessionRegistry(const WireLimits& limits) : limits_(limits) {}

  /// Room for `bytes` of state. `end` is called, at most from one thread at a time and never after the place is gone,
  /// when the session has to end. An earlier attempt at the same session is ended first, and waited for a moment.
  /// Errors: Unavailable when the node is full or drains.
  Result<Place> Admit(const std::string& session, uint32_t attempt, uint64_t bytes, std::function<void(Status)> end);

  /// Admits nobody from now on.
  void Drain();
  /// Waits until no session is left. False when some still are after `seconds`.
  bool WaitEmpty(double seconds);
  void EndAll(const Status& why);
  size_t size() const;

 private:
  struct Entry {
    std::string session;
    uint32_t attempt;
    uint64_t bytes;
    std::function<void(Status)> end;
  };

  void Leave(uint64_t key);
  bool ReplaceEarlier(const std::string& session, uint32_t attempt);

  const WireLimits limits_;
  mutable std::mutex mutex_;
  std::condition_variable left_;
  std::map<uint64_t, Entry> entries_;
  uint64_t bytes_ = 0;
  uint64_t count_ = 0;
  bool draining_ = false;
};

}  // namespace sluice

#endif  // SLUICE_WIRE_SESSION_REGISTRY_H_
