#ifndef SLUICE_SIMD_ATTENTION_KERNELS_H_
#define SLUICE_SIMD_ATTENTION_KERNELS_H_

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace sluice {

/// One head of causal attention over a sequence: softmax(scale q k^T) v, where a token sees itself and the tokens
/// before it, `window` of them in all.
struct CausalHead {
  /// Vectors of the tokens, [tokens, width] with `stride` floats from one to the next.
  struct Rows {
    const float* at;
    size_t stride;
  };
  Rows queries, keys, values;
  float* outputs;  ///< [tokens, output_stride], of which the first `width` are written
  size_t output_stride;
  size_t tokens, width;
  size_t window;  ///< at least 1; from `tokens` on it is no limit
  float scale;
};

/// Attention for one instruction set, which may differ from the others in the last digits. Threads: any number at once.
struct AttentionKernels {
  std::string_view name;
  /// Finite inputs give finite outputs, unless a score is none. Cost: tokens * min(tokens, window) * width
  /// multiply-adds, twice, and one exponential for each score; `work` keeps its memory from call to call.
  void (*attend)(const CausalHead& head, std::vector<float>& work);
};

/// Plain C++: what the others are measured against.
const AttentionKernels& PlainAttentionKernels();
/// The best for this CPU.
const AttentionKernels& BestAttentionKernels();
/// One for every instruction set that was compiled and that this CPU has, plain C++ first: for tests and benchmarks.
std::span<const AttentionKernels> AllAttentionKernels();

}  // namespace sluice

#endif  // SLUICE_SIMD_ATTENTION_KERNELS_H_
