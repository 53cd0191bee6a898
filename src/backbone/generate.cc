// Sampling by inverse transform over the tokens in falling order of logit: temperature, top-k and top-p all become a
// prefix of that order, and one uniform number picks from it. The generator is mt19937_64, whose output the standard
// fixes; the mapping to a real number is written out because std::uniform_real_distribution differs between libraries.
#include "backbone/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "backbone/torch_setup.h"

namespace sluice {

Result<Sampler> Sampler::Create(const SamplingOptions& options) {
  if (!(options.temperature >= 0) || !std::isfinite(options.temperature)) {
    return InvalidArgument(fmt::format("temperature is {}; expected 0 (greedy) or more", options.temperature));
  }
  if (options.top_k < 0) return InvalidArgument(fmt::format("top_k is {}; expected 0 (all) or more", options.top_k));
  if (!(options.top_p > 0 && options.top_p <= 1)) {
    return InvalidArgument(fmt::format("top_p is {}; expected more than 0 and at most 1", options.top_p));
  }
  return Sampler(options);
}

Result<int64_t> Sampler::Next(std::span<const float> logits) {
  order_.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i]) || logits[i] == HUGE_VALF) {
      return InvalidArgument(fmt::format("logit of token {} is {}", i, logits[i]));
    }
    order_.emplace_back(logits[i], static_cast<int64_t>(i));
  }
  const auto likelier = [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  };
  const auto best = std::min_element(order_.begin(), order_.end(), likelier);
  if (best == order_.end() || std::isinf(best->first)) return InvalidArgument("no token has a finite logit");
  if (options_.temperature == 0) return best->second;

  const size_t keep = options_.top_k > 0 ? std::min(order_.size(), static_cast<size_t>(options_.top_k)) : order_.size();
  std::partial_sort(order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(keep), order_.end(), likelier);
  order_.resize(keep);
  return Pick();
}

int64_t Sampler::Pick() {
  const double most = order_.front().first;
  weights_.clear();
  double total = 0;
  for (const auto& [logit, id] : order_)
    total += weights_.emplace_back(std::exp((logit - most) / options_.temperature));
  double kept = 0;
  size_t count = 0;
  while (count < weights_.size() && (count == 0 || kept < options_.top_p * total)) kept += weights_[count++];
  const double drawn = static_cast<double>(random_() >> 11) * 0x1p-53 * kept;
  double sum = 0;
  for (size_t i = 0; i < count; ++i) {
    sum += weights_[i];
    if (drawn < sum) return order_[i].second;
  }
  return order_[count - 1].second;
}

namespace {

/// The last row of [1, t, V] logits.
std::vector<float> LastRow(const torch::Tensor& logits) {
  if (logits.dim() != 3 || logits.size(0) != 1 || logits.size(1) < 1) {
    throw StatusException(
        Internal(fmt::format("generation expects logits [1, t, V], got {} dimensions", logits.dim())));
  }
  const torch::Tensor row = logits[0][logits.size(1) - 1].to(torch::kCPU, torch::kFloat).contiguous();
  const float* data = row.data_ptr<float>();
  return {data, data + row.numel()};
}

torch::Tensor AsTokens(std::span<const int64_t> ids) {
  return torch::tensor(std::vector<int64_t>(ids.begin(), ids.end()), torch::kLong).unsqueeze(0);
}

}  // namespace

Result<std::vector<int64_t>> Generate(const NextLogits& next, std::span<const int64_t> prompt,
                                      const GenerateOptions& options, const std::function<bool(int64_t)>& on_token) {
  SLUICE_ASSIGN_OR_RETURN(Sampler sampler, Sampler::Create(options.sampling));
  if (prompt.empty()) return InvalidArgument("the prompt is empty; generation needs at least one token to start from");
  const auto length = static_cast<int64_t>(prompt.size());
  if (options.context > 0 && length >= options.context) {
    return InvalidArgument(
        fmt::format("the prompt has {} tokens; with a context of {} none can follow", length, options.context));
  }
  int64_t most = options.max_new_tokens;
  if (options.context > 0) most = std::min(most, options.context - length);
  return CatchTorch([&] {
    const torch::NoGradGuard no_grad;
    std::vector<int64_t> made;
    torch::Tensor tokens = AsTokens(prompt);
    while (static_cast<int64_t>(made.size()) < most) {
      const int64_t id = ValueOrThrow(sampler.Next(LastRow(next(tokens))));
      if (std::find(options.stop.begin(), options.stop.end(), id) != options.stop.end()) break;
      made.push_back(id);
      if (on_token && !on_token(id)) break;
      tokens = AsTokens({&id, 1});
    }
    return made;
  });
}

}  // namespace sluice
