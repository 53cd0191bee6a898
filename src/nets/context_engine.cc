// The same integers as the definition, in another order: an encoder's products are matrix products over a block of
// tokens, since all that they need is known beforehand but the leaky sums, which are cheap; a decoder's are the same
// calls with one token. Loops between the products have one shift for each row and no 64-bit number, so they vectorize.
#include "nets/context_engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/touch_pages.h"
#include "base/vector_clones.h"

namespace sluice {
namespace {

constexpr int kTableShift = 7;           // tables are in units of 2^-5, sums of 2^-12
constexpr int32_t kDirectUnit = 1 << 5;  // direct rows are in units of 2^-5, outputs of 2^-10
constexpr int kLeakBits = 8;
constexpr int32_t kLargestMeanOutput = 1 << 20, kLargestScaleOutput = 1 << 14;
constexpr int32_t kIndexPerOutputUnit = 12955;
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

// The same where nothing but `base` comes together.
SLUICE_VECTOR_CLONES void ActivateBase(const int32_t* base, size_t m, int16_t* out) {
  for (size_t i = 0; i < m; ++i) {
    out[i] = static_cast<int16_t>(std::min(std::max((base[i] + 32) >> 6, 0), kLargestActivation));
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

// A row of outputs, all with the same stride: sums of products, how they become outputs, and what ids add to them.
struct OutputRow {
  const int32_t* __restrict sums;
  const int32_t* __restrict half;
  const int32_t* __restrict shift;
  const int32_t* __restrict bias;
  const int8_t* __restrict direct_now;
  const int8_t* __restrict direct_previous;

  int32_t At(size_t j) const {
    return Round(sums[j], half[j], shift[j]) + bias[j] + (int32_t{direct_now[j]} + direct_previous[j]) * kDirectUnit;
  }
};

SLUICE_VECTOR_CLONES void ToMeans(OutputRow row, size_t count, int32_t factor, const int32_t* __restrict half,
                                  const int32_t* __restrict shift, int32_t* __restrict means) {
  for (size_t j = 0; j < count; ++j) {
    const int32_t bounded = std::min(std::max(row.At(j), -kLargestMeanOutput), kLargestMeanOutput);
    means[j] = (bounded * factor + half[j]) >> shift[j];
  }
}

SLUICE_VECTOR_CLONES void ToScales(OutputRow row, size_t count, const int32_t* __restrict offset,
                                   uint8_t* __restrict scales) {
  for (size_t j = 0; j < count; ++j) {
    const int32_t bounded = std::min(std::max(row.At(j), -kLargestScaleOutput), kLargestScaleOutput);
    const int32_t index = (bounded * kIndexPerOutputUnit + offset[j]) >> kIndexBits;
    scales[j] = static_cast<uint8_t>(std::min(std::max(index, 0), kMostScale));
  }
}

SLUICE_VECTOR_CLONES void AddPast(const int32_t* past, const RowRounding& rounding, int32_t* base) {
  for (size_t i = 0; i < rounding.shift.size(); ++i) base[i] += Round(past[i], rounding.half[i], rounding.shift[i]);
}

// sums = bias + point + 2^7 * (the rows of four tables)
SLUICE_VECTOR_CLONES void AddNames(const int32_t* __restrict bias, const int32_t* __restrict point,
                                   std::array<const int8_t*, 4> rows, size_t count, int32_t* __restrict sums) {
  const int8_t *const a = rows[0], *const b = rows[1], *const c = rows[2], *const d = rows[3];
  for (size_t i = 0; i < count; ++i) {
    const auto names = static_cast<int16_t>(int16_t{a[i]} + b[i] + c[i] + d[i]);
    sums[i] = bias[i] + point[i] + int32_t{names} * (1 << kTableShift);
  }
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
  const size_t m = shape.hidden;
  for (const auto* outputs : {&weights.means, &weights.scales}) {
    for (const PackedWeights& group : outputs->weights) output_stride_ = std::max(output_stride_, group.padded_rows());
  }
  past_stride_ = RoundUp(2 * m, kColumnStep);
  hidden_stride_ = RoundUp(m, kColumnStep);
  sum_stride_ = RoundUp(m, kPanelRows);
  past_.resize(kBlock * past_stride_);
  base_.resize(kBlock * sum_stride_);
  feature_base_.resize(kBlock * sum_stride_);
  past_sums_.resize(kBlock * sum_stride_);
  means_.resize(kBlock * output_stride_);
  scales_.resize(kBlock * output_stride_);
  no_row_.resize(std::max(2 * shape.width, m));
  no_bias_.resize(m);
  MakeRoom(kBlock);
  if (shape.latents) {
    seen_stride_ = RoundUp(shape.width, kColumnStep) + kColumnStep;
    seen_.resize(kBlock * seen_stride_);
    sums_.resize((shape.groups + 1) * kBlock * sum_stride_);
  }
  constexpr size_t kSpeeds = 5;
  for (size_t i = 0; i < m; ++i) leak_.push_back(static_cast<int32_t>(1 + i * kSpeeds / m));
}

void ContextEngine::MakeRoom(size_t tokens) {
  if (direct_.size() >= tokens) return;
  hidden_.resize(tokens * weights_.shape.groups * hidden_stride_);
  direct_.resize(tokens, {no_row_.data(), no_row_.data()});
}

// What the ids and the point say of a token: the beginning of base and feature_base, and where its direct rows are.
void ContextEngine::Name(size_t at, int32_t id, const std::array<int32_t, 2>& earlier,
                         std::array<const int8_t*, 2>& direct) {
  const ContextWeights& w = weights_;
  const size_t m = w.shape.hidden;
  int32_t* base = base_.data() + at * sum_stride_;
  int32_t* feature = feature_base_.data() + at * sum_stride_;
  const int32_t* point = w.point_bias.data() + static_cast<size_t>(point_) * m;
  const int8_t* const none = no_row_.data();
  if (w.shape.names == TokenNames::kNone) {
    AddNames(w.base_bias.data(), point, {none, none, none, none}, m, base);
    std::copy_n(w.feature_bias.data(), m, feature);
    return;
  }
  const auto now = static_cast<size_t>(id), previous = static_cast<size_t>(earlier[0]),
             before = static_cast<size_t>(earlier[1]);
  const int8_t* const pair = w.shape.pair_bits > 0 ? w.pair.data() + PairBucket(id, earlier[0]) * m : none;
  AddNames(w.base_bias.data(), point,
           {w.id_rows.At(now, IdRows::kNow), w.id_rows.At(previous, IdRows::kPrevious),
            w.id_rows.At(before, IdRows::kBefore), pair},
           m, base);
  AddNames(w.feature_bias.data(), no_bias_.data(),
           {w.id_rows.At(now, IdRows::kFeatureNow), w.id_rows.At(previous, IdRows::kFeaturePrevious), none, none}, m,
           feature);
  if (w.shape.direct > 0) direct[0] = w.id_rows.At(now, IdRows::kDirectNow);
  if (w.shape.direct > 1) direct[1] = w.id_rows.At(previous, IdRows::kDirectPrevious);
}

size_t ContextEngine::PairBucket(int32_t id, int32_t previous) const {
  const auto key =
      static_cast<uint32_t>(id) * static_cast<uint32_t>(weights_.shape.ids + 1) + static_cast<uint32_t>(previous);
  return key * 2654435761u >> (32 - weights_.shape.pair_bits);
}

// Rows lie anywhere in tables of megabytes.
void ContextEngine::Fetch(const int8_t* row, size_t size) {
  constexpr size_t kLine = 64;
  for (size_t byte = 0; byte < size; byte += kLine) __builtin_prefetch(row + byte);
}

void ContextEngine::FetchDirect(size_t at, size_t group) const {
  const ContextShape& shape = weights_.shape;
  for (size_t k = 0; k < shape.direct; ++k) {
    for (const size_t half : {size_t{0}, shape.width}) {
      Fetch(direct_[at][k] + half + shape.GroupBegin(group), shape.GroupSize(group));
    }
  }
}

// The rows that Name will read, and Outputs after it.
void ContextEngine::FetchNames(std::span<const int32_t> ids) const {
  const ContextWeights& w = weights_;
  const auto row = [&](size_t t) { return w.id_rows.At(static_cast<size_t>(ids[t]), IdRows::kNow); };
  const auto pair = [&](size_t t) { return w.pair.data() + PairBucket(ids[t], ids[t - 1]) * w.shape.hidden; };
  const bool pairs = w.shape.pair_bits > 0;
  for (size_t t = 0; t < ids.size(); ++t) {
    TouchPages(row(t), w.id_rows.RowSize());
    if (pairs && t > 0) TouchPages(pair(t), w.shape.hidden);
  }
  for (size_t t = 0; t < ids.size(); ++t) {
    Fetch(row(t), w.id_rows.NamesSize());
    if (pairs && t > 0) Fetch(pair(t), w.shape.hidden);
  }
}

void ContextEngine::TakePast(size_t at, ContextState& state) {
  const auto past = state.past(state.tokens_);
  std::copy(past.begin(), past.end(), past_.data() + at * past_stride_);
}

void ContextEngine::FinishBase(size_t tokens) {
  kernels_.multiply({weights_.past, past_.data(), past_stride_, past_sums_.data(), sum_stride_, tokens, false});
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
                     sum_stride_, tokens, true});
}

// Data: sums as AddGroup's, or none without latents.
void ContextEngine::ActivateAt(size_t at, const int32_t* base, const int32_t* sums, int16_t* out) const {
  if (sums == nullptr) {
    ActivateBase(base + at * sum_stride_, weights_.shape.hidden, out);
  } else {
    Activate(base + at * sum_stride_, sums + at * sum_stride_, weights_.input_rounding, out);
  }
}

// Of up to kBlock prepared tokens. Data: means and scales with `stride` elements from token to token.
void ContextEngine::Outputs(size_t group, size_t at, size_t tokens, size_t stride, int32_t* mean_q4, uint8_t* scales) {
  const ContextWeights& w = weights_;
  const ContextWeights::Point& point = w.points[static_cast<size_t>(point_)];
  const size_t from = w.shape.GroupBegin(group), size = w.shape.GroupSize(group);
  const auto multiply = [&](const ContextWeights::Outputs& outputs, std::vector<int32_t>& into) {
    kernels_.multiply({outputs.weights[group], HiddenOf(at, group), w.shape.groups * hidden_stride_, into.data(),
                       output_stride_, tokens, false});
  };
  const auto row = [&](const ContextWeights::Outputs& outputs, const int32_t* of, size_t t, size_t first) {
    const auto& direct = direct_[at + t];
    return OutputRow{of + t * output_stride_,
                     outputs.rounding.half.data() + from,
                     outputs.rounding.shift.data() + from,
                     outputs.bias.data() + from,
                     direct[0] + first + from,
                     direct[1] + first + from};
  };
  FetchDirect(at, group);
  multiply(w.means, means_);
  multiply(w.scales, scales_);
  for (size_t t = 0; t < tokens; ++t) {
    if (t + 1 < tokens) FetchDirect(at + t + 1, group);
    ToMeans(row(w.means, means_.data(), t, 0), size, point.mean_factor, w.mean_rounding.half.data() + from,
            w.mean_rounding.shift.data() + from, mean_q4 + t * stride);
    ToScales(row(w.scales, scales_.data(), t, w.shape.width), size, point.scale_offset.data() + from,
             scales + t * stride);
  }
}

void ContextEngine::KeepFeatures(size_t at, const int32_t* sums, int32_t id, ContextState& state) {
  const size_t m = weights_.shape.hidden;
  const uint64_t now = state.tokens_;
  const auto after = state.past(now + 1);
  ActivateAt(at, feature_base_.data(), sums, after.data());
  Leak(after.data(), state.leaky(now).data(), leak_.data(), m, state.leaky(now + 1).data(), after.data() + m);
  state.ids(now + 1) = {id, state.ids(now)[0]};
  state.Advance();
}

void ContextEngine::Prepare(int point, size_t n, std::span<const int32_t> ids, std::span<const int32_t> latents,
                            ContextState& state) {
  const ContextShape& shape = weights_.shape;
  assert(latents.size() == n * shape.width || !shape.latents);
  assert(ids.size() == (shape.names == TokenNames::kNone ? 0 : n));
  MakeRoom(n);
  point_ = point;
  for (size_t begin = 0; begin < n; begin += kBlock) {
    const size_t count = std::min(kBlock, n - begin);
    const int32_t* const sums = shape.latents ? SumLatents(latents.data() + begin * shape.width, count) : nullptr;
    PrepareBlock(begin, count, ids.empty() ? ids : ids.subspan(begin, count), sums, state);
  }
}

void ContextEngine::Parameters(size_t at, std::span<int32_t> mean_q4, std::span<uint8_t> scales) {
  const ContextShape& shape = weights_.shape;
  const size_t d = shape.width, tokens = mean_q4.size() / d;
  assert(scales.size() == mean_q4.size());
  for (size_t begin = 0; begin < tokens; begin += kBlock) {
    for (size_t g = 0; g < shape.groups; ++g) {
      const size_t from = begin * d + shape.GroupBegin(g);
      Outputs(g, at + begin, std::min(kBlock, tokens - begin), d, mean_q4.data() + from, scales.data() + from);
    }
  }
}

void ContextEngine::Predict(int point, std::span<const int32_t> ids, std::span<const int32_t> latents,
                            ContextState& state, std::span<int32_t> mean_q4, std::span<uint8_t> scales) {
  const size_t d = weights_.shape.width, tokens = mean_q4.size() / d;
  for (size_t begin = 0; begin < tokens; begin += kBlock) {
    const size_t count = std::min(kBlock, tokens - begin);
    Prepare(point, count, ids.empty() ? ids : ids.subspan(begin, count),
            weights_.shape.latents ? latents.subspan(begin * d, count * d) : latents, state);
    Parameters(0, mean_q4.subspan(begin * d, count * d), scales.subspan(begin * d, count * d));
  }
}

// What the groups before each group, and at last all of them, add to the hidden layer: layer after layer.
const int32_t* ContextEngine::SumLatents(const int32_t* latents, size_t tokens) {
  const ContextShape& shape = weights_.shape;
  for (size_t g = 0; g < shape.groups; ++g) {
    for (size_t t = 0; t < tokens; ++t) See(g, t, latents + t * shape.width + shape.GroupBegin(g));
  }
  std::fill_n(sums_.data(), tokens * sum_stride_, 0);
  for (size_t g = 0; g < shape.groups; ++g) {
    int32_t* next = sums_.data() + (g + 1) * kBlock * sum_stride_;
    std::copy_n(sums_.data() + g * kBlock * sum_stride_, tokens * sum_stride_, next);
    AddGroup(g, tokens, next);
  }
  return sums_.data();
}

void ContextEngine::PrepareBlock(size_t at, size_t tokens, std::span<const int32_t> ids, const int32_t* sums,
                                 ContextState& state) {
  const ContextShape& shape = weights_.shape;
  FetchNames(ids);
  const auto layer = [&](size_t g) { return sums == nullptr ? nullptr : sums + g * kBlock * sum_stride_; };
  for (size_t t = 0; t < tokens; ++t) {
    const int32_t id = ids.empty() ? 0 : ids[t];
    Name(t, id, state.ids(state.tokens_), direct_[at + t]);
    TakePast(t, state);
    KeepFeatures(t, layer(shape.groups), id, state);
  }
  FinishBase(tokens);
  for (size_t t = 0; t < tokens; ++t) {
    for (size_t g = 0; g < shape.groups; ++g) ActivateAt(t, base_.data(), layer(g), HiddenOf(at + t, g));
  }
}

void ContextEngine::BeginToken(int point, int32_t id, ContextState& state) {
  point_ = point;
  id_ = id;
  Name(0, id, state.ids(state.tokens_), direct_[0]);
  TakePast(0, state);
  FinishBase(1);
  if (weights_.shape.latents) std::fill_n(sums_.data(), sum_stride_, 0);
}

void ContextEngine::ParametersOf(size_t group, std::span<int32_t> mean_q4, std::span<uint8_t> scales) {
  ActivateAt(0, base_.data(), FirstLayer(), HiddenOf(0, group));
  Outputs(group, 0, 1, mean_q4.size(), mean_q4.data(), scales.data());
}

void ContextEngine::Absorb(size_t group, std::span<const int32_t> latents) {
  if (!weights_.shape.latents) return;
  See(group, 0, latents.data());
  AddGroup(group, 1, sums_.data());
}

void ContextEngine::EndToken(ContextState& state) { KeepFeatures(0, FirstLayer(), id_, state); }

}  // namespace sluice
