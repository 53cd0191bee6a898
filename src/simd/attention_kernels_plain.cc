// Causal attention in plain C++, a token at a time.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "simd/attention_kernels.h"

namespace sluice {
namespace {

void AttendPlain(const CausalHead& head, std::vector<float>& work) {
  work.resize(std::min(head.tokens, head.window));
  for (size_t t = 0; t < head.tokens; ++t) {
    const size_t begin = t + 1 > head.window ? t + 1 - head.window : 0, count = t + 1 - begin;
    const float* const query = head.queries.at + t * head.queries.stride;
    for (size_t i = 0; i < count; ++i) {
      const float* const key = head.keys.at + (begin + i) * head.keys.stride;
      work[i] = head.scale * std::inner_product(query, query + head.width, key, 0.0f);
    }
    const auto scores = std::span(work).first(count);
    const float most = *std::max_element(scores.begin(), scores.end());
    float total = 0;
    for (float& score : scores) total += score = std::exp(score - most);
    float* const output = head.outputs + t * head.output_stride;
    std::fill_n(output, head.width, 0.0f);
    for (size_t i = 0; i < count; ++i) {
      const float* const value = head.values.at + (begin + i) * head.values.stride;
      for (size_t c = 0; c < head.width; ++c) output[c] += scores[i] / total * value[c];
    }
  }
}

}  // namespace

const AttentionKernels& PlainAttentionKernels() {
  static constexpr AttentionKernels kPlain = {"plain", AttendPlain};
  return kPlain;
}

}  // namespace sluice
