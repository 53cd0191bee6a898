// Transforms are products with a block of tokens at a time, small enough for the second-level cache from the first step
// to the last; gains are part of the matrices, and so is an order of coding that stays within their blocks, which
// leaves little but rounding between them. The centroid of a cell under its Gaussian is looked up.
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

constexpr size_t kBlock = 96;  // tokens at once; a byte names one of them
constexpr float kMostLatent = 1 << 22;
constexpr double kTail = 1e-6;  // probability of a cell from which the quotient is noise
// Centroids are looked up by scale and distance from the mean. 256 distances in 1/16 are eight deviations of the last
// narrow scale, 2; for each octave above it they are twice as far apart.
constexpr int32_t kDistances = 256, kLastNarrow = 36;

// How many blocks a square matrix has along its diagonal; the tensor says.
Result<uint64_t> BlocksOf(const Pack& pack, const char* name, uint64_t width) {
  const auto found = pack.tensors().find(name);
  const uint64_t blocks = found != pack.tensors().end() && found->second.shape.size() == 3 ? found->second.shape[0] : 1;
  if (blocks > 0 && width % blocks == 0) return blocks;
  return Corrupt(fmt::format("pack: tensor \"{}\" has {} blocks", name, blocks));
}

float SquareOf(std::span<const float> place) {
  return std::inner_product(place.begin(), place.end(), place.begin(), 0.0f);
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

SLUICE_VECTOR_CLONES void Gather(const float* __restrict values, const int32_t* __restrict order, size_t count,
                                 float* __restrict ordered) {
  for (size_t i = 0; i < count; ++i) ordered[i] = values[order[i]];
}

// False when something is beyond what is coded.
SLUICE_VECTOR_CLONES bool RoundLatents(const float* __restrict values, float scale, size_t count,
                                       int32_t* __restrict latents) {
  constexpr float kRounder = 3 << 22;  // adds the steps of whole numbers, to the nearest, ties to even
  int32_t bad = 0;
  for (size_t i = 0; i < count; ++i) {
    const float u = values[i] * scale;
    const bool fits = std::fabs(u) < kMostLatent;
    bad |= fits ? 0 : 1;
    latents[i] = static_cast<int32_t>(((fits ? u : 0) + kRounder) - kRounder);
  }
  return bad == 0;
}

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

// How many bits of a distance are left out under a scale: the grid has 8.77 scales in an octave.
constexpr int32_t DistanceShift(int32_t scale) { return std::max(((scale - kLastNarrow - 1) * 29 >> 8) + 1, 0); }

// No branch on a scale or a distance: which of them come is what a processor cannot foresee.
SLUICE_VECTOR_CLONES void MoveLatents(Latents from, const float* __restrict shifts, float step,
                                      float* __restrict moved) {
  for (size_t i = 0; i < from.count; ++i) {
    const int32_t distance = DistanceOf(from.values[i], from.mean_q4[i]);
    const int32_t size = distance < 0 ? -distance : distance, scale = from.scales[i];
    const float shift = shifts[scale * kDistances + std::min(size >> DistanceShift(scale), kDistances - 1)];
    moved[i] = (static_cast<float>(from.values[i]) + from.centroid[i] * (distance < 0 ? -shift : shift)) * step;
  }
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

// By scale and distance; the same for all packs.
const std::vector<float>& CentroidShifts() {
  static const std::vector<float> shifts = [] {
    std::vector<float> made;
    for (int32_t scale = 0; scale < kScaleCodes; ++scale) {
      const double apart = 1 << DistanceShift(scale);
      for (int32_t i = 0; i < kDistances; ++i) {
        made.push_back(CentroidOf((i * apart + (apart - 1) / 2) / 16, ScaleValue(scale)));
      }
    }
    return made;
  }();
  return shifts;
}

}  // namespace

Result<ContextFloats> ContextFloats::FromPack(const Pack& pack, size_t classes, const FloatKernels& kernels) {
  const uint64_t d = pack.info().width;
  ContextFloats made;
  made.kernels_ = &kernels;
  const uint64_t shape[] = {d};
  SLUICE_ASSIGN_OR_RETURN(made.offset_, pack.Floats("offset", shape));
  SLUICE_ASSIGN_OR_RETURN(made.gain_, pack.Floats("gain", shape));
  SLUICE_ASSIGN_OR_RETURN(made.centroid_, pack.Floats("centroid", shape));
  SLUICE_ASSIGN_OR_RETURN(const uint64_t blocks, BlocksOf(pack, "axes", d));
  const uint64_t block = d / blocks;
  const uint64_t diagonal[] = {blocks, block, block};
  SLUICE_ASSIGN_OR_RETURN(auto axes, pack.Floats("axes", diagonal));
  SLUICE_ASSIGN_OR_RETURN(auto inverse, pack.Floats("inverse", diagonal));
  for (const float gain : made.gain_) {
    if (!(gain > 0)) return Corrupt("pack: a gain is not positive");
  }
  SLUICE_ASSIGN_OR_RETURN(const TensorView order, pack.Tensor("order", DType::kI32, shape));
  std::vector<bool> seen(d);
  for (size_t i = 0; i < d; ++i) {
    const auto axis = LoadLe<uint32_t>(order.bytes.data() + 4 * i);
    if (axis >= d || seen[axis]) return Corrupt("pack: tensor \"order\" is no permutation");
    seen[axis] = true;
    made.order_.push_back(static_cast<int32_t>(axis));
  }
  made.FoldGains(axes, inverse, block);
  made.FoldOrder(axes, inverse, block);
  made.forward_ = PanelsOf(axes, block);
  made.backward_ = PanelsOf(inverse, block);
  if (classes > 0) SLUICE_RETURN_IF_ERROR(made.ReadClasses(pack, classes));
  return made;
}

Status ContextFloats::ReadClasses(const Pack& pack, size_t classes) {
  const auto axes = pack.tensors().find("class_axes");
  if (axes == pack.tensors().end() || axes->second.shape.empty()) return Corrupt("pack: no tensor \"class_axes\"");
  const uint64_t r = axes->second.shape[0];
  const uint64_t axes_shape[] = {r, width()}, means_shape[] = {classes, r};
  SLUICE_ASSIGN_OR_RETURN(const auto class_axes, pack.Floats("class_axes", axes_shape));
  SLUICE_ASSIGN_OR_RETURN(const auto means, pack.Floats("class_means", means_shape));
  class_axes_ = FloatPanels({class_axes.data(), r, width()});
  const MatrixView<const float> all(means.data(), classes, r);
  for (size_t k = 0; k < classes; ++k) {
    if (std::isfinite(SquareOf(all.row(k)))) continue;
    return Corrupt(fmt::format("pack: tensor \"class_means\": class {} lies too far out", k));
  }
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
    points.squares.push_back(SquareOf(places.row(k)));
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

// An order that stays within the blocks is one of rows, and of columns of the inverse.
void ContextFloats::FoldOrder(std::vector<float>& axes, std::vector<float>& inverse, size_t block) {
  for (size_t i = 0; i < width(); ++i) {
    if (static_cast<size_t>(order_[i]) / block != i / block) return;
  }
  const std::vector<float> rows = axes, columns = inverse;
  for (size_t i = 0; i < width(); ++i) {
    const auto axis = static_cast<size_t>(order_[i]);
    std::copy_n(rows.data() + axis * block, block, axes.data() + i * block);
    const size_t corner = i / block * block * block;
    for (size_t r = 0; r < block; ++r) {
      inverse[corner + r * block + i % block] = columns[corner + r * block + axis % block];
    }
  }
  order_.clear();
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

void ContextFloats::Classify(std::span<int32_t> classes, Work& work) const {
  const size_t r = class_axes_.rows(), count = classes_.places.rows();
  work.seen.resize(kBlock * r);
  work.scores.resize(kBlock * count);
  kernels_->multiply({class_axes_, work.centered.data(), width(), work.seen.data(), r, classes.size()});
  kernels_->multiply({classes_.places, work.seen.data(), r, work.scores.data(), count, classes.size()});
  if (!groups_.empty()) return FindInGroups(classes, work);
  for (size_t t = 0; t < classes.size(); ++t) {
    classes[t] =
        static_cast<int32_t>(kernels_->nearest(work.scores.data() + t * count, classes_.squares.data(), count));
  }
}

// Notes for each group which tokens look into it: those to which its middle is among the nearest. Uses up the products
// with the middles.
void ContextFloats::ChooseGroups(size_t tokens, Work& work) const {
  const size_t groups = groups_.size();
  work.lookers.resize(groups * kBlock);
  work.looker_counts.assign(groups, 0);
  for (size_t t = 0; t < tokens; ++t) {
    float* const middles = work.scores.data() + t * groups;
    for (size_t tried = 0; tried < std::min(kClassGroupsTried, groups); ++tried) {
      const size_t g = kernels_->nearest(middles, classes_.squares.data(), groups);
      work.lookers[g * kBlock + work.looker_counts[g]++] = static_cast<uint8_t>(t);
      middles[g] = -std::numeric_limits<float>::max() / 4;  // not again
    }
  }
}

// Group after group, for all the tokens that look into it: its classes are read once.
void ContextFloats::FindInGroups(std::span<int32_t> classes, Work& work) const {
  const size_t r = class_axes_.rows();
  ChooseGroups(classes.size(), work);
  std::array<float, kBlock> most;
  most.fill(-std::numeric_limits<float>::infinity());
  std::fill(classes.begin(), classes.end(), 0);
  work.looking.resize(kBlock * r);
  for (size_t g = 0; g < groups_.size(); ++g) {
    const Points& group = groups_[g];
    const auto tokens = std::span(work.lookers).subspan(g * kBlock, work.looker_counts[g]);
    for (size_t i = 0; i < tokens.size(); ++i) std::copy_n(&work.seen[tokens[i] * r], r, &work.looking[i * r]);
    const size_t members = group.places.rows();
    if (work.products.size() < kBlock * members) work.products.resize(kBlock * members);
    kernels_->multiply({group.places, work.looking.data(), r, work.products.data(), members, tokens.size()});
    for (size_t i = 0; i < tokens.size(); ++i) {
      const float* const products = &work.products[i * members];
      const size_t k = kernels_->nearest(products, group.squares.data(), members);
      const float score = 2 * products[k] - group.squares[k];
      if (score <= most[tokens[i]]) continue;
      most[tokens[i]] = score;
      classes[tokens[i]] = group_begin_[g] + static_cast<int32_t>(k);
    }
  }
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
    const float* ordered = work.turned.data() + t * d;
    if (!order_.empty()) {
      Gather(ordered, order_.data(), d, work.ordered.data());
      ordered = work.ordered.data();
    }
    if (RoundLatents(ordered, scale, d, latents + t * d)) continue;
    size_t i = 0;
    while (std::fabs(ordered[i] * scale) < kMostLatent) ++i;
    return InvalidArgument(fmt::format("token {}, latent {}: {} steps from zero, at most 2^22 are coded", first + t, i,
                                       ordered[i] * scale));
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
  work.ordered.resize(d);
  const auto scale = static_cast<float>(std::exp2(-0.5 * point));
  for (size_t begin = 0; begin < n; begin += kBlock) {
    const size_t end = std::min(begin + kBlock, n);
    SLUICE_RETURN_IF_ERROR(QuantizeBlock(hidden.Rows(begin, end), begin, scale, latents.data() + begin * d, work));
    if (!classes.empty()) Classify(classes.subspan(begin, end - begin), work);
  }
  return OkStatus();
}

void ContextFloats::MoveToCentroids(const int32_t* latents, const int32_t* mean_q4, const uint8_t* scales, float step,
                                    Work& work, float* turned) const {
  float* const moved = order_.empty() ? turned : work.ordered.data();
  MoveLatents({latents, mean_q4, scales, centroid_.data(), width()}, CentroidShifts().data(), step, moved);
  for (size_t i = 0; i < order_.size(); ++i) turned[order_[i]] = moved[i];
}

void ContextFloats::Restore(std::span<const int32_t> latents, std::span<const int32_t> mean_q4,
                            std::span<const uint8_t> scales, int point, Work& work, MatrixView<float> hidden) const {
  const size_t d = width(), n = hidden.rows(), block = d / backward_.size();
  const auto step = static_cast<float>(std::exp2(0.5 * point));
  work.turned.resize(std::min(n, kBlock) * d);
  work.ordered.resize(d);
  for (size_t begin = 0; begin < n; begin += kBlock) {
    const size_t end = std::min(begin + kBlock, n);
    for (size_t t = begin; t < end; ++t) {
      MoveToCentroids(latents.data() + t * d, mean_q4.data() + t * d, scales.data() + t * d, step, work,
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
