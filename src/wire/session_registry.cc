// Memory is counted before it is taken: a session says in its Hello how many positions it will use, and is refused when
// their keys and values would not fit beside those of the others. A session that comes back after a fault may find its
// own former self still waiting for a dead connection; it takes that one's place.
#include "wire/session_registry.h"

#include <fmt/format.h>

#include <chrono>

namespace sluice {
namespace {

constexpr auto kReplaceWait = std::chrono::seconds(5);

}  // namespace

SessionRegistry::Place::~Place() {
  if (registry_ != nullptr) registry_->Leave(key_);
}

bool SessionRegistry::ReplaceEarlier(const std::string& session, uint32_t attempt) {
  bool found = false;
  for (auto& [key, entry] : entries_) {
    if (entry.session != session || entry.attempt >= attempt) continue;
    entry.end(Interrupted(fmt::format("attempt {} took the place of attempt {}", attempt, entry.attempt)));
    found = true;
  }
  return found;
}

Result<SessionRegistry::Place> SessionRegistry::Admit(const std::string& session, uint32_t attempt, uint64_t bytes,
                                                      std::function<void(Status)> end) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (attempt > 0 && ReplaceEarlier(session, attempt)) {
    left_.wait_for(lock, kReplaceWait, [&] {
      for (const auto& [key, entry] : entries_) {
        if (entry.session == session) return false;
      }
      return true;
    });
  }
  if (draining_) return Unavailable("this node is stopping and takes no new sessions");
  if (entries_.size() >= limits_.sessions) {
    return Unavailable(fmt::format("this node has {} sessions, the most it takes", limits_.sessions));
  }
  if (bytes > limits_.state_bytes || bytes_ > limits_.state_bytes - bytes) {
    return Unavailable(
        fmt::format("the session's state takes {} bytes, {} of {} are in use", bytes, bytes_, limits_.state_bytes));
  }
  bytes_ += bytes;
  entries_.emplace(count_, Entry{session, attempt, bytes, std::move(end)});
  return Place(this, count_++);
}

void SessionRegistry::Leave(uint64_t key) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto entry = entries_.find(key);
  bytes_ -= entry->second.bytes;
  entries_.erase(entry);
  left_.notify_all();
}

void SessionRegistry::Drain() {
  const std::lock_guard<std::mutex> lock(mutex_);
  draining_ = true;
}

bool SessionRegistry::WaitEmpty(double seconds) {
  std::unique_lock<std::mutex> lock(mutex_);
  return left_.wait_for(lock, std::chrono::duration<double>(seconds), [&] { return entries_.empty(); });
}

void SessionRegistry::EndAll(const Status& why) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (auto& [key, entry] : entries_) entry.end(why);
}

size_t SessionRegistry::size() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return entries_.size();
}

}  // namespace sluice
