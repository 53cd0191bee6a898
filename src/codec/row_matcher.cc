// Locality-sensitive hashing (Indyk and Motwani, 1998) with the simplest of its functions: a key is the sides on which
// a few neighbouring channels lie, and rows that are alike share the key of at least one of several tables. Candidates
// are compared in bytes. Hidden states of one token in similar contexts are alike far beyond what a linear predictor
// sees: on a small language model's first layers the nearest of 16,384 earlier rows predicts 2 to 4 bits of every
// element.
#include "codec/row_matcher.h"

#include <algorithm>
#include <cmath>

#include "base/bytes.h"
#include "base/vector_clones.h"

namespace sluice {
namespace {

constexpr size_t kKeyBits = 11;  // neighbouring channels
constexpr float kStepsInSpread = 32;
constexpr uint32_t kNone = UINT32_MAX;

// The highest bit of each byte: on which side of their centers eight channels lie.
uint32_t TopBits(uint64_t bytes) {
  return static_cast<uint32_t>(((bytes >> 7 & 0x0101010101010101u) * 0x0102040810204080u) >> 56);
}

// NaN becomes the center, and values far out the edge.
SLUICE_VECTOR_CLONES
void ToBytes(size_t width, const float* row, const float* center, const float* scale, uint8_t* out) {
  for (size_t c = 0; c < width; ++c) {
    const float scaled = (row[c] - center[c]) * scale[c];
    const float low = scaled > -127 ? scaled : -127;  // NaN too
    const float limited = low < 127 ? low : 127;
    out[c] = static_cast<uint8_t>(static_cast<int32_t>(scaled == scaled ? limited + 128.5f : 128.0f));
  }
}

struct ClosestRow {
  int64_t row;
  uint32_t distance;
};

SLUICE_VECTOR_CLONES
ClosestRow Closest(const uint8_t* rows, size_t width, size_t t, std::span<const uint32_t> candidates) {
  ClosestRow closest{-1, kNone};
  const uint8_t* own = rows + t * width;
  for (const uint32_t candidate : candidates) {
    const uint8_t* other = rows + candidate * width;
    uint32_t distance = 0;
    for (size_t c = 0; c < width; ++c) distance += static_cast<uint32_t>(std::abs(own[c] - other[c]));
    if (distance < closest.distance) closest = {static_cast<int64_t>(candidate), distance};
  }
  return closest;
}

}  // namespace

RowMatcher::RowMatcher(MatrixView<const float> rows, std::span<const float> center, std::span<const float> spread)
    : width_(rows.cols()),
      stride_(std::max(width_, kKeyBits)),
      rows_(rows.rows() * stride_),
      proposed_at_(rows.rows()),
      buckets_(kTables << kKeyBits) {
  std::vector<float> scale(width_);
  for (size_t c = 0; c < width_; ++c) {
    const float wanted = spread[c] > 0 ? kStepsInSpread / spread[c] : 0;
    scale[c] = std::isfinite(wanted) ? wanted : 0;
    active_ += scale[c] > 0 ? 1 : 0;
  }
  for (size_t t = 0; t < rows.rows(); ++t) {
    ToBytes(width_, rows.row(t).data(), center.data(), scale.data(), rows_.data() + t * stride_);
  }
}

uint32_t RowMatcher::KeyOf(size_t t, size_t table) const {
  const size_t begin = table * (stride_ - kKeyBits) / (kTables - 1);
  const uint8_t* bytes = rows_.data() + t * stride_ + begin;
  constexpr size_t kRest = kKeyBits - 8;
  return (TopBits(LoadLe<uint64_t>(bytes)) & ((1u << kRest) - 1)) | TopBits(LoadLe<uint64_t>(bytes + kRest)) << kRest;
}

// Rows that several tables hold are proposed once. Without branches, since nothing here can be foretold.
void RowMatcher::Propose(uint32_t candidate, uint32_t t) {
  proposed_[proposed_count_] = candidate;
  proposed_count_ += proposed_at_[candidate] == t ? 0 : 1;
  proposed_at_[candidate] = t;
}

RowMatcher::Match RowMatcher::FindAndAdd(size_t t) {
  proposed_count_ = 0;
  const auto row = static_cast<uint32_t>(t);
  // Text repeats: the row after the last match goes first.
  if (t > 0) Propose(std::min(last_match_ + 1, row - 1), row);
  for (size_t table = 0; table < kTables; ++table) {
    Ways& ways = buckets_[(table << kKeyBits) + KeyOf(t, table)];
    for (const uint32_t candidate : ways) Propose(candidate, row);
    std::copy_backward(ways.begin(), ways.end() - 1, ways.end());
    ways[0] = row;
  }
  if (t == 0) return {};
  const auto [best, best_distance] = Closest(rows_.data(), stride_, t, std::span(proposed_).first(proposed_count_));
  last_match_ = static_cast<uint32_t>(best);
  return {best, best_distance / (kStepsInSpread * static_cast<double>(std::max<size_t>(1, active_)))};
}

}  // namespace sluice
