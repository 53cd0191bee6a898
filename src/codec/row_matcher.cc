// Locality-sensitive hashing (Indyk and Motwani, 1998) with the simplest of its functions: a key is the signs of a few
// channels, and rows that are alike share the key of at least one of several tables. Candidates are compared in bytes.
// Hidden states of one token in similar contexts are alike far beyond what a linear predictor sees: on a small language
// model's first layers the nearest of 16,384 earlier rows predicts 2 to 4 bits of every element.
#include "codec/row_matcher.h"

#include <algorithm>
#include <cmath>

namespace sluice {
namespace {

constexpr size_t kTables = 16;
constexpr size_t kKeyBits = 11;
constexpr size_t kWays = 4;
constexpr float kStepsInSpread = 32;
constexpr uint32_t kNone = UINT32_MAX;

// NaN becomes the center, and values far out the edge.
void ToBytes(size_t width, const float* row, const float* center, const float* scale, uint8_t* out) {
  for (size_t c = 0; c < width; ++c) {
    const float scaled = (row[c] - center[c]) * scale[c];
    const float low = scaled > -127 ? scaled : -127;  // NaN too
    const float limited = low < 127 ? low : 127;
    out[c] = static_cast<uint8_t>(static_cast<int32_t>(scaled == scaled ? limited + 128.5f : 128.0f));
  }
}

}  // namespace

RowMatcher::RowMatcher(MatrixView<const float> rows, std::span<const float> center, std::span<const float> spread)
    : width_(rows.cols()), active_(0), rows_(rows.size()), buckets_(kTables * kWays << kKeyBits, -1) {
  std::vector<float> scale(width_);
  std::vector<uint32_t> active;
  for (size_t c = 0; c < width_; ++c) {
    scale[c] = spread[c] > 0 ? kStepsInSpread / spread[c] : 0;
    if (std::isfinite(scale[c]) && scale[c] > 0)
      active.push_back(static_cast<uint32_t>(c));
    else
      scale[c] = 0;
  }
  active_ = active.size();
  for (size_t t = 0; t < rows.rows(); ++t) {
    ToBytes(width_, rows.row(t).data(), center.data(), scale.data(), rows_.data() + t * width_);
  }
  if (active.empty()) active.push_back(0);
  // Any fixed scatter will do: a linear congruential sequence.
  uint64_t state = 1;
  for (size_t i = 0; i < kTables * kKeyBits; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    channels_.push_back(active[(state >> 33) % active.size()]);
  }
}

uint32_t RowMatcher::KeyOf(size_t t, size_t table) const {
  uint32_t key = 0;
  for (size_t i = 0; i < kKeyBits; ++i) {
    key = key << 1 | (rows_[t * width_ + channels_[table * kKeyBits + i]] > 128 ? 1 : 0);
  }
  return key;
}

uint32_t RowMatcher::Distance(size_t a, size_t b) const {
  const uint8_t* left = rows_.data() + a * width_;
  const uint8_t* right = rows_.data() + b * width_;
  uint32_t sum = 0;
  for (size_t c = 0; c < width_; ++c) sum += static_cast<uint32_t>(std::abs(left[c] - right[c]));
  return sum;
}

RowMatcher::Match RowMatcher::FindAndAdd(size_t t) {
  int64_t best = -1;
  uint32_t best_distance = kNone;
  const auto consider = [&](int64_t candidate) {
    if (candidate < 0 || candidate == best) return;
    const uint32_t distance = Distance(t, static_cast<size_t>(candidate));
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  };
  // Text repeats: the row after the last match goes first.
  if (last_match_ >= 0 && last_match_ + 1 < static_cast<int64_t>(t)) consider(last_match_ + 1);
  for (size_t table = 0; table < kTables; ++table) {
    int32_t* bucket = buckets_.data() + ((table << kKeyBits) + KeyOf(t, table)) * kWays;
    for (size_t way = 0; way < kWays; ++way) consider(bucket[way]);
    std::copy_backward(bucket, bucket + kWays - 1, bucket + kWays);
    bucket[0] = static_cast<int32_t>(t);
  }
  last_match_ = best;
  if (best < 0) return {};
  return {best, best_distance / (kStepsInSpread * static_cast<double>(std::max<size_t>(1, active_)))};
}

}  // namespace sluice
