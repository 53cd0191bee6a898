// The float side of codec "static". The encoder may compute as it likes, since it sends integers; the decoder's sum has
// a stated order, so that two decoders give the same floats: for each latent in turn its row, scaled, is added to all
// channels at once, which is also what vectorizes.
#include "codec/static_transform.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace sluice {

StaticTransform StaticTransform::Of(std::vector<float> offset, std::vector<float> step, std::vector<float> transform) {
  StaticTransform made;
  made.offset_ = std::move(offset);
  made.step_ = std::move(step);
  made.forward_ = std::move(transform);
  return made;
}

Result<StaticTransform> StaticTransform::FromPack(const Pack& pack) {
  const uint64_t width = pack.info().width;
  const std::array<uint64_t, 1> vector = {width};
  const std::array<uint64_t, 2> matrix = {width, width};
  StaticTransform made;
  SLUICE_ASSIGN_OR_RETURN(made.offset_, pack.Floats("offset", vector));
  SLUICE_ASSIGN_OR_RETURN(made.step_, pack.Floats("step", vector));
  for (size_t i = 0; i < made.step_.size(); ++i) {
    if (!(made.step_[i] > 0))
      return Corrupt(fmt::format("pack: step {} is {}, expected more than 0", i, made.step_[i]));
  }
  if (pack.HasTensor("transform")) {
    SLUICE_ASSIGN_OR_RETURN(made.forward_, pack.Floats("transform", matrix));
  }
  if (pack.HasTensor("inverse")) {
    if (made.forward_.empty()) return Corrupt("pack: tensor \"inverse\" without \"transform\"");
    SLUICE_ASSIGN_OR_RETURN(made.backward_, pack.Floats("inverse", matrix));
  }
  return made;
}

void StaticTransform::Analyze(std::span<const float> hidden, std::span<double> centered,
                              std::span<double> latent) const {
  const size_t width = hidden.size();
  for (size_t j = 0; j < width; ++j) centered[j] = double{hidden[j]} + offset_[j];
  if (forward_.empty()) {
    std::copy(centered.begin(), centered.end(), latent.begin());
    return;
  }
  constexpr size_t kLanes = 8;
  for (size_t i = 0; i < width; ++i) {
    const float* row = forward_.data() + i * width;
    std::array<double, kLanes> sums{};
    size_t j = 0;
    for (; j + kLanes <= width; j += kLanes) {
      for (size_t k = 0; k < kLanes; ++k) sums[k] += row[j + k] * centered[j + k];
    }
    for (; j < width; ++j) sums[0] += row[j] * centered[j];
    double sum = 0;
    for (const double part : sums) sum += part;
    latent[i] = sum;
  }
}

Result<std::vector<int32_t>> StaticTransform::Quantize(MatrixView<const float> hidden) const {
  const size_t d = width();
  if (hidden.cols() != d)
    return InvalidArgument(fmt::format("hidden states of width {}, expected {}", hidden.cols(), d));
  std::vector<int32_t> quantized(hidden.size());
  std::vector<double> centered(d), latent(d);
  for (size_t t = 0; t < hidden.rows(); ++t) {
    const auto row = hidden.row(t);
    for (size_t j = 0; j < d; ++j) {
      if (!std::isfinite(row[j])) {
        return InvalidArgument(fmt::format("token {}, channel {}: {} is not finite", t, j, row[j]));
      }
    }
    Analyze(row, centered, latent);
    for (size_t i = 0; i < d; ++i) {
      const double value = std::nearbyint(latent[i] / step_[i]);
      if (!(std::fabs(value) <= kMaxStaticValue)) {
        return InvalidArgument(
            fmt::format("token {}, latent {}: {} steps from zero, at most 2^30 are coded", t, i, value));
      }
      quantized[t * d + i] = static_cast<int32_t>(value);
    }
  }
  return quantized;
}

Matrix<float> StaticTransform::Invert(std::span<const int32_t> latents) const {
  const size_t d = width();
  const std::vector<float>& rows = backward_.empty() ? forward_ : backward_;
  Matrix<float> hidden(latents.size() / d, d);
  std::vector<double> sum(d);
  for (size_t t = 0; t < hidden.rows(); ++t) {
    std::fill(sum.begin(), sum.end(), 0.0);
    for (size_t i = 0; i < d; ++i) {
      const double value = double{step_[i]} * latents[t * d + i];
      if (rows.empty()) {
        sum[i] = value;
      } else if (value != 0) {
        const float* row = rows.data() + i * d;
        for (size_t j = 0; j < d; ++j) sum[j] += row[j] * value;
      }
    }
    for (size_t j = 0; j < d; ++j) hidden.row(t)[j] = static_cast<float>(sum[j] - offset_[j]);
  }
  return hidden;
}

}  // namespace sluice
