#ifndef SLUICE_WIRE_HEAD_SESSION_H_
#define SLUICE_WIRE_HEAD_SESSION_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "wire/handshake.h"
#include "wire/replay_link.h"
#include "wire/stage_queue.h"

namespace sluice {

/// A text to be continued.
struct HeadRequest {
  std::vector<int64_t> prompt;
  SamplingChoice sampling;
  uint64_t max_new_tokens = 128;
  std::vector<int64_t> stop;  ///< tokens that end the text; they are not returned
  uint32_t chunk_tokens = 128;
  bool log_probabilities = false;
  double deadline_seconds = 0;              ///< 0: none
  std::function<bool()> give_up = nullptr;  ///< asked while it waits; true ends it as Interrupted
  std::string requirement;                  ///< of the codec's certificate; may be empty
  std::string bypass = {};                  ///< counted for each frame: why no other codec is used; may be empty
};

/// A node behind the head, with its layers [begin, end) and the codec of the link into it.
struct ChainNode {
  std::string name;
  uint32_t begin = 0, end = 0;
  std::string codec;
};

struct HeadOutcome {
  std::string session;
  std::vector<SampledToken> tokens;
  bool stopped = false;    ///< by a stop token, not by a limit
  bool cancelled = false;  ///< by on_token
  uint32_t resumes = 0;
  uint64_t wire_bytes = 0;
  uint64_t raw_bytes = 0;
  double first_token_seconds = 0;
  double seconds = 0;
  std::vector<ChainNode> stages;  ///< behind the head, nearest first
};

/// The first node of a chain. It may run any number of sessions at once, over one connection.
/// Threads: any for Generate.
class Head {
 public:
  /// `queue` computes what `runner` holds, which begins at layer 0. All outlive the head.
  Head(StageRunner& runner, StageQueue& queue, const LinkCodec& codec, const LinkPeer& peer, StreamPatience patience,
       double retry_seconds, WireMetrics& metrics, const WireLog& log)
      : runner_(runner),
        queue_(queue),
        codec_(codec),
        peer_(peer),
        patience_(patience),
        retry_seconds_(retry_seconds),
        metrics_(metrics),
        log_(log) {}

  /// Continues the prompt. Computing a chunk, encoding the one before and sending those before that overlap.
  /// `on_token` sees every token once, as it comes, and may return false to stop; it may be null.
  /// Errors: InvalidArgument for a prompt or a request that cannot be; those of ReplayLink.
  Result<HeadOutcome> Generate(const HeadRequest& request, const std::function<bool(const SampledToken&)>& on_token);

 private:
  struct Session;

  Status CheckRequest(const HeadRequest& request) const;
  Result<wire::Hello> HelloFor(const HeadRequest& request) const;
  Status Prefill(Session& session, const HeadRequest& request);
  Status Decode(Session& session, const HeadRequest& request, const std::function<bool(const SampledToken&)>& on_token);
  Result<Matrix<float>> Compute(Session& session, std::vector<int64_t> tokens, Phase phase);
  Status Send(Session& session, const Matrix<float>& hidden, Phase phase, bool sample);

  StageRunner& runner_;
  StageQueue& queue_;
  const LinkCodec& codec_;
  const LinkPeer& peer_;
  StreamPatience patience_;
  double retry_seconds_;
  WireMetrics& metrics_;
  const WireLog& log_;
  Watchdog watchdog_;
};

}  // namespace sluice

#endif  // SLUICE_WIRE_HEAD_SESSION_H_
