// Transforms are products with the tokens of a frame, four tokens and sixteen rows at a time in registers; sums run in
// one order and nothing is fused, so that machines agree as far as their libraries' roots and exponentials do.
// The centroid of a cell under a narrow Gaussian is looked up; under a wide one it is a straight line.
#include "codec/context_floats.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "base/bytes.h"
#include "base/vector_clones.h"
#include "prob/scale_grid.h"

namespace sluice {
namespace {

constexpr size_t kPanel = 16, kTile = 4;
constexpr float kMostLatent = 1 << 22;
constexpr double kWide = 2;             // deviation from which the centroid is taken for linear
constexpr double kTail = 1e-6;          // probability of a cell from which the quotient is noise
constexpr int32_t kMostDistance = 256;  // in 1/16: eight deviations of the widest narrow Gaussian

Result<std::vector<float>> ReadFloats(const Pack& pack, const char* name, std::vector<uint64_t> shape) {
  SLUICE_ASSIGN_OR_RETURN(const TensorView view, pack.Tensor(name, DType::kF32, shape));
  std::vector<float> values(view.elements());
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = LoadLe<float>(view.bytes.data() + 4 * i);
    if (!std::isfinite(values[i])) return Corrupt(fmt::format("pack: tensor \"{}\": value {} is not finite", name, i));
  }
  return values;
}

// Blocks of a square matrix along its diagonal; how wide they are the tensor says.
Result<std::vector<FloatPanels>> ReadBlocks(const Pack& pack, const char* name, uint64_t width) {
  const auto found = pack.tensors().find(name);
  const uint64_t blocks = found != pack.tensors().end() && found->second.shape.size() == 3 ? found->second.shape[0] : 1;
  const uint64_t block = width / blocks;
  if (blocks == 0 || width % blocks != 0)
    return Corrupt(fmt::format("pack: tensor \"{}\" has {} blocks", name, blocks));
  SLUICE_ASSIGN_OR_RETURN(const auto values, ReadFloats(pack, name, {blocks, block, block}));
  std::vector<FloatPanels> panels;
  for (uint64_t b = 0; b < blocks; ++b) {
    panels.emplace_back(MatrixView<const float>(values.data() + b * block * block, block, block));
  }
  return panels;
}

SLUICE_VECTOR_CLONES void MultiplyTile(const float* panel, size_t cols, const float* const* inputs, float* sums) {
  std::array<float, kTile * kPanel> local{};
  for (size_t c = 0; c < cols; ++c) {
    const float* weights = panel + c * kPanel;
    for (size_t t = 0; t < kTile; ++t) {
      const float x = inputs[t][c];
      for (size_t k = 0; k < kPanel; ++k) local[t * kPanel + k] += weights[k] * x;
    }
  }
  std::copy(local.begin(), local.end(), sums);
}

double Density(double v) { return std::exp(v * v * -0.5) * (0.5 * std::numbers::inv_sqrtpi * std::numbers::sqrt2); }

// From the middle of a unit cell, `distance` from the mean, to its centroid.
float CentroidOf(double distance, double sigma) {
  const double low = (distance - 0.5) / sigma, high = (distance + 0.5) / sigma;
  const double probability = (std::erfc(low / std::numbers::sqrt2) - std::erfc(high / std::numbers::sqrt2)) / 2;
  if (probability <= kTail) return distance > 0 ? -0.5f : 0.5f;
  return static_cast<float>(std::clamp(sigma * (Density(low) - Density(high)) / probability - distance, -0.5, 0.5));
}

}  // namespace

FloatPanels::FloatPanels(MatrixView<const float> matrix) : rows_(matrix.rows()), cols_(matrix.cols()) {
  panels_.resize((rows_ + kPanel - 1) / kPanel * kPanel * cols_);
  for (size_t r = 0; r < rows_; ++r) {
    for (size_t c = 0; c < cols_; ++c) panels_[(r / kPanel * cols_ + c) * kPanel + r % kPanel] = matrix.row(r)[c];
  }
}

void FloatPanels::Multiply(const float* inputs, size_t in_stride, size_t count, float* outputs,
                           size_t out_stride) const {
  std::array<float, kTile * kPanel> sums;
  for (size_t begin = 0; begin < count; begin += kTile) {
    const size_t tokens = std::min(kTile, count - begin);
    std::array<const float*, kTile> rows;
    for (size_t t = 0; t < kTile; ++t) rows[t] = inputs + (begin + std::min(t, tokens - 1)) * in_stride;
    for (size_t r = 0; r < rows_; r += kPanel) {
      MultiplyTile(panels_.data() + r * cols_, cols_, rows.data(), sums.data());
      const size_t size = std::min(kPanel, rows_ - r);
      for (size_t t = 0; t < tokens; ++t) {
        std::copy_n(sums.data() + t * kPanel, size, outputs + (begin + t) * out_stride + r);
      }
    }
  }
}

Result<ContextFloats> ContextFloats::FromPack(const Pack& pack, size_t classes) {
  const uint64_t d = pack.info().width;
  ContextFloats made;
  SLUICE_ASSIGN_OR_RETURN(made.offset_, ReadFloats(pack, "offset", {d}));
  SLUICE_ASSIGN_OR_RETURN(made.gain_, ReadFloats(pack, "gain", {d}));
  SLUICE_ASSIGN_OR_RETURN(made.centroid_, ReadFloats(pack, "centroid", {d}));
  SLUICE_ASSIGN_OR_RETURN(made.forward_, ReadBlocks(pack, "axes", d));
  SLUICE_ASSIGN_OR_RETURN(made.backward_, ReadBlocks(pack, "inverse", d));
  if (made.forward_.size() != made.backward_.size()) return Corrupt("pack: \"axes\" and \"inverse\" differ in blocks");
  for (const float gain : made.gain_) {
    if (!(gain > 0)) return Corrupt("pack: a gain is not positive");
    made.inverse_gain_.push_back(1 / gain);
  }
  const uint64_t shape[] = {d};
  SLUICE_ASSIGN_OR_RETURN(const TensorView order, pack.Tensor("order", DType::kI32, shape));
  std::vector<bool> seen(d);
  for (size_t i = 0; i < d; ++i) {
    const auto axis = LoadLe<uint32_t>(order.bytes.data() + 4 * i);
    if (axis >= d || seen[axis]) return Corrupt("pack: tensor \"order\" is no permutation");
    seen[axis] = true;
    made.order_.push_back(static_cast<int32_t>(axis));
  }
  made.MakeShifts();
  if (classes == 0) return made;
  const auto axes = pack.tensors().find("class_axes");
  if (axes == pack.tensors().end() || axes->second.shape.empty()) return Corrupt("pack: no tensor \"class_axes\"");
  const uint64_t r = axes->second.shape[0];
  SLUICE_ASSIGN_OR_RETURN(const auto class_axes, ReadFloats(pack, "class_axes", {r, d}));
  SLUICE_ASSIGN_OR_RETURN(const auto means, ReadFloats(pack, "class_means", {classes, r}));
  made.class_axes_ = FloatPanels({class_axes.data(), r, d});
  made.class_means_ = FloatPanels({means.data(), classes, r});
  for (size_t k = 0; k < classes; ++k) {
    float square = 0;
    for (size_t i = 0; i < r; ++i) square += means[k * r + i] * means[k * r + i];
    made.class_squares_.push_back(square);
  }
  return made;
}

uint64_t ContextFloats::MultiplyAdds() const {
  uint64_t sum = 0;
  for (const FloatPanels& block : forward_) sum += 2 * block.rows() * block.cols();
  return sum + class_axes_.rows() * class_axes_.cols() + class_means_.rows() * class_means_.cols();
}

void ContextFloats::MakeShifts() {
  for (int k = 0; k < kScaleCodes; ++k) {
    const double sigma = ScaleValue(k);
    wide_slope_.push_back(static_cast<float>(-1 / (12 * sigma * sigma * 16)));
    const double tail = -2 * std::log(kTail * sigma * std::sqrt(2 * std::numbers::pi));
    wide_tail_.push_back(static_cast<int32_t>(16 * sigma * std::sqrt(std::max(tail, 0.0))));
    if (sigma >= kWide) continue;
    for (int32_t q = 0; q < kMostDistance; ++q) shifts_.push_back(CentroidOf(q / 16.0, sigma));
  }
}

float ContextFloats::Shift(int32_t distance_q4, uint8_t scale) const {
  const size_t row = size_t{scale} * kMostDistance;
  if (row >= shifts_.size()) {
    if (std::abs(distance_q4) > wide_tail_[scale]) return distance_q4 > 0 ? -0.5f : 0.5f;
    return wide_slope_[scale] * static_cast<float>(distance_q4);
  }
  const int32_t size = std::min(distance_q4 < 0 ? -distance_q4 : distance_q4, kMostDistance - 1);
  const float shift = shifts_[row + static_cast<size_t>(size)];
  return distance_q4 < 0 ? -shift : shift;
}

void ContextFloats::Classify(const std::vector<float>& centered, std::span<int32_t> classes) const {
  const size_t d = width(), r = class_axes_.rows(), count = class_means_.rows();
  std::vector<float> seen(classes.size() * r), score(count);
  class_axes_.Multiply(centered.data(), d, classes.size(), seen.data(), r);
  for (size_t t = 0; t < classes.size(); ++t) {
    class_means_.Multiply(seen.data() + t * r, r, 1, score.data(), count);
    for (size_t k = 0; k < count; ++k) score[k] = 2 * score[k] - class_squares_[k];
    classes[t] = static_cast<int32_t>(std::max_element(score.begin(), score.end()) - score.begin());
  }
}

Status ContextFloats::Quantize(MatrixView<const float> hidden, int point, std::span<int32_t> latents,
                               std::span<int32_t> classes) const {
  const size_t d = width(), n = hidden.rows(), blocks = forward_.size(), block = d / blocks;
  if (hidden.cols() != d) {
    return InvalidArgument(fmt::format("hidden states of width {}, expected {}", hidden.cols(), d));
  }
  std::vector<float> centered(n * d), turned(n * d);
  for (size_t t = 0; t < n; ++t) {
    for (size_t j = 0; j < d; ++j) {
      const float x = hidden.row(t)[j];
      if (!std::isfinite(x)) {
        return InvalidArgument(fmt::format("token {}, channel {}: {} is not finite", t, j, x));
      }
      centered[t * d + j] = x - offset_[j];
    }
  }
  for (size_t b = 0; b < blocks; ++b) {
    forward_[b].Multiply(centered.data() + b * block, d, n, turned.data() + b * block, d);
  }
  const auto scale = static_cast<float>(std::exp2(-0.5 * point));
  for (size_t t = 0; t < n; ++t) {
    for (size_t i = 0; i < d; ++i) {
      const float u = turned[t * d + static_cast<size_t>(order_[i])] * gain_[i] * scale;
      if (!(std::fabs(u) < kMostLatent)) {
        return InvalidArgument(fmt::format("token {}, latent {}: {} steps from zero, at most 2^22 are coded", t, i, u));
      }
      constexpr float kRounder = 3 << 22;  // adds the steps of whole numbers, to the nearest, ties to even
      latents[t * d + i] = static_cast<int32_t>((u + kRounder) - kRounder);
    }
  }
  if (!classes.empty()) Classify(centered, classes);
  return OkStatus();
}

Matrix<float> ContextFloats::Restore(std::span<const int32_t> latents, std::span<const int32_t> mean_q4,
                                     std::span<const uint8_t> scales, int point) const {
  const size_t d = width(), n = latents.size() / d, blocks = backward_.size(), block = d / blocks;
  std::vector<float> turned(n * d);
  const auto step = static_cast<float>(std::exp2(0.5 * point));
  for (size_t t = 0; t < n; ++t) {
    for (size_t i = 0; i < d; ++i) {
      const size_t at = t * d + i;
      const int64_t distance = int64_t{latents[at]} * 16 - mean_q4[at];
      const auto bounded = static_cast<int32_t>(std::clamp<int64_t>(distance, -(1 << 26), 1 << 26));
      const float moved = static_cast<float>(latents[at]) + centroid_[i] * Shift(bounded, scales[at]);
      turned[t * d + static_cast<size_t>(order_[i])] = moved * step * inverse_gain_[i];
    }
  }
  Matrix<float> hidden(n, d);
  for (size_t b = 0; b < blocks; ++b) {
    backward_[b].Multiply(turned.data() + b * block, d, n, hidden.data() + b * block, d);
  }
  for (size_t t = 0; t < n; ++t) {
    for (size_t j = 0; j < d; ++j) hidden.row(t)[j] += offset_[j];
  }
  return hidden;
}

}  // namespace sluice
