// The tokens wait in a queue that is as long as the answer may be, so a client that reads slowly holds up nobody, and
// the transformer never waits for a socket.
#include "gateway/generation.h"

#include "base/thread.h"

namespace sluice {

Generation::Generation(const ContinuePrompt& go_on, HeadRequest request) : go_on_(go_on) {
  Result<std::thread> thread = StartThread([this, request = std::move(request)]() mutable { Run(std::move(request)); });
  if (thread.ok()) {
    thread_ = std::move(*thread);
  } else {
    ended_.emplace(thread.status());
  }
}

Generation::~Generation() {
  Cancel();
  if (thread_.joinable()) thread_.join();
}

void Generation::Run(HeadRequest request) {
  request.give_up = [this] { return cancelled_.load(); };
  Result<HeadOutcome> outcome = go_on_(request, [this](const SampledToken& token) {
    const std::lock_guard<std::mutex> lock(mutex_);
    tokens_.push_back(token);
    changed_.notify_all();
    return !cancelled_;
  });
  const std::lock_guard<std::mutex> lock(mutex_);
  ended_.emplace(std::move(outcome));
  changed_.notify_all();
}

std::optional<SampledToken> Generation::Next(std::chrono::milliseconds patience) {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait_for(lock, patience, [&] { return !tokens_.empty() || ended_; });
  if (tokens_.empty()) return std::nullopt;
  const SampledToken token = tokens_.front();
  tokens_.pop_front();
  return token;
}

const Result<HeadOutcome>* Generation::outcome() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return ended_ && tokens_.empty() ? &*ended_ : nullptr;
}

}  // namespace sluice
