// Everything that a run can know beforehand is worked out here, once: matrices cut along the groups and packed for the
// kernels, shifts with their halves, and limits so small that products which docs/numerics.md states in 64 bits fit 32.
#include "nets/context_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "base/bytes.h"

namespace sluice {
namespace {

constexpr int kActivationBits = 6, kSumBits = 12, kOutputBits = 10, kMeanBits = 4, kPointScaleBits = 8;
constexpr int64_t kLargestLatent = 1 << 20;
constexpr int32_t kLeastShift = 6, kMostShift = 14;
constexpr int32_t kLeastExponent = -10, kMostExponent = 14;
constexpr int32_t kLargestBias = 1 << 26;
constexpr int32_t kIndexOfOne = 29280564, kIndexPerHalfOctave = 4597465;
constexpr int32_t kRootsOfTwo[2] = {256, 362};
constexpr int32_t kInversePoint[16] = {256, 181, 128, 91, 64, 45, 32, 23, 16, 11, 8, 6, 4, 3, 2, 1};

struct Limits {
  int32_t low, high;
};

Result<std::vector<int32_t>> ReadInt32(const Pack& pack, const char* name, std::vector<uint64_t> shape, Limits limits) {
  SLUICE_ASSIGN_OR_RETURN(const TensorView view, pack.Tensor(name, DType::kI32, shape));
  std::vector<int32_t> values(view.elements());
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = LoadLe<int32_t>(view.bytes.data() + 4 * i);
    if (values[i] < limits.low || values[i] > limits.high) {
      return Corrupt(fmt::format("pack: tensor \"{}\": value {} is {}, expected {} to {}", name, i, values[i],
                                 limits.low, limits.high));
    }
  }
  return values;
}

Result<std::vector<int8_t>> ReadInt8(const Pack& pack, const char* name, uint64_t rows, uint64_t columns) {
  const uint64_t shape[] = {rows, columns};
  SLUICE_ASSIGN_OR_RETURN(const TensorView view, pack.Tensor(name, DType::kI8, shape));
  std::vector<int8_t> values(view.elements());
  std::transform(view.bytes.begin(), view.bytes.end(), values.begin(),
                 [](uint8_t b) { return static_cast<int8_t>(b); });
  return values;
}

struct Weights {
  std::vector<int8_t> values;
  std::vector<int32_t> shifts;
};

Result<Weights> ReadWeights(const Pack& pack, const std::string& name, size_t rows, size_t columns) {
  Weights weights;
  SLUICE_ASSIGN_OR_RETURN(weights.values, ReadInt8(pack, (name + ".weights").c_str(), rows, columns));
  SLUICE_ASSIGN_OR_RETURN(weights.shifts,
                          ReadInt32(pack, (name + ".shifts").c_str(), {rows}, {kLeastShift, kMostShift}));
  for (size_t r = 0; r < rows; ++r) {
    int64_t sum = 0;
    for (size_t c = 0; c < columns; ++c) sum += std::abs(int{weights.values[r * columns + c]});
    if (sum * kLargestActivation >= int64_t{1} << 30) {
      return Corrupt(fmt::format("pack: tensor \"{}.weights\": sums of row {} could leave 32 bits", name, r));
    }
  }
  return weights;
}

}  // namespace

Result<std::vector<uint32_t>> ReadClassSizes(const Pack& pack) {
  constexpr uint64_t kMostGroups = 256;
  const auto found = pack.tensors().find("class_sizes");
  const uint64_t groups = found == pack.tensors().end() ? 0 : found->second.elements();
  if (groups < 1 || groups > kMostGroups) return Corrupt(fmt::format("pack: {} groups of classes", groups));
  SLUICE_ASSIGN_OR_RETURN(const auto sizes, ReadInt32(pack, "class_sizes", {groups}, {2, 1 << 18}));
  return std::vector<uint32_t>(sizes.begin(), sizes.end());
}

Result<IdRows> IdRows::FromPack(const Pack& pack, const ContextShape& shape) {
  static constexpr const char* kNames[kParts] = {
      "table.now",    "table.feature_now", "table.previous",       "table.feature_previous",
      "table.before", "table.direct_now",  "table.direct_previous"};
  const size_t parts = kDirectNow + shape.direct, ids = shape.ids + 1;
  const auto width = [&](size_t part) { return part < kDirectNow ? shape.hidden : 2 * shape.width; };
  IdRows made;
  for (size_t part = 0; part < kParts; ++part)
    made.begin_[part + 1] = made.begin_[part] + (part < parts ? width(part) : 0);
  made.stride_ = made.begin_[kParts];
  made.values_.resize(ids * made.stride_);
  for (size_t part = 0; part < parts; ++part) {
    SLUICE_ASSIGN_OR_RETURN(const auto table, ReadInt8(pack, kNames[part], ids, width(part)));
    for (size_t id = 0; id < ids; ++id) {
      std::copy_n(table.data() + id * width(part), width(part),
                  made.values_.data() + id * made.stride_ + made.begin_[part]);
    }
  }
  return made;
}

Status ContextWeights::ReadShape(const Pack& pack) {
  constexpr size_t kFields = 9,
                   kFieldsOfOld = 6;  // packs that see latents and have no direct rows may leave the rest out
  const auto found = pack.tensors().find("shape");
  const bool old = found != pack.tensors().end() && found->second.elements() == kFieldsOfOld;
  SLUICE_ASSIGN_OR_RETURN(auto fields, ReadInt32(pack, "shape", {old ? kFieldsOfOld : kFields}, {0, 1 << 18}));
  if (old) fields.insert(fields.end(), {0, 1, fields[0]});
  const uint32_t width = pack.info().width;
  const auto within = [&](size_t field, int32_t low, int32_t high) {
    return fields[field] >= low && fields[field] <= high;
  };
  if (width > 8192 || !within(0, 5, 1024) || !within(1, 1, 64) || !within(2, 1, 16) || !within(3, 0, 2) ||
      !within(5, 0, 20) || !within(6, 0, 2) || !within(7, 0, 1) || !within(8, 0, fields[0]) ||
      static_cast<uint32_t>(fields[1]) > width) {
    return Corrupt("pack: tensor \"shape\" is outside the limits of codec context");
  }
  shape = {.width = width,
           .hidden = static_cast<size_t>(fields[0]),
           .groups = static_cast<size_t>(fields[1]),
           .points = static_cast<size_t>(fields[2]),
           .names = static_cast<TokenNames>(fields[3]),
           .ids = static_cast<size_t>(fields[4]),
           .pair_bits = fields[5],
           .direct = static_cast<size_t>(fields[6]),
           .latents = fields[7] == 1,
           .scale_units = static_cast<size_t>(fields[8])};
  const bool named = shape.names != TokenNames::kNone;
  if (named != (shape.ids > 0) || (!named && (shape.pair_bits > 0 || shape.direct > 0))) {
    return Corrupt("pack: tensor \"shape\": ids where there are none, or none where there are");
  }
  if (!shape.latents && shape.groups > 1) return Corrupt("pack: tensor \"shape\": groups, and no latents to see");
  return OkStatus();
}

Status ContextWeights::ReadMatrices(const Pack& pack) {
  const size_t d = shape.width, m = shape.hidden;
  SLUICE_ASSIGN_OR_RETURN(const Weights back, ReadWeights(pack, "past", m, 2 * m));
  past = PackedWeights({back.values.data(), m, 2 * m});
  for (size_t i = 0; i < m; ++i) past_rounding.Add(back.shifts[i] + kActivationBits - kSumBits);
  if (!shape.latents) return ReadOutputs(pack);
  SLUICE_ASSIGN_OR_RETURN(const Weights in, ReadWeights(pack, "input", m, d));
  for (size_t i = 0; i < m; ++i) input_rounding.Add(in.shifts[i] + kActivationBits - kSumBits);
  for (size_t g = 0; g < shape.groups; ++g) {
    const size_t from = shape.GroupBegin(g), size = shape.GroupSize(g);
    Matrix<int8_t> columns(m, size);
    for (size_t i = 0; i < m; ++i) std::copy_n(in.values.data() + i * d + from, size, columns.row(i).data());
    input.emplace_back(columns.View());
  }
  return ReadOutputs(pack);
}

Status ContextWeights::ReadOutputs(const Pack& pack) {
  const size_t d = shape.width, m = shape.hidden;
  SLUICE_ASSIGN_OR_RETURN(const Weights out, ReadWeights(pack, "output", 2 * d, m));
  SLUICE_ASSIGN_OR_RETURN(const auto bias, ReadInt32(pack, "output_bias", {2 * d}, {-kLargestBias, kLargestBias}));
  for (size_t r = d; r < 2 * d; ++r) {
    const int8_t* const row = out.values.data() + r * m;
    if (std::all_of(row + shape.scale_units, row + m, [](int8_t w) { return w == 0; })) continue;
    return Corrupt(
        fmt::format("pack: tensor \"output.weights\": row {} uses hidden units beyond {}", r, shape.scale_units));
  }
  for (Outputs* const rows : {&means, &scales}) {
    const size_t first = rows == &means ? 0 : d, units = rows == &means ? m : shape.scale_units;
    for (size_t r = first; r < first + d; ++r) {
      rows->rounding.Add(out.shifts[r] + kActivationBits - kOutputBits);
      rows->bias.push_back(bias[r]);
    }
    for (size_t g = 0; g < shape.groups; ++g) {
      Matrix<int8_t> part(shape.GroupSize(g), units);
      for (size_t r = 0; r < part.rows(); ++r) {
        std::copy_n(out.values.data() + (first + shape.GroupBegin(g) + r) * m, units, part.row(r).data());
      }
      rows->weights.emplace_back(part.View());
    }
  }
  return OkStatus();
}

Status ContextWeights::ReadLists(const Pack& pack) {
  const size_t m = shape.hidden;
  constexpr Limits kBias = {-kLargestBias, kLargestBias};
  SLUICE_ASSIGN_OR_RETURN(base_bias, ReadInt32(pack, "base_bias", {m}, kBias));
  SLUICE_ASSIGN_OR_RETURN(feature_bias, ReadInt32(pack, "feature_bias", {m}, kBias));
  SLUICE_ASSIGN_OR_RETURN(point_bias, ReadInt32(pack, "point_bias", {shape.points, m}, kBias));
  SLUICE_ASSIGN_OR_RETURN(const auto exponents,
                          ReadInt32(pack, "channel_exponent", {shape.width}, {kLeastExponent, kMostExponent}));
  PreparePoints(exponents);
  if (shape.names == TokenNames::kNone) return OkStatus();
  SLUICE_ASSIGN_OR_RETURN(id_rows, IdRows::FromPack(pack, shape));
  if (shape.pair_bits > 0) {
    SLUICE_ASSIGN_OR_RETURN(pair, ReadInt8(pack, "table.pair", uint64_t{1} << shape.pair_bits, m));
  }
  return OkStatus();
}

void ContextWeights::PreparePoints(const std::vector<int32_t>& exponents) {
  for (const int32_t e : exponents) {
    mean_rounding.Add(kOutputBits + kPointScaleBits - kMeanBits - e);
    seen_rounding.Add(std::max(kPointScaleBits - kActivationBits + e, 0));
  }
  for (size_t p = 0; p < shape.points; ++p) {
    Point point;
    point.mean_factor = kInversePoint[p];
    const int64_t gauge = int64_t{kRootsOfTwo[p % 2]} << (p / 2);
    for (const int32_t e : exponents) {
      const int shift = kPointScaleBits - kActivationBits + e;
      const int64_t factor = shift < 0 ? gauge << -shift : gauge;
      const int64_t largest = int64_t{kLargestActivation} << std::max(shift, 0);
      point.seen_factor.push_back(static_cast<int32_t>(factor));
      point.seen_limit.push_back(static_cast<int32_t>(std::min((largest + factor - 1) / factor, kLargestLatent)));
      point.scale_offset.push_back(kIndexOfOne + (2 * e - static_cast<int32_t>(p)) * kIndexPerHalfOctave +
                                   (1 << (kIndexBits - 1)));
    }
    points.push_back(std::move(point));
  }
}

Result<ContextWeights> ContextWeights::FromPack(const Pack& pack) {
  ContextWeights weights;
  SLUICE_RETURN_IF_ERROR(weights.ReadShape(pack));
  SLUICE_RETURN_IF_ERROR(weights.ReadMatrices(pack));
  SLUICE_RETURN_IF_ERROR(weights.ReadLists(pack));
  return weights;
}

}  // namespace sluice
