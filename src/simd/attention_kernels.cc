// Causal attention, one source for every instruction set.
//
// A vector holds as many queries as it has lanes, one behind the other in the sequence, and passes over the keys that
// any of them sees: scores first, then exponentials, then the sum of values. Heads of a codec are 2 to 16 wide, too
// narrow to be the vector; a window of 32 tokens costs these queries 39 or 47 keys.
#include "simd/attention_kernels.h"

#include <algorithm>
#include <limits>

// Vectors without a fixed length would need kernels of their own.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/attention_kernels.cc"
// The targets come first.
// clang-format off
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/contrib/math/math-inl.h"
// clang-format on
#include "hwy/highway.h"
#include "simd/target_choice.h"

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {
namespace {

#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128

[[maybe_unused]] const AttentionKernels& TargetAttentionKernels() { return PlainAttentionKernels(); }

#else

namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::CappedTag<float, 16>;
using V = hn::Vec<DF>;
constexpr size_t kLanes = HWY_MAX_BYTES / sizeof(float);
/// Scores at once, so that one product need not wait for another.
constexpr size_t kKeys = 4;
/// Sums of values at once.
constexpr size_t kChannels = 8;
constexpr float kUnseen = -std::numeric_limits<float>::max();

/// The queries [first, first + count) and the keys [begin, first + count).
struct Block {
  const CausalHead& head;
  size_t first, count, begin;
  float* scores;   // [keys, kLanes], then exponentials
  float* columns;  // [width, kLanes]: queries, then outputs

  size_t keys() const { return first + count - begin; }
};

HWY_INLINE void LoadQueries(const Block& block) {
  const CausalHead& head = block.head;
  for (size_t lane = 0; lane < kLanes; ++lane) {
    const float* const query = head.queries.at + (block.first + lane) * head.queries.stride;
    for (size_t c = 0; c < head.width; ++c) {
      block.columns[c * kLanes + lane] = lane < block.count ? query[c] * head.scale : 0.0f;
    }
  }
}

/// Of kCount keys from `at` on; gives the largest so far.
template <size_t kCount>
HWY_INLINE V Scores(const Block& block, size_t at, V most) {
  const DF d;
  const size_t stride = block.head.keys.stride;
  const float* const keys = block.head.keys.at + (block.begin + at) * stride;
  V scores[kCount];
  for (size_t k = 0; k < kCount; ++k) scores[k] = hn::Zero(d);
  for (size_t c = 0; c < block.head.width; ++c) {
    const V query = hn::LoadU(d, block.columns + c * kLanes);
    for (size_t k = 0; k < kCount; ++k) {
      scores[k] = hn::MulAdd(query, hn::Set(d, keys[k * stride + c]), scores[k]);
    }
  }
  const V own = hn::Iota(d, static_cast<float>(block.first));
  const V before = hn::Sub(own, hn::Set(d, static_cast<float>(block.head.window)));
  for (size_t k = 0; k < kCount; ++k) {
    const V place = hn::Set(d, static_cast<float>(block.begin + at + k));
    const auto seen = hn::And(hn::Le(place, own), hn::Gt(place, before));
    const V score = hn::IfThenElse(seen, scores[k], hn::Set(d, kUnseen));
    hn::StoreU(score, d, block.scores + (at + k) * kLanes);
    most = hn::Max(most, score);
  }
  return most;
}

/// Scores become exponentials; gives their sum.
HWY_INLINE V Exponentials(const Block& block, V most) {
  const DF d;
  V total = hn::Zero(d);
  for (size_t k = 0; k < block.keys(); ++k) {
    float* const score = block.scores + k * kLanes;
    const V weight = hn::Exp(d, hn::Sub(hn::LoadU(d, score), most));
    hn::StoreU(weight, d, score);
    total = hn::Add(total, weight);
  }
  return total;
}

/// The channels [at, at + kCount) of the outputs.
template <size_t kCount>
HWY_INLINE void SumValues(const Block& block, size_t at, V total) {
  const DF d;
  V sums[kCount];
  for (size_t c = 0; c < kCount; ++c) sums[c] = hn::Zero(d);
  const float* value = block.head.values.at + block.begin * block.head.values.stride + at;
  for (size_t k = 0; k < block.keys(); ++k, value += block.head.values.stride) {
    const V weight = hn::LoadU(d, block.scores + k * kLanes);
    for (size_t c = 0; c < kCount; ++c) sums[c] = hn::MulAdd(weight, hn::Set(d, value[c]), sums[c]);
  }
  for (size_t c = 0; c < kCount; ++c) hn::StoreU(hn::Div(sums[c], total), d, block.columns + (at + c) * kLanes);
}

HWY_INLINE void StoreOutputs(const Block& block) {
  for (size_t lane = 0; lane < block.count; ++lane) {
    float* const output = block.head.outputs + (block.first + lane) * block.head.output_stride;
    for (size_t c = 0; c < block.head.width; ++c) output[c] = block.columns[c * kLanes + lane];
  }
}

void AttendBlock(const Block& block) {
  LoadQueries(block);
  V most = hn::Set(DF(), kUnseen);
  size_t k = 0;
  for (; k + kKeys <= block.keys(); k += kKeys) most = Scores<kKeys>(block, k, most);
  for (; k < block.keys(); ++k) most = Scores<1>(block, k, most);
  const V total = Exponentials(block, most);
  const size_t width = block.head.width;
  size_t c = 0;
  for (; c + kChannels <= width; c += kChannels) SumValues<kChannels>(block, c, total);
  for (; c + 2 <= width; c += 2) SumValues<2>(block, c, total);
  if (c < width) SumValues<1>(block, c, total);
  StoreOutputs(block);
}

void Attend(const CausalHead& head, std::vector<float>& work) {
  const size_t most_keys = std::min(head.tokens, std::min(head.tokens, head.window) + kLanes - 1);
  work.resize((most_keys + head.width) * kLanes);
  for (size_t first = 0; first < head.tokens; first += kLanes) {
    const size_t count = std::min(kLanes, head.tokens - first);
    const size_t begin = first + 1 > head.window ? first + 1 - head.window : 0;
    AttendBlock({head, first, count, begin, work.data(), work.data() + most_keys * kLanes});
  }
}

[[maybe_unused]] const AttentionKernels& TargetAttentionKernels() {
  static const AttentionKernels kernels = {hwy::TargetName(HWY_TARGET), Attend};
  return kernels;
}

#endif

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice {
namespace {

constexpr TargetCandidate<AttentionKernels> kCandidates[] = {
    SLUICE_TARGET_CANDIDATES(TargetAttentionKernels, PlainAttentionKernels, true)};

}  // namespace

const AttentionKernels& BestAttentionKernels() { return ChooseKernels<AttentionKernels>(kCandidates); }

std::span<const AttentionKernels> AllAttentionKernels() { return ListKernels<AttentionKernels>(kCandidates); }

}  // namespace sluice
#endif  // HWY_ONCE
