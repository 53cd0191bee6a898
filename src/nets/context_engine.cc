// The same integers as the definition, in another order: an encoder's products are matrix products over a block of
// tokens, since all that they need is known beforehand but the leaky sums, which are cheap; a decoder's are the same
// calls with one token. Loops between the products have one shift for each row and no 64-bit number, so they vectorize.
#include "nets/context_engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/vector_clones.h"

namespace sluice {
namespace {

constexpr int32_t kLargestActivation = 2047;
constexpr int kTableShift = 7;  // tables are in units of 2^-5, sums of 2^-12
constexpr int kLeakBits = 8;
constexpr int32_t kLargestMeanOutput = 1 << 20, kLargestScaleOutput = 1 << 14;
constexpr int32_t kIndexPerOutputUnit = 12955;
constexpr int kIndexBits = 20;
constexpr int32_t kMostScale = 133;
constexpr int32_t kSaturated = 1 << 20;  // any sum beyond gives the same activation

int32_t Round(int32_t v, int32_t half, int32_t shift) { return (v + half) >> shift; }

// out = clamp((base + round(sum) + 32) >> 6, 0, 2047). The terms can add up to more than 32 bits, and then the result
// is that of the nearest 32-bit number.
SLUICE_VECTOR_CLONES void Activate(const int32_t* base, const int32_t* sums, const RowRounding& rounding,
                                   int16_t* out) {
  const size_t m = rounding.shift.size();
  const int32_t *half = rounding.half.data(), *shift = rounding.shift.data();
  for (size_t i = 0; i < m; ++i) {
    const int32_t a = base[i], b = Round(sums[i], half[i], shift[i]);
    const auto wrapped = static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
    const bool over = ((a ^ wrapped) & (b ^ wrapped)) < 0;
    const int32_t sum = over ? (a < 0 ? -kSaturated : kSaturated) : wrapped;
    const int32_t bounded = std::min(std::max(sum, -kSaturated), kSaturated);
    out[i] = static_cast<int16_t>(std::min(std::max((bounded + 32) >> 6, 0), kLargestActivation));
  }
}

SLUICE_VECTOR_CLONES void SeeLatents(const int32_t* latents, size_t count, const int32_t* limit, const int32_t* factor,
                                     const int32_t* half, const int32_t* shift, int16_t* out) {
  for (size_t j = 0; j < count; ++j) {
    const int32_t y = std::min(std::max(latents[j], -limit[j]), limit[j]);
    const int32_t n = (y * factor[j] + half[j]) >> shift[j];
    out[j] = static_cast<int16_t>(std::min(std::max(n, -kLargestActivation), kLargestActivation));
  }
}

SLUICE_VECTOR_CLONES void ToMeans(const int32_t* sums, size_t count, const RowRounding& rows, const int32_t* bias,
                                  int32_t factor, const int32_t* half, const int32_t* shift, int32_t* means) {
  for (size_t j = 0; j < count; ++j) {
    const int32_t o = Round(sums[j], rows.half[j], rows.shift[j]) + bias[j];
    const int32_t bounded = std::min(std::max(o, -kLargestMeanOutput), kLargestMeanOutput);
    means[j] = (bounded * factor + half[j]) >> shift[j];
  }
}

SLUICE_VECTOR_CLONES void ToScales(const int32_t* sums, size_t count, const int32_t* row_half, const int32_t* row_shift,
                                   const int32_t* bias, const int32_t* offset, uint8_t* scales) {
  for (size_t j = 0; j < count; ++j) {
    const int32_t o = Round(sums[j], row_half[j], row_shift[j]) + bias[j];
    const int32_t bounded = std::min(std::max(o, -kLargestScaleOutput), kLargestScaleOutput);
    const int32_t index = (bounded * kIndexPerOutputUnit + offset[j]) >> kIndexBits;
    scales[j] = static_cast<uint8_t>(std::min(std::max(index, 0), kMostScale));
  }
}

SLUICE_VECTOR_CLONES void AddPast(const int32_t* past, const RowRounding& rounding, int32_t* base) {
  for (size_t i = 0; i < rounding.shift.size(); ++i) base[i] += Round(past[i], rounding.half[i], rounding.shift[i]);
}

SLUICE_VECTOR_CLONES void AddTable(const int8_t* row, size_t count, int32_t* sums) {
  for (size_t i = 0; i < count; ++i) sums[i] += int32_t{row[i]} * (1 << kTableShift);
}

SLUICE_VECTOR_CLONES void Leak(const int16_t* features, const int32_t* before, const int32_t* shift, size_t count,
                               int32_t* after, int16_t* seen) {
  for (size_t i = 0; i < count; ++i) {
    after[i] = before[i] + (((int32_t{features[i]} << kLeakBits) - before[i]) >> shift[i]);
    seen[i] = static_cast<int16_t>(after[i] >> kLeakBits);
  }
}

size_t RoundUp(size_t v, size_t step) { return (v + step - 1) / step * step; }

}  // namespace

ContextState::ContextState(const ContextShape& shape, size_t history)
    : hidden_(shape.hidden), slots_(history + 2), no_id_(static_cast<int32_t>(shape.ids)) {
  past_.resize(slots_ * 2 * hidden_);
  leaky_.resize(slots_ * hidden_);
  ids_.resize(slots_);
  Begin();
}

void ContextState::Begin() {
  tokens_ = 0;
  available_ = 0;
  std::fill(past(0).begin(), past(0).end(), int16_t{0});
  std::fill(leaky(0).begin(), leaky(0).end(), 0);
  ids(0) = {no_id_, no_id_};
}

Status ContextState::Trim(size_t count) {
  if (count > available_) {
    return InvalidArgument(fmt::format("{} tokens to take back, {} can be", count, available_));
  }
  tokens_ -= count;
  available_ -= count;
  return OkStatus();
}

void ContextState::Advance() {
  ++tokens_;
  available_ = std::min(available_ + 1, slots_ - 2);
}

ContextEngine::ContextEngine(const ContextWeights& weights, const IntegerKernels& kernels)
    : weights_(weights), kernels_(kernels) {
  const ContextShape& shape = weights.shape;
  const size_t m = shape.hidden, padded = RoundUp(m, kPanelRows);
  size_t most = 0;
  for (const PackedWeights& output : weights.output) most = std::max(most, output.padded_rows());
  seen_stride_ = RoundUp(shape.width, kColumnStep) + kColumnStep;
  past_stride_ = RoundUp(2 * m, kColumnStep);
  hidden_stride_ = RoundUp(m, kColumnStep);
  sum_stride_ = padded;
  output_stride_ = most;
  seen_.resize(kBlock * seen_stride_);
  past_.resize(kBlock * past_stride_);
  hidden_.resize(kBlock * hidden_stride_);
  base_.resize(kBlock * sum_stride_);
  feature_base_.resize(kBlock * sum_stride_);
  past_sums_.resize(kBlock * sum_stride_);
  sums_.resize((shape.groups + 1) * kBlock * sum_stride_);
  outputs_.resize(kBlock * output_stride_);
  constexpr size_t kSpeeds = 5;
  for (size_t i = 0; i < m; ++i) leak_.push_back(static_cast<int32_t>(1 + i * kSpeeds / m));
}

// What the ids and the point say of a token: the beginning of base and feature_base.
void ContextEngine::AddNames(size_t at, int32_t id, const std::array<int32_t, 2>& earlier) {
  const ContextWeights& w = weights_;
  const size_t m = w.shape.hidden;
  int32_t* base = base_.data() + at * sum_stride_;
  int32_t* feature = feature_base_.data() + at * sum_stride_;
  const int32_t* point = w.point_bias.data() + static_cast<size_t>(point_) * m;
  for (size_t i = 0; i < m; ++i) base[i] = w.base_bias[i] + point[i];
  std::copy_n(w.feature_bias.data(), m, feature);
  if (w.shape.names == TokenNames::kNone) return;
  const auto row = [m](const std::vector<int8_t>& table, int32_t index) {
    return table.data() + static_cast<size_t>(index) * m;
  };
  AddTable(row(w.now, id), m, base);
  AddTable(row(w.previous, earlier[0]), m, base);
  AddTable(row(w.before, earlier[1]), m, base);
  AddTable(row(w.feature_now, id), m, feature);
  AddTable(row(w.feature_previous, earlier[0]), m, feature);
  if (w.shape.pair_bits == 0) return;
  const uint32_t key =
      static_cast<uint32_t>(id) * static_cast<uint32_t>(w.shape.ids + 1) + static_cast<uint32_t>(earlier[0]);
  AddTable(w.pair.data() + size_t{key * 2654435761u >> (32 - w.shape.pair_bits)} * m, m, base);
}

void ContextEngine::TakePast(size_t at, ContextState& state) {
  const auto past = state.past(state.tokens_);
  std::copy(past.begin(), past.end(), past_.data() + at * past_stride_);
}

void ContextEngine::FinishBase(size_t tokens) {
  std::fill_n(past_sums_.data(), tokens * sum_stride_, 0);
  kernels_.multiply({weights_.past, past_.data(), past_stride_, past_sums_.data(), sum_stride_, tokens});
  for (size_t t = 0; t < tokens; ++t) {
    AddPast(past_sums_.data() + t * sum_stride_, weights_.past_rounding, base_.data() + t * sum_stride_);
  }
}

void ContextEngine::See(size_t group, size_t at, const int32_t* latents) {
  const ContextWeights::Point& point = weights_.points[static_cast<size_t>(point_)];
  const size_t from = weights_.shape.GroupBegin(group);
  SeeLatents(latents, weights_.shape.GroupSize(group), point.seen_limit.data() + from, point.seen_factor.data() + from,
             weights_.seen_rounding.half.data() + from, weights_.seen_rounding.shift.data() + from,
             seen_.data() + at * seen_stride_ + from);
}

void ContextEngine::AddGroup(size_t group, size_t tokens, int32_t* sums) {
  kernels_.multiply({weights_.input[group], seen_.data() + weights_.shape.GroupBegin(group), seen_stride_, sums,
                     sum_stride_, tokens});
}

// Data: means and scales with `stride` elements from token to token.
void ContextEngine::ParametersOf(size_t group, size_t tokens, const int32_t* sums, size_t stride, int32_t* mean_q4,
                                 uint8_t* scales) {
  const ContextWeights& w = weights_;
  const ContextWeights::Point& point = w.points[static_cast<size_t>(point_)];
  const size_t from = w.shape.GroupBegin(group), size = w.shape.GroupSize(group);
  for (size_t t = 0; t < tokens; ++t) {
    Activate(base_.data() + t * sum_stride_, sums + t * sum_stride_, w.input_rounding,
             hidden_.data() + t * hidden_stride_);
  }
  std::fill_n(outputs_.data(), tokens * output_stride_, 0);
  kernels_.multiply({w.output[group], hidden_.data(), hidden_stride_, outputs_.data(), output_stride_, tokens});
  const RowRounding& rows = w.output_rounding[group];
  const int32_t* bias = w.output_bias[group].data();
  for (size_t t = 0; t < tokens; ++t) {
    const int32_t* out = outputs_.data() + t * output_stride_;
    ToMeans(out, size, rows, bias, point.mean_factor, w.mean_rounding.half.data() + from,
            w.mean_rounding.shift.data() + from, mean_q4 + t * stride);
    ToScales(out + size, size, rows.half.data() + size, rows.shift.data() + size, bias + size,
             point.scale_offset.data() + from, scales + t * stride);
  }
}

void ContextEngine::KeepFeatures(size_t at, const int32_t* sums, int32_t id, ContextState& state) {
  const size_t m = weights_.shape.hidden;
  const uint64_t now = state.tokens_;
  const auto after = state.past(now + 1);
  Activate(feature_base_.data() + at * sum_stride_, sums, weights_.input_rounding, after.data());
  Leak(after.data(), state.leaky(now).data(), leak_.data(), m, state.leaky(now + 1).data(), after.data() + m);
  state.ids(now + 1) = {id, state.ids(now)[0]};
  state.Advance();
}

void ContextEngine::Predict(int point, std::span<const int32_t> ids, std::span<const int32_t> latents,
                            ContextState& state, std::span<int32_t> mean_q4, std::span<uint8_t> scales) {
  const size_t d = weights_.shape.width, tokens = latents.size() / d;
  assert(mean_q4.size() == latents.size() && scales.size() == latents.size());
  assert(ids.empty() == (weights_.shape.names == TokenNames::kNone));
  point_ = point;
  for (size_t begin = 0; begin < tokens; begin += kBlock) {
    const size_t count = std::min(kBlock, tokens - begin);
    PredictBlock(ids.empty() ? ids : ids.subspan(begin, count), count, latents.data() + begin * d, state,
                 mean_q4.data() + begin * d, scales.data() + begin * d);
  }
}

void ContextEngine::PredictBlock(std::span<const int32_t> ids, size_t tokens, const int32_t* latents,
                                 ContextState& state, int32_t* mean_q4, uint8_t* scales) {
  const ContextShape& shape = weights_.shape;
  const size_t layer = kBlock * sum_stride_;
  for (size_t g = 0; g < shape.groups; ++g) {
    for (size_t t = 0; t < tokens; ++t) See(g, t, latents + t * shape.width + shape.GroupBegin(g));
  }
  std::fill_n(sums_.data(), tokens * sum_stride_, 0);
  for (size_t g = 0; g < shape.groups; ++g) {
    int32_t* next = sums_.data() + (g + 1) * layer;
    std::copy_n(sums_.data() + g * layer, tokens * sum_stride_, next);
    AddGroup(g, tokens, next);
  }
  for (size_t t = 0; t < tokens; ++t) {
    const int32_t id = ids.empty() ? 0 : ids[t];
    AddNames(t, id, state.ids(state.tokens_));
    TakePast(t, state);
    KeepFeatures(t, sums_.data() + shape.groups * layer + t * sum_stride_, id, state);
  }
  FinishBase(tokens);
  for (size_t g = 0; g < shape.groups; ++g) {
    const size_t from = shape.GroupBegin(g);
    ParametersOf(g, tokens, sums_.data() + g * layer, shape.width, mean_q4 + from, scales + from);
  }
}

void ContextEngine::BeginToken(int point, int32_t id, ContextState& state) {
  point_ = point;
  id_ = id;
  AddNames(0, id, state.ids(state.tokens_));
  TakePast(0, state);
  FinishBase(1);
  std::fill_n(sums_.data(), sum_stride_, 0);
}

void ContextEngine::Parameters(size_t group, std::span<int32_t> mean_q4, std::span<uint8_t> scales) {
  ParametersOf(group, 1, sums_.data(), mean_q4.size(), mean_q4.data(), scales.data());
}

void ContextEngine::Absorb(size_t group, std::span<const int32_t> latents) {
  See(group, 0, latents.data());
  AddGroup(group, 1, sums_.data());
}

void ContextEngine::EndToken(ContextState& state) { KeepFeatures(0, sums_.data(), id_, state); }

}  // namespace sluice
