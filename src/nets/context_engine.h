#ifndef SLUICE_NETS_CONTEXT_ENGINE_H_
#define SLUICE_NETS_CONTEXT_ENGINE_H_

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "nets/context_weights.h"
#include "simd/integer_kernels.h"

namespace sluice {

/// What a sequence leaves behind for its next token, and for some tokens before, to go back to.
/// Cost: constant memory, (8 m + 8) bytes for each token of history. Threads: one at a time; copying is fine.
class ContextState {
 public:
  /// `history`: how many tokens can be taken back.
  explicit ContextState(const ContextShape& shape, size_t history = 0);

  /// Begins a new sequence.
  void Begin();
  /// Tokens since Begin.
  uint64_t tokens() const { return tokens_; }
  /// Id of the last token; that of "before the sequence" at its beginning.
  int32_t last_id() const { return ids_[Slot(tokens_)][0]; }
  /// How many tokens can be taken back now.
  size_t history() const { return available_; }
  /// Forgets the last `count` tokens. Errors: InvalidArgument when there are not so many in the history.
  Status Trim(size_t count);

 private:
  friend class ContextEngine;

  size_t Slot(uint64_t tokens) const { return static_cast<size_t>(tokens % slots_); }
  std::span<int16_t> past(uint64_t tokens) { return std::span(past_).subspan(Slot(tokens) * 2 * hidden_, 2 * hidden_); }
  std::span<int32_t> leaky(uint64_t tokens) { return std::span(leaky_).subspan(Slot(tokens) * hidden_, hidden_); }
  std::array<int32_t, 2>& ids(uint64_t tokens) { return ids_[Slot(tokens)]; }
  /// The next token's slot is filled.
  void Advance();

  size_t hidden_, slots_;
  int32_t no_id_;
  uint64_t tokens_ = 0;
  size_t available_ = 0;
  std::vector<int16_t> past_;                // features and leaky sums after so many tokens
  std::vector<int32_t> leaky_;               // the sums with 8 more bits
  std::vector<std::array<int32_t, 2>> ids_;  // of the last token and of the one before it
};

/// Means and scales of latents from what is known before them: the integer network of docs/numerics.md.
///
/// An encoder, which knows all latents, asks for many tokens at once; a decoder goes token by token and in a token
/// group by group. Both get the same integers, on any machine. Threads: one at a time; weights are shared. Cost:
/// allocates nothing after its construction but for more tokens than Prepare was ever given, some 2 m bytes for each of
/// them and each group.
class ContextEngine {
 public:
  /// Needs: the weights outlive the engine.
  explicit ContextEngine(const ContextWeights& weights, const IntegerKernels& kernels = BestIntegerKernels());

  /// Takes in the next n tokens of a sequence. Data: ids [n] (empty without ids), each in [0, ids); latents [n, d], or
  /// anything for a network that sees none. Needs: point in [0, points).
  void Prepare(int point, size_t n, std::span<const int32_t> ids, std::span<const int32_t> latents,
               ContextState& state);
  /// Parameters of some of the tokens that were prepared, from token `at` of them on: in any order, since an encoder
  /// needs the last ones first, and needs them while they are in the cache. Data: means and scales [tokens, d].
  void Parameters(size_t at, std::span<int32_t> mean_q4, std::span<uint8_t> scales);

  /// Both for all of them.
  void Predict(int point, std::span<const int32_t> ids, std::span<const int32_t> latents, ContextState& state,
               std::span<int32_t> mean_q4, std::span<uint8_t> scales);

  /// The next token of a sequence: BeginToken, then for every group ParametersOf and Absorb, then EndToken.
  void BeginToken(int point, int32_t id, ContextState& state);
  /// Data: the group's part of a token.
  void ParametersOf(size_t group, std::span<int32_t> mean_q4, std::span<uint8_t> scales);
  void Absorb(size_t group, std::span<const int32_t> latents);
  void EndToken(ContextState& state);

  /// Tokens at once.
  static constexpr size_t kBlock = 64;

 private:
  const int32_t* SumLatents(const int32_t* latents, size_t tokens);
  const int32_t* FirstLayer() const { return sums_.empty() ? nullptr : sums_.data(); }
  void PrepareBlock(size_t at, size_t tokens, std::span<const int32_t> ids, const int32_t* sums, ContextState& state);
  int16_t* HiddenOf(size_t at, size_t group) {
    return hidden_.data() + (at * weights_.shape.groups + group) * hidden_stride_;
  }
  void MakeRoom(size_t tokens);
  void ActivateAt(size_t at, const int32_t* base, const int32_t* sums, int16_t* out) const;
  void Name(size_t at, int32_t id, const std::array<int32_t, 2>& earlier, std::array<const int8_t*, 2>& direct);
  size_t PairBucket(int32_t id, int32_t previous) const;
  static void Fetch(const int8_t* row, size_t size);
  void FetchDirect(size_t at, size_t group) const;
  void FetchNames(std::span<const int32_t> ids) const;
  void TakePast(size_t at, ContextState& state);
  void FinishBase(size_t tokens);
  void See(size_t group, size_t at, const int32_t* latents);
  void AddGroup(size_t group, size_t tokens, int32_t* sums);
  void Outputs(size_t group, size_t at, size_t tokens, size_t stride, int32_t* mean_q4, uint8_t* scales);
  void KeepFeatures(size_t at, const int32_t* sums, int32_t id, ContextState& state);

  const ContextWeights& weights_;
  const IntegerKernels& kernels_;
  int point_ = 0;
  int32_t id_ = 0;
  size_t seen_stride_ = 0, past_stride_, hidden_stride_, sum_stride_, output_stride_ = 0;
  std::vector<int16_t> seen_, past_;
  std::vector<int32_t> base_, feature_base_, sums_, past_sums_, means_, scales_;
  std::vector<int32_t> leak_;     // shifts of the leaky sums
  std::vector<int8_t> no_row_;    // zeros
  std::vector<int32_t> no_bias_;  // zeros
  // Of tokens that are prepared: activations of their hidden layer for each group, and where their direct rows are.
  std::vector<int16_t> hidden_;
  std::vector<std::array<const int8_t*, 2>> direct_;
};

}  // namespace sluice

#endif  // SLUICE_NETS_CONTEXT_ENGINE_H_
