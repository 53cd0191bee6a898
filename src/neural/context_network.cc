// A hidden layer that fills up: it starts with what the past says, gives the parameters of the first group of channels,
// takes in their latents, gives the parameters of the second, and so on. Every weight is used once a token, so knowing
// the channels before costs nothing. The past reaches it as features of single tokens through leaky sums, which leaves
// nothing to unroll in training. Activations are Q6 in [0, 2047], sums of the hidden layer Q12, outputs Q10.
#include "neural/context_network.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "prob/scale_grid.h"

namespace sluice {
namespace {

constexpr int kActivationBits = 6, kSumBits = 12, kOutputBits = 10, kTableBits = 5, kLeakBits = 8;
constexpr int64_t kLargestActivation = 2047;
constexpr int kLeastShift = 6, kMostShift = 14;
constexpr int64_t kLargestLatent = 1 << 20;  // as the network sees it
// Indices of the scale grid, ln(16 / 0.11) / 63 apart, in units of 2^-20.
constexpr int64_t kIndexPerOutputUnit = 12955;    // 1024 / step
constexpr int64_t kIndexOfOne = 29280564;         // ln(1 / 0.11) / step
constexpr int64_t kIndexPerHalfOctave = 4597465;  // ln(2) / 2 / step
constexpr int kIndexBits = 20;
// 256 * 2^(i/2), rounded: one operating point is half an octave coarser than the one before.
constexpr int64_t kRootsOfTwo[2] = {256, 362};
constexpr int32_t kInversePoint[16] = {256, 181, 128, 91, 64, 45, 32, 23, 16, 11, 8, 6, 4, 3, 2, 1};

// v * 2^-shift to the nearest, ties upwards.
int64_t Rescale(int64_t v, int shift) {
  if (shift <= 0) return v * (int64_t{1} << -shift);
  return (v + (int64_t{1} << (shift - 1))) >> shift;
}

int32_t Clip(int64_t v, int64_t limit) { return static_cast<int32_t>(std::clamp(v, -limit, limit)); }

int64_t PointScale(int point) { return kRootsOfTwo[point % 2] << (point / 2); }

Status CheckMatrix(const char* name, const ShiftedMatrix& matrix, int64_t rows, int64_t columns) {
  const auto wrong = [name](const std::string& what) {
    return InvalidArgument(fmt::format("context network: matrix {}: {}", name, what));
  };
  if (matrix.rows != rows || matrix.columns != columns || matrix.values.size() != static_cast<size_t>(rows * columns) ||
      matrix.shifts.size() != static_cast<size_t>(rows)) {
    return wrong(fmt::format("expected [{}, {}], got [{}, {}]", rows, columns, matrix.rows, matrix.columns));
  }
  for (int64_t r = 0; r < rows; ++r) {
    const int32_t shift = matrix.shifts[static_cast<size_t>(r)];
    if (shift < kLeastShift || shift > kMostShift) return wrong(fmt::format("row {} has shift {}", r, shift));
    int64_t sum = 0;
    for (int64_t c = 0; c < columns; ++c) sum += std::abs(int{matrix.values[static_cast<size_t>(r * columns + c)]});
    if (sum * kLargestActivation >= int64_t{1} << 30) return wrong(fmt::format("sums of row {} may overflow", r));
  }
  return OkStatus();
}

}  // namespace

uint32_t PairBucket(const ContextConfig& config, int32_t id, int32_t previous) {
  const auto key =
      static_cast<uint32_t>(id) * static_cast<uint32_t>(config.id_count + 1) + static_cast<uint32_t>(previous);
  return key * 2654435761u >> (32 - config.pair_bits);
}

int LeakShift(int64_t unit, int64_t hidden) { return static_cast<int>(1 + unit * 5 / hidden); }

Status ContextNetwork::Check() const {
  SLUICE_RETURN_IF_ERROR(config.Validate());
  const int64_t d = config.width, m = config.hidden;
  SLUICE_RETURN_IF_ERROR(CheckMatrix("input", input, config.latents ? m : 0, config.latents ? d : 0));
  SLUICE_RETURN_IF_ERROR(CheckMatrix("past", past, m, 2 * m));
  SLUICE_RETURN_IF_ERROR(CheckMatrix("output", output, 2 * d, m));
  for (int64_t r = d; r < 2 * d; ++r) {
    const auto* const row = output.values.data() + r * m;
    if (std::any_of(row + config.ScaleUnits(), row + m, [](int8_t w) { return w != 0; })) {
      return InvalidArgument(
          fmt::format("context network: matrix output: row {} uses hidden units beyond {}", r, config.ScaleUnits()));
    }
  }
  const int64_t rows = config.ids == ContextIds::kNone ? 0 : config.id_count + 1;
  const int64_t pairs = config.pair_bits > 0 ? int64_t{1} << config.pair_bits : 0;
  const std::pair<size_t, int64_t> sizes[] = {{base_bias.size(), m},
                                              {feature_bias.size(), m},
                                              {point_bias.size(), config.points * m},
                                              {output_bias.size(), 2 * d},
                                              {channel_exponent.size(), d},
                                              {now.size(), rows * m},
                                              {previous.size(), rows * m},
                                              {before.size(), rows * m},
                                              {feature_now.size(), rows * m},
                                              {feature_previous.size(), rows * m},
                                              {pair.size(), pairs * m},
                                              {direct_now.size(), config.direct > 0 ? rows * 2 * d : 0},
                                              {direct_previous.size(), config.direct > 1 ? rows * 2 * d : 0}};
  for (const auto& [got, expected] : sizes) {
    if (static_cast<int64_t>(got) != expected) {
      return InvalidArgument(fmt::format("context network: a list has {} elements, expected {}", got, expected));
    }
  }
  constexpr int32_t kLargestBias = 1 << 26;
  for (const auto* biases : {&base_bias, &feature_bias, &point_bias, &output_bias}) {
    for (int32_t bias : *biases) {
      if (bias < -kLargestBias || bias > kLargestBias) return InvalidArgument("context network: a bias is too large");
    }
  }
  for (int32_t e : channel_exponent) {
    if (e < -10 || e > 14) return InvalidArgument(fmt::format("context network: channel exponent {}", e));
  }
  return OkStatus();
}

ContextRun::ContextRun(const ContextNetwork& network, int point) : network_(network), point_(point) {
  const auto m = static_cast<size_t>(network.config.hidden);
  past_.resize(2 * m);
  leaky_.resize(m);
  base_.resize(m);
  feature_base_.resize(m);
  sums_.resize(m);
  hidden_.resize(m);
  Begin();
}

void ContextRun::Begin() {
  std::fill(past_.begin(), past_.end(), int16_t{0});
  std::fill(leaky_.begin(), leaky_.end(), 0);
  std::fill(std::begin(ids_), std::end(ids_), static_cast<int32_t>(network_.config.id_count));
}

int32_t ContextRun::Activate(size_t unit, int32_t base) const {
  const bool latents = network_.config.latents;
  const int64_t seen = latents ? Rescale(sums_[unit], network_.input.shifts[unit] + kActivationBits - kSumBits) : 0;
  const int64_t sum = base + seen;
  return static_cast<int32_t>(std::clamp<int64_t>(Rescale(sum, kSumBits - kActivationBits), 0, kLargestActivation));
}

void ContextRun::BeginToken(int32_t id) {
  const ContextNetwork& net = network_;
  const auto m = static_cast<size_t>(net.config.hidden);
  const bool ids = net.config.ids != ContextIds::kNone;
  if (ids) {
    ids_[2] = ids_[1];
    ids_[1] = ids_[0];
    ids_[0] = id;
  }
  const auto row = [&](int which) { return static_cast<size_t>(ids_[which]) * m; };
  const size_t bucket = net.config.pair_bits > 0 ? PairBucket(net.config, ids_[0], ids_[1]) * m : 0;
  constexpr int kAlign = kSumBits - kTableBits;
  for (size_t i = 0; i < m; ++i) {
    int32_t sum = 0;
    const int8_t* weights = net.past.values.data() + i * 2 * m;
    for (size_t k = 0; k < 2 * m; ++k) sum += int32_t{weights[k]} * past_[k];
    int32_t base = net.base_bias[i] + net.point_bias[static_cast<size_t>(point_) * m + i];
    base += static_cast<int32_t>(Rescale(sum, net.past.shifts[i] + kActivationBits - kSumBits));
    int32_t feature = net.feature_bias[i];
    if (ids) {
      int32_t table = net.now[row(0) + i] + net.previous[row(1) + i] + net.before[row(2) + i];
      if (net.config.pair_bits > 0) table += net.pair[bucket + i];
      base += table * (1 << kAlign);
      feature += (net.feature_now[row(0) + i] + net.feature_previous[row(1) + i]) * (1 << kAlign);
    }
    base_[i] = base;
    feature_base_[i] = feature;
  }
  std::fill(sums_.begin(), sums_.end(), 0);
}

void ContextRun::Parameters(int64_t group, std::span<int32_t> mean_q4, std::span<uint8_t> scale) {
  const ContextNetwork& net = network_;
  const auto m = static_cast<size_t>(net.config.hidden), d = static_cast<size_t>(net.config.width);
  for (size_t i = 0; i < m; ++i) hidden_[i] = static_cast<int16_t>(Activate(i, base_[i]));
  const auto product = [&](size_t row) {
    const int8_t* weights = net.output.values.data() + row * m;
    int32_t sum = 0;
    for (size_t k = 0; k < m; ++k) sum += int32_t{weights[k]} * hidden_[k];
    const int64_t output = Rescale(sum, net.output.shifts[row] + kActivationBits - kOutputBits) + net.output_bias[row];
    int32_t table = 0;
    if (net.config.direct > 0) table += net.direct_now[static_cast<size_t>(ids_[0]) * 2 * d + row];
    if (net.config.direct > 1) table += net.direct_previous[static_cast<size_t>(ids_[1]) * 2 * d + row];
    return output + table * (1 << (kOutputBits - kTableBits));
  };
  const auto end = static_cast<size_t>(net.config.GroupBegin(group + 1));
  for (auto j = static_cast<size_t>(net.config.GroupBegin(group)); j < end; ++j) {
    const int32_t exponent = net.channel_exponent[j];
    // 10 bits of the output and 8 of the point's scale become 4 of the mean.
    mean_q4[j] = static_cast<int32_t>(
        Rescale(int64_t{Clip(product(j), 1 << 20)} * kInversePoint[point_], kOutputBits + 8 - 4 - exponent));
    const int64_t index = int64_t{Clip(product(d + j), 1 << 14)} * kIndexPerOutputUnit + kIndexOfOne +
                          int64_t{2 * exponent - point_} * kIndexPerHalfOctave;
    scale[j] = static_cast<uint8_t>(std::clamp<int64_t>(Rescale(index, kIndexBits), 0, kScaleCodes - 1));
  }
}

void ContextRun::Absorb(int64_t group, std::span<const int32_t> latent) {
  const ContextNetwork& net = network_;
  if (!net.config.latents) return;
  const auto d = static_cast<size_t>(net.config.width);
  const auto end = static_cast<size_t>(net.config.GroupBegin(group + 1));
  for (auto j = static_cast<size_t>(net.config.GroupBegin(group)); j < end; ++j) {
    const int64_t scaled = Clip(latent[j], kLargestLatent) * PointScale(point_);
    const int32_t n = Clip(Rescale(scaled, 8 - kActivationBits + net.channel_exponent[j]), kLargestActivation);
    if (n == 0) continue;
    for (size_t i = 0; i < sums_.size(); ++i) sums_[i] += int32_t{net.input.values[i * d + j]} * n;
  }
}

void ContextRun::EndToken() {
  const size_t m = sums_.size();
  for (size_t i = 0; i < m; ++i) {
    const int32_t feature = Activate(i, feature_base_[i]);
    leaky_[i] +=
        (feature * (1 << kLeakBits) - leaky_[i]) >> LeakShift(static_cast<int64_t>(i), static_cast<int64_t>(m));
    past_[i] = static_cast<int16_t>(feature);
    past_[m + i] = static_cast<int16_t>(leaky_[i] >> kLeakBits);
  }
}

}  // namespace sluice
