// Softmax attention as two batched matrix products. The query heads that share a key head are laid out as more rows of
// one product, so grouped keys are never repeated in memory. The mask is added by the product itself (baddbmm with the
// mask as its first operand), a view of one small triangle kept for the whole model; one new token needs no mask at
// all. Queries run in blocks of kQueryBlock rows, each against the keys it may see: half the scores are never computed,
// and memory grows with the length, not with its square.
#include "backbone/attention.h"

#include <cmath>
#include <limits>
#include <vector>

namespace sluice {
namespace {

constexpr int64_t kQueryBlock = 256;
constexpr int64_t kMaskPastStep = 256;
constexpr int64_t kRotaryStep = 256;

int64_t RoundUp(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

/// Radians a position for each pair of channels.
torch::Tensor RotaryFrequencies(const BackboneConfig& config) {
  const int64_t half = config.head_dim / 2;
  const RopeScaling& scaling = config.rope_scaling;
  torch::Tensor frequencies = torch::empty({half}, torch::kDouble);
  double* out = frequencies.data_ptr<double>();
  for (int64_t i = 0; i < half; ++i) {
    const double plain =
        std::pow(config.rope_theta, -2.0 * static_cast<double>(i) / static_cast<double>(config.head_dim));
    out[i] = plain;
    if (scaling.kind == RopeScaling::Kind::kLinear) out[i] = plain / scaling.factor;
    if (scaling.kind != RopeScaling::Kind::kLlama3) continue;
    // Turns within the original context: many turns keep their speed, few are slowed down, between them a blend.
    const double turns = static_cast<double>(scaling.original_context) * plain / (2.0 * M_PI);
    if (turns < scaling.low_freq_factor) {
      out[i] = plain / scaling.factor;
    } else if (turns <= scaling.high_freq_factor) {
      const double blend = (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor);
      out[i] = (1.0 - blend) * plain / scaling.factor + blend * plain;
    }
  }
  return frequencies;
}

/// Data: query [B * kv_heads, rows * group, head_dim] already scaled, key, value [B * kv_heads, past + rows, head_dim].
torch::Tensor AttendBlock(const torch::Tensor& query, const torch::Tensor& key, const torch::Tensor& value,
                          int64_t rows, CausalMask& mask) {
  const torch::Tensor keys = key.transpose(1, 2);
  const torch::Tensor scores =
      rows == 1 ? at::bmm(query, keys)
                : at::baddbmm(mask.Get(rows, key.size(1) - rows, query.options()).unsqueeze(0), query, keys);
  return at::bmm(at::softmax(scores, -1), value);
}

}  // namespace

torch::Tensor CausalMask::Get(int64_t rows, int64_t past, const torch::TensorOptions& options) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const bool fits = mask_.defined() && rows <= rows_ && past <= past_ && mask_.dtype() == options.dtype() &&
                    mask_.device() == options.device();
  if (!fits) {
    const torch::NoGradGuard no_grad;
    rows_ = std::max(rows_, rows);
    past_ = RoundUp(std::max(past_, past), kMaskPastStep);
    const auto plain = torch::TensorOptions().dtype(options.dtype()).device(options.device());
    const torch::Tensor triangle =
        torch::full({rows_, past_ + rows_}, -std::numeric_limits<double>::infinity(), plain).triu(past_ + 1);
    mask_ = repeat_ == 1 ? triangle : triangle.repeat_interleave(repeat_, 0);
  }
  return mask_.narrow(0, 0, rows * repeat_).narrow(1, past_ - past, past + rows);
}

RotaryTable::RotaryTable(const BackboneConfig& config) : frequencies_(RotaryFrequencies(config)) {}

std::pair<torch::Tensor, torch::Tensor> RotaryTable::Angles(int64_t end, const torch::TensorOptions& options) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const bool fits = cosines_.defined() && end <= cosines_.size(0) && cosines_.dtype() == options.dtype() &&
                    cosines_.device() == options.device();
  if (!fits) {
    const torch::NoGradGuard no_grad;
    const torch::Tensor positions = torch::arange(RoundUp(end, kRotaryStep), torch::kDouble);
    const torch::Tensor angles = at::outer(positions, frequencies_).unsqueeze(1);
    cosines_ = angles.cos().to(options.device(), options.dtype().toScalarType());
    sines_ = angles.sin().to(options.device(), options.dtype().toScalarType());
  }
  return {cosines_, sines_};
}

torch::Tensor RotaryTable::Rotate(const torch::Tensor& x, int64_t position) {
  const int64_t rows = x.size(1);
  const auto [cosines, sines] = Angles(position + rows, x.options());
  const torch::Tensor cosine = cosines.narrow(0, position, rows);
  const torch::Tensor sine = sines.narrow(0, position, rows);
  const int64_t half = cosine.size(2);
  const torch::Tensor first = x.narrow(3, 0, half);
  const torch::Tensor second = x.narrow(3, half, half);
  return at::cat({first * cosine - second * sine, second * cosine + first * sine}, 3);
}

torch::Tensor CausalAttention(const torch::Tensor& query, const torch::Tensor& key, const torch::Tensor& value,
                              int64_t layer, CausalMask& mask, KvCache* cache) {
  const int64_t batch = query.size(0), count = query.size(1), heads = query.size(2), dim = query.size(3);
  const int64_t kv_heads = key.size(2), group = heads / kv_heads;
  torch::Tensor keys = key.transpose(1, 2), values = value.transpose(1, 2);
  if (cache != nullptr) std::tie(keys, values) = cache->Append(layer, keys, values);
  const int64_t total = keys.size(2), past = total - count;
  keys = keys.reshape({batch * kv_heads, total, dim});
  values = values.reshape({batch * kv_heads, total, dim});
  // Rows of one key head: position by position, the heads of the group side by side.
  const torch::Tensor scaled = query * (1.0 / std::sqrt(static_cast<double>(dim)));
  const torch::Tensor queries = scaled.view({batch, count, kv_heads, group, dim})
                                    .permute({0, 2, 1, 3, 4})
                                    .reshape({batch * kv_heads, count * group, dim});
  std::vector<torch::Tensor> parts;
  for (int64_t begin = 0; begin < count; begin += kQueryBlock) {
    const int64_t rows = std::min(kQueryBlock, count - begin);
    const int64_t seen = past + begin + rows;
    parts.push_back(AttendBlock(queries.narrow(1, begin * group, rows * group), keys.narrow(1, 0, seen),
                                values.narrow(1, 0, seen), rows, mask));
  }
  const torch::Tensor mixed = parts.size() == 1 ? parts[0] : at::cat(parts, 1);
  return mixed.view({batch, kv_heads, count, group, dim}).permute({0, 2, 1, 3, 4}).reshape({batch, count, heads * dim});
}

}  // namespace sluice
