#ifndef SLUICE_BACKBONE_GENERATE_H_
#define SLUICE_BACKBONE_GENERATE_H_

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "base/status.h"

namespace sluice {

struct SamplingOptions {
  double temperature = 1.0;  ///< 0: greedy
  int64_t top_k = 0;         ///< 0: all
  double top_p = 1.0;        ///< in (0, 1]: smallest set of likeliest tokens that holds this much probability
  uint64_t seed = 0;
};

/// Chooses tokens from logits.
/// Exact: ids are ordered by logit, ties by lower id; weights exp((logit - max)/temperature) in double, summed in that
/// order; u = (mt19937_64() >> 11) * 2^-53 times the sum selects the first id whose running sum exceeds it. Greedy
/// takes the largest logit, ties the lower id, and draws nothing.
class Sampler {
 public:
  /// Errors: InvalidArgument for a negative temperature or top_k, or top_p outside (0, 1].
  static Result<Sampler> Create(const SamplingOptions& options);

  /// Data: logits [V]. Errors: InvalidArgument when empty or not finite (NaN, or every logit -inf).
  Result<int64_t> Next(std::span<const float> logits);

 private:
  explicit Sampler(const SamplingOptions& options) : options_(options), random_(options.seed) {}

  /// Draws from order_, which is sorted and cut to top_k.
  int64_t Pick();

  SamplingOptions options_;
  std::mt19937_64 random_;
  std::vector<std::pair<float, int64_t>> order_;  ///< (logit, id)
  std::vector<double> weights_;
};

/// Runs new tokens and returns the logits of what follows; keeps its own cache. Cut or uncut is its own business.
/// Data: tokens [1, T] int64, the positions after the last call's -> logits [1, t, V] whose last row is used.
using NextLogits = std::function<torch::Tensor(const torch::Tensor& tokens)>;

struct GenerateOptions {
  SamplingOptions sampling;
  int64_t max_new_tokens = 128;
  int64_t context = 0;        ///< stop when prompt and new tokens fill it; 0: no limit
  std::vector<int64_t> stop;  ///< ids that end the text (eos); the id itself is not returned
};

/// Continues `prompt`. `on_token` sees every new id as it comes and may return false to stop; it may be null.
/// Data: -> the new ids, without the prompt and without a stop id.
/// Errors: InvalidArgument for an empty prompt or one that fills the context; what `next` throws, as Status.
Result<std::vector<int64_t>> Generate(const NextLogits& next, std::span<const int64_t> prompt,
                                      const GenerateOptions& options,
                                      const std::function<bool(int64_t)>& on_token = nullptr);

}  // namespace sluice

#endif  // SLUICE_BACKBONE_GENERATE_H_
