#ifndef SLUICE_WIRE_STAGE_RUNNER_H_
#define SLUICE_WIRE_STAGE_RUNNER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/hash.h"
#include "base/status.h"
#include "base/view.h"

namespace sluice {

/// The layers [begin, end) of a model that a node holds, and what its neighbours must agree on.
struct StageInfo {
  uint32_t begin = 0;
  uint32_t end = 0;
  uint32_t total = 0;
  uint32_t width = 0;
  uint64_t context = 0;  ///< most positions of a sequence
  Sha256Digest model{};
  uint64_t bytes_per_position = 0;  ///< memory that a session's state takes for each position

  bool head() const { return begin == 0; }
  bool tail() const { return end == total; }
};

/// What a stage remembers of one session: keys and values of the positions that it has run.
class StageState {
 public:
  virtual ~StageState() = default;
};

/// How a token is chosen from logits.
struct SamplingChoice {
  double temperature = 0;  ///< 0: the likeliest
  int64_t top_k = 0;       ///< 0: all
  double top_p = 1;
  uint64_t seed = 0;
};

/// Chooses the tokens of one session. Threads: one at a time.
class TokenSampler {
 public:
  virtual ~TokenSampler() = default;
  virtual Result<int64_t> Next(std::span<const float> logits) = 0;
};

/// Runs a node's layers; whoever owns a transformer plugs it in here. The same calls on fresh states give the same
/// bits, whatever other states do in between. Threads: NewState and NewSampler from any; the others one at a time.
class StageRunner {
 public:
  virtual ~StageRunner() = default;

  virtual const StageInfo& info() const = 0;
  /// Room for `positions`. Errors: InvalidArgument beyond the context.
  virtual Result<std::unique_ptr<StageState>> NewState(uint64_t positions) = 0;
  /// Errors: InvalidArgument for a choice that cannot be.
  virtual Result<std::unique_ptr<TokenSampler>> NewSampler(const SamplingChoice& choice) = 0;

  /// Of a head: the next tokens as hidden states entering layer 0, [T, d].
  /// Errors: InvalidArgument for a token outside the vocabulary.
  virtual Result<Matrix<float>> Embed(StageState& state, std::span<const int64_t> tokens) = 0;
  /// The next positions through the node's layers, [T, d] -> [T, d]. Errors: InvalidArgument beyond the state's room.
  virtual Result<Matrix<float>> Run(StageState& state, MatrixView<const float> hidden) = 0;
  /// Of a tail: what follows a position that has left the last layer, [d] -> [V].
  virtual Result<std::vector<float>> Logits(std::span<const float> hidden) = 0;
};

}  // namespace sluice

#endif  // SLUICE_WIRE_STAGE_RUNNER_H_
