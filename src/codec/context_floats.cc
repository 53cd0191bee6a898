// Transforms are products with a block of tokens at a time, small enough for the second-level cache from the first step
// to the last; gains are part of the matrices, and so are only the order of coding and the rounding left between them.
// The centroid of a cell under a narrow Gaussian is looked up; under a wide one it is a straight line.
#include "codec/context_floats.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "base/bytes.h"
#include "base/vector_clones.h"
#include "nets/context_weights.h"
#include "prob/id_tables.h"
#include "prob/scale_grid.h"

namespace sluice {
namespace {

constexpr size_t kBlock = 96;  // tokens at once
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

// How many blocks a square matrix has along its diagonal; the tensor says.
Result<uint64_t> BlocksOf(const Pack& pack, const char* name, uint64_t width) {
  const auto found = pack.tensors().find(name);
  const uint64_t blocks = found != pack.tensors().end() && found->second.shape.size() == 3 ? found->second.shape[0] : 1;
  if (blocks > 0 && width % blocks == 0) return blocks;
  return Corrupt(fmt::format("pack: tensor \"{}\" has {} blocks", name, blocks));
}

std::vector<FloatPanels> PanelsOf(const std::vector<float>& values, size_t block) {
  std::vector<FloatPanels> panels;
  for (size_t at = 0; at < values.size(); at += block * block) {
    panels.emplace_back(MatrixView<const float>(values.data() + at, block, block));
  }
  return panels;
}

// False when something is not finite.
SLUICE_VECTOR_CLONES bool Center(const float* values, const float* offset, size_t count, float* centered) {
  int32_t bad = 0;
  for (size_t i = 0; i < count; ++i) {
    bad |= std::fabs(values[i]) <= std::numeric_limits<float>::max() ? 0 : 1;
    centered[i] = values[i] - offset[i];
  }
  return bad == 0;
}

// False when something is beyond what is coded.
SLUICE_VECTOR_CLONES bool RoundLatents(const float* turned, const int32_t* order, float scale, size_t count,
                                       int32_t* latents) {
  constexpr float kRounder = 3 << 22;  // adds the steps of whole numbers, to the nearest, ties to even
  int32_t bad = 0;
  for (size_t i = 0; i < count; ++i) {
    const float u = turned[order[i]] * scale;
    const bool fits = std::fabs(u) < kMostLatent;
    bad |= fits ? 0 : 1;
    latents[i] = static_cast<int32_t>(((fits ? u : 0) + kRounder) - kRounder);
  }
  return bad == 0;
}

struct CentroidTables {
  const float* __restrict shifts;       // of narrow scales, kMostDistance each
  const float* __restrict wide_slope;   // of all scales
  const int32_t* __restrict wide_tail;  // of all scales
  int32_t narrow;
};

// From the mean to a latent in 1/16.
inline int32_t DistanceOf(int32_t latent, int32_t mean_q4) {
  constexpr int32_t kMost = 1 << 25;  // beyond, the distance is one of the tail in any case
  return std::min(std::max(latent, -kMost), kMost) * 16 - std::min(std::max(mean_q4, -16 * kMost), 16 * kMost);
}

struct Latents {
  const int32_t* __restrict values;
  const int32_t* __restrict mean_q4;
  const uint8_t* __restrict scales;
  const float* __restrict centroid;
  size_t count;
};

// No branch on a scale or a distance: which of them come is what a processor cannot foresee.
SLUICE_VECTOR_CLONES void MoveLatents(Latents from, CentroidTables tables, float* __restrict moved) {
  for (size_t i = 0; i < from.count; ++i) {
    const int32_t distance = DistanceOf(from.values[i], from.mean_q4[i]);
    const int32_t size = distance < 0 ? -distance : distance, scale = from.scales[i];
    const int32_t row = std::min(scale, tables.narrow - 1) * kMostDistance;
    const float looked_up = tables.shifts[row + std::min(size, kMostDistance - 1)];
    const float line = tables.wide_slope[scale] * static_cast<float>(size);
    const float wide = size > tables.wide_tail[scale] ? -0.5f : line;
    const float shift = scale < tables.narrow ? looked_up : wide;
    moved[i] = static_cast<float>(from.values[i]) + from.centroid[i] * (distance < 0 ? -shift : shift);
  }
}

// The same where all scales are narrow: one look-up instead of three.
SLUICE_VECTOR_CLONES void MoveNarrowLatents(Latents from, const float* __restrict shifts, float* __restrict moved) {
  for (size_t i = 0; i < from.count; ++i) {
    const int32_t distance = DistanceOf(from.values[i], from.mean_q4[i]);
    const int32_t size = distance < 0 ? -distance : distance;
    const float shift = shifts[from.scales[i] * kMostDistance + std::min(size, kMostDistance - 1)];
    moved[i] = static_cast<float>(from.values[i]) + from.centroid[i] * (distance < 0 ? -shift : shift);
  }
}

SLUICE_VECTOR_CLONES int32_t LargestOf(const uint8_t* scales, size_t count) {
  uint8_t most = 0;
  for (size_t i = 0; i < count; ++i) most = std::max(most, scales[i]);
  return most;
}

SLUICE_VECTOR_CLONES void AddOffset(const float* offset, size_t count, float* values) {
  for (size_t i = 0; i < count; ++i) values[i] += offset[i];
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

Result<ContextFloats> ContextFloats::FromPack(const Pack& pack, size_t classes, const FloatKernels& kernels) {
  const uint64_t d = pack.info().width;
  ContextFloats made;
  made.kernels_ = &kernels;
  SLUICE_ASSIGN_OR_RETURN(made.offset_, ReadFloats(pack, "offset", {d}));
  SLUICE_ASSIGN_OR_RETURN(made.gain_, ReadFloats(pack, "gain", {d}));
  SLUICE_ASSIGN_OR_RETURN(made.centroid_, ReadFloats(pack, "centroid", {d}));
  SLUICE_ASSIGN_OR_RETURN(const uint64_t blocks, BlocksOf(pack, "axes", d));
  const uint64_t block = d / blocks;
  SLUICE_ASSIGN_OR_RETURN(auto axes, ReadFloats(pack, "axes", {blocks, block, block}));
  SLUICE_ASSIGN_OR_RETURN(auto inverse, ReadFloats(pack, "inverse", {blocks, block, block}));
  for (const float gain : made.gain_) {
    if (!(gain > 0)) return Corrupt("pack: a gain is not positive");
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
  made.FoldGains(axes, inverse, block);
  made.forward_ = PanelsOf(axes, block);
  made.backward_ = PanelsOf(inverse, block);
  made.MakeShifts();
  if (classes > 0) SLUICE_RETURN_IF_ERROR(made.ReadClasses(pack, classes));
  return made;
}

Status ContextFloats::ReadClasses(const Pack& pack, size_t classes) {
  const auto axes = pack.tensors().find("class_axes");
  if (axes == pack.tensors().end() || axes->second.shape.empty()) return Corrupt("pack: no tensor \"class_axes\"");
  const uint64_t r = axes->second.shape[0];
  SLUICE_ASSIGN_OR_RETURN(const auto class_axes, ReadFloats(pack, "class_axes", {r, width()}));
  SLUICE_ASSIGN_OR_RETURN(const auto means, ReadFloats(pack, "class_means", {classes, r}));
  class_axes_ = FloatPanels({class_axes.data(), r, width()});
  const MatrixView<const float> all(means.data(), classes, r);
  if (!pack.tensors().contains("class_sizes")) {
    classes_ = MakePoints(all);
    return OkStatus();
  }
  SLUICE_ASSIGN_OR_RETURN(const std::vector<uint32_t> sizes, ReadClassSizes(pack));
  if (std::accumulate(sizes.begin(), sizes.end(), uint64_t{0}) != classes) {
    return Corrupt("pack: tensor \"class_sizes\": groups that are not all of the classes");
  }
  Matrix<float> middles(sizes.size(), r);
  size_t begin = 0;
  for (size_t g = 0; g < sizes.size(); begin += sizes[g++]) {
    const auto members = all.Rows(begin, begin + sizes[g]);
    for (size_t t = 0; t < members.rows(); ++t) {
      for (size_t i = 0; i < r; ++i) middles.row(g)[i] += members.row(t)[i] / static_cast<float>(sizes[g]);
    }
    groups_.push_back(MakePoints(members));
    group_begin_.push_back(static_cast<int32_t>(begin));
  }
  classes_ = MakePoints(middles.View());
  return OkStatus();
}

ContextFloats::Points ContextFloats::MakePoints(MatrixView<const float> places) {
  Points points{FloatPanels(places), {}};
  for (size_t k = 0; k < places.rows(); ++k) {
    const auto place = places.row(k);
    points.squares.push_back(std::inner_product(place.begin(), place.end(), place.begin(), 0.0f));
  }
  return points;
}

// Rows of the transform times the gains of their axes, columns of its inverse over them.
void ContextFloats::FoldGains(std::vector<float>& axes, std::vector<float>& inverse, size_t block) const {
  for (size_t i = 0; i < width(); ++i) {
    const auto axis = static_cast<size_t>(order_[i]);
    float* const row = axes.data() + axis * block;
    for (size_t c = 0; c < block; ++c) row[c] *= gain_[i];
    float* const column = inverse.data() + axis / block * block * block + axis % block;
    for (size_t r = 0; r < block; ++r) column[r * block] /= gain_[i];
  }
}

uint64_t ContextFloats::EncodeMultiplyAdds() const {
  const auto products = [](const FloatPanels& matrix) { return uint64_t{matrix.rows()} * matrix.cols(); };
  uint64_t members = 0;  // of the groups that are looked into, on average
  for (const Points& group : groups_) members += products(group.places);
  if (!groups_.empty()) members = members * std::min(kClassGroupsTried, groups_.size()) / groups_.size();
  return DecodeMultiplyAdds() + products(class_axes_) + products(classes_.places) + members;
}

uint64_t ContextFloats::DecodeMultiplyAdds() const {
  uint64_t sum = 0;
  for (const FloatPanels& block : backward_) sum += block.rows() * block.cols();
  return sum;
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

void ContextFloats::Classify(std::span<int32_t> classes, Work& work) const {
  const size_t r = class_axes_.rows(), count = classes_.places.rows();
  size_t most = count;
  for (const Points& group : groups_) most = std::max(most, group.places.rows());
  work.seen.resize(kBlock * r);
  work.scores.resize(kBlock * count + most);
  kernels_->multiply({class_axes_, work.centered.data(), width(), work.seen.data(), r, classes.size()});
  kernels_->multiply({classes_.places, work.seen.data(), r, work.scores.data(), count, classes.size()});
  for (size_t t = 0; t < classes.size(); ++t) {
    float* const scores = work.scores.data() + t * count;
    classes[t] = groups_.empty()
                     ? static_cast<int32_t>(kernels_->nearest(scores, classes_.squares.data(), count))
                     : NearestInGroups(work.seen.data() + t * r, {scores, count}, work.scores.data() + kBlock * count);
  }
}

// Looks into the groups whose middles are nearest. Data: seen [r]; `middles`, products with the middles, which are used
// up; `products`, room for those with the members of a group.
int32_t ContextFloats::NearestInGroups(const float* seen, std::span<float> middles, float* products) const {
  float most = -std::numeric_limits<float>::infinity();
  int32_t best = 0;
  for (size_t tried = 0; tried < std::min(kClassGroupsTried, groups_.size()); ++tried) {
    const size_t g = kernels_->nearest(middles.data(), classes_.squares.data(), middles.size());
    const Points& group = groups_[g];
    kernels_->multiply({group.places, seen, class_axes_.rows(), products, group.places.rows(), 1});
    const size_t k = kernels_->nearest(products, group.squares.data(), group.places.rows());
    const float score = 2 * products[k] - group.squares[k];
    if (score > most) best = group_begin_[g] + static_cast<int32_t>(k);
    most = std::max(most, score);
    middles[g] = -std::numeric_limits<float>::max() / 4;  // not again
  }
  return best;
}

// Data: hidden [up to kBlock, d], token `first` of the frame and those behind it.
Status ContextFloats::QuantizeBlock(MatrixView<const float> hidden, size_t first, float scale, int32_t* latents,
                                    Work& work) const {
  const size_t d = width(), block = d / forward_.size();
  for (size_t t = 0; t < hidden.rows(); ++t) {
    const auto row = hidden.row(t);
    if (Center(row.data(), offset_.data(), d, work.centered.data() + t * d)) continue;
    const auto bad = std::find_if_not(row.begin(), row.end(), [](float x) { return std::isfinite(x); });
    return InvalidArgument(fmt::format("token {}, channel {}: {} is not finite", first + t, bad - row.begin(), *bad));
  }
  for (size_t b = 0; b < forward_.size(); ++b) {
    kernels_->multiply(
        {forward_[b], work.centered.data() + b * block, d, work.turned.data() + b * block, d, hidden.rows()});
  }
  for (size_t t = 0; t < hidden.rows(); ++t) {
    const float* const turned = work.turned.data() + t * d;
    if (RoundLatents(turned, order_.data(), scale, d, latents + t * d)) continue;
    size_t i = 0;
    while (std::fabs(turned[order_[i]] * scale) < kMostLatent) ++i;
    return InvalidArgument(fmt::format("token {}, latent {}: {} steps from zero, at most 2^22 are coded", first + t, i,
                                       turned[order_[i]] * scale));
  }
  return OkStatus();
}

Status ContextFloats::Quantize(MatrixView<const float> hidden, int point, std::span<int32_t> latents,
                               std::span<int32_t> classes, Work& work) const {
  const size_t d = width(), n = hidden.rows();
  if (hidden.cols() != d) {
    return InvalidArgument(fmt::format("hidden states of width {}, expected {}", hidden.cols(), d));
  }
  work.centered.resize(std::min(n, kBlock) * d);
  work.turned.resize(std::min(n, kBlock) * d);
  const auto scale = static_cast<float>(std::exp2(-0.5 * point));
  for (size_t begin = 0; begin < n; begin += kBlock) {
    const size_t end = std::min(begin + kBlock, n);
    SLUICE_RETURN_IF_ERROR(QuantizeBlock(hidden.Rows(begin, end), begin, scale, latents.data() + begin * d, work));
    if (!classes.empty()) Classify(classes.subspan(begin, end - begin), work);
  }
  return OkStatus();
}

void ContextFloats::MoveToCentroids(const int32_t* latents, const int32_t* mean_q4, const uint8_t* scales, float step,
                                    float* turned) const {
  constexpr size_t kPiece = 64;
  std::array<float, kPiece> moved;
  const auto narrow = static_cast<int32_t>(shifts_.size() / kMostDistance);
  const CentroidTables tables = {shifts_.data(), wide_slope_.data(), wide_tail_.data(), narrow};
  for (size_t begin = 0; begin < width(); begin += kPiece) {
    const size_t count = std::min(kPiece, width() - begin);
    const Latents piece = {latents + begin, mean_q4 + begin, scales + begin, centroid_.data() + begin, count};
    if (LargestOf(scales + begin, count) < narrow) {
      MoveNarrowLatents(piece, shifts_.data(), moved.data());
    } else {
      MoveLatents(piece, tables, moved.data());
    }
    for (size_t i = 0; i < count; ++i) turned[order_[begin + i]] = moved[i] * step;
  }
}

void ContextFloats::Restore(std::span<const int32_t> latents, std::span<const int32_t> mean_q4,
                            std::span<const uint8_t> scales, int point, Work& work, MatrixView<float> hidden) const {
  const size_t d = width(), n = hidden.rows(), block = d / backward_.size();
  const auto step = static_cast<float>(std::exp2(0.5 * point));
  work.turned.resize(std::min(n, kBlock) * d);
  for (size_t begin = 0; begin < n; begin += kBlock) {
    const size_t end = std::min(begin + kBlock, n);
    for (size_t t = begin; t < end; ++t) {
      MoveToCentroids(latents.data() + t * d, mean_q4.data() + t * d, scales.data() + t * d, step,
                      work.turned.data() + (t - begin) * d);
    }
    for (size_t b = 0; b < backward_.size(); ++b) {
      kernels_->multiply(
          {backward_[b], work.turned.data() + b * block, d, hidden.row(begin).data() + b * block, d, end - begin});
    }
    for (size_t t = begin; t < end; ++t) AddOffset(offset_.data(), d, hidden.row(t).data());
  }
}

}  // namespace sluice
