#ifndef SLUICE_GATEWAY_GENERATION_H_
#define SLUICE_GATEWAY_GENERATION_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "wire/head_session.h"

namespace sluice {

/// Whatever continues a prompt: Head::Generate, or a model in this process. Called by any number of threads at once.
using ContinuePrompt =
    std::function<Result<HeadOutcome>(const HeadRequest&, const std::function<bool(const SampledToken&)>&)>;

/// One prompt that is being continued, in a thread of its own, so that whoever waits for its tokens can do something
/// else meanwhile. Threads: one for Next.
class Generation {
 public:
  /// `go_on` outlives it. The request's own give_up is not asked.
  Generation(const ContinuePrompt& go_on, HeadRequest request);
  /// Cancels, and waits until everything is freed.
  ~Generation();
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  /// The next token, if one comes within `patience`. Tokens that are there come at once.
  std::optional<SampledToken> Next(std::chrono::milliseconds patience);
  /// How it ended; null while tokens may come, or are left.
  const Result<HeadOutcome>* outcome();
  void Cancel() { cancelled_ = true; }

 private:
  void Run(HeadRequest request);

  const ContinuePrompt& go_on_;
  std::atomic<bool> cancelled_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<SampledToken> tokens_;
  std::optional<Result<HeadOutcome>> ended_;
  std::thread thread_;
};

}  // namespace sluice

#endif  // SLUICE_GATEWAY_GENERATION_H_
