#ifndef SLUICE_WIRE_STAGE_QUEUE_H_
#define SLUICE_WIRE_STAGE_QUEUE_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "wire/stage_runner.h"

namespace sluice {

/// The next positions of one session, to be run.
struct StageJob {
  StageState* state = nullptr;
  std::vector<int64_t> tokens;      ///< of a head: embedded first
  Matrix<float> hidden;             ///< of the others
  TokenSampler* sampler = nullptr;  ///< chooses the token that follows the last position; null: none is wanted
  bool log_probability = false;
  std::shared_ptr<const std::atomic<bool>> cancelled;  ///< set: the job is skipped; may be null
};

/// A token and the natural logarithm of its probability under the logits as they are, whatever the temperature.
struct SampledToken {
  int64_t id = 0;
  double log_probability = 0;  ///< 0 when it was not asked for
};

struct StageResult {
  Matrix<float> hidden;  ///< leaving the node's layers; empty where a token was sampled
  std::optional<SampledToken> token;
  double queue_seconds = 0;
  double compute_seconds = 0;
};

/// The one thread of a node that computes, for all its sessions.
///
/// The schedule is a sequence of rounds: first every single position that waits, in the order of arrival, then one
/// chunk of several, the one that has waited longest. So a long prompt delays a token by one chunk at most. Each job is
/// run by itself, in the order of its session, never fused with another session's: what a session gets does not depend
/// on who else is served. Threads: any.
class StageQueue {
 public:
  /// `runner` outlives the queue.
  explicit StageQueue(StageRunner& runner);
  /// Runs what waits and stops.
  ~StageQueue();
  StageQueue(const StageQueue&) = delete;
  StageQueue& operator=(const StageQueue&) = delete;

  /// The job's state and sampler stay until the future is ready. Errors, through the future: those of StageRunner;
  /// Interrupted for a job that was cancelled.
  std::future<Result<StageResult>> Submit(StageJob job);

 private:
  struct Waiting {
    StageJob job;
    std::promise<Result<StageResult>> done;
    Clock::time_point since;
  };

  void Loop();
  void Finish(Waiting waiting);
  Result<StageResult> RunJob(StageJob& job);

  StageRunner& runner_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Waiting> steps_;
  std::deque<Waiting> chunks_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace sluice

#endif  // SLUICE_WIRE_STAGE_QUEUE_H_
