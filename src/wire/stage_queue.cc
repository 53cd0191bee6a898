// One thread, two queues, rounds. Fusing the single positions of many sessions into one matrix would be faster on large
// models, but a matrix product of eight rows need not give the bits that eight products of one row give; a session's
// tokens would then depend on its neighbours, and a session that is replayed after a fault would no longer be the same.
#include "wire/stage_queue.h"

#include <algorithm>
#include <cmath>

#include "base/clock.h"

namespace sluice {
namespace {

double LogProbability(std::span<const float> logits, int64_t id) {
  const double most = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - most);
  return static_cast<double>(logits[static_cast<size_t>(id)]) - most - std::log(sum);
}

}  // namespace

StageQueue::StageQueue(StageRunner& runner) : runner_(runner), thread_([this] { Loop(); }) {}

StageQueue::~StageQueue() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::future<Result<StageResult>> StageQueue::Submit(StageJob job) {
  Waiting waiting{std::move(job), {}, Clock::now()};
  std::future<Result<StageResult>> future = waiting.done.get_future();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const size_t positions = std::max(waiting.job.tokens.size(), waiting.job.hidden.rows());
    // The last chunk of a prompt may be a single position: it stays behind those before it.
    const auto own = [&](const Waiting& other) { return other.job.state == waiting.job.state; };
    const bool behind = std::any_of(chunks_.begin(), chunks_.end(), own);
    (positions > 1 || behind ? chunks_ : steps_).push_back(std::move(waiting));
  }
  changed_.notify_all();
  return future;
}

void StageQueue::Loop() {
  while (true) {
    std::deque<Waiting> round;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [&] { return stopping_ || !steps_.empty() || !chunks_.empty(); });
      round.swap(steps_);
      if (!chunks_.empty()) {
        round.push_back(std::move(chunks_.front()));
        chunks_.pop_front();
      }
      if (round.empty()) return;
    }
    for (Waiting& waiting : round) Finish(std::move(waiting));
  }
}

void StageQueue::Finish(Waiting waiting) {
  const double queued = SecondsSince(waiting.since);
  if (waiting.job.cancelled && waiting.job.cancelled->load()) {
    return waiting.done.set_value(Interrupted("the session ended before this was computed"));
  }
  const auto start = Clock::now();
  Result<StageResult> result = RunJob(waiting.job);
  if (result.ok()) {
    result->queue_seconds = queued;
    result->compute_seconds = SecondsSince(start);
  }
  waiting.done.set_value(std::move(result));
}

Result<StageResult> StageQueue::RunJob(StageJob& job) {
  StageResult result;
  Matrix<float> entering = std::move(job.hidden);
  if (!job.tokens.empty()) {
    SLUICE_ASSIGN_OR_RETURN(entering, runner_.Embed(*job.state, job.tokens));
  }
  SLUICE_ASSIGN_OR_RETURN(result.hidden, runner_.Run(*job.state, entering.View()));
  if (job.sampler == nullptr) return result;
  const Matrix<float> leaving = std::move(result.hidden);
  SLUICE_ASSIGN_OR_RETURN(const std::vector<float> logits, runner_.Logits(leaving.row(leaving.rows() - 1)));
  SLUICE_ASSIGN_OR_RETURN(const int64_t id, job.sampler->Next(logits));
  result.hidden = Matrix<float>();
  result.token = SampledToken{id, job.log_probability ? LogProbability(logits, id) : 0};
  return result;
}

}  // namespace sluice
