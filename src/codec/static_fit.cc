// One step for all latents of an orthonormal transform spends the fewest bits for a squared error, at any rate that
// counts, so the step is the only free number. The search for a rate halves the interval of its logarithm on a part of
// the sample, which is enough because the bits fall steadily with the step.
#include "codec/static_fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "codec/hidden_codec.h"
#include "codec/principal_axes.h"
#include "codec/static_codec.h"
#include "codec/static_transform.h"
#include "format/stream.h"
#include "prob/static_table.h"

namespace sluice {
namespace {

constexpr size_t kSearchTokens = 4'096;
constexpr int kSearchSteps = 24;
constexpr double kRateTolerance = 0.005;
constexpr double kFinestStep = 0x1p-20;  // of the root of the mean variance

Status Stopped() { return Interrupted("the fit was stopped"); }

struct Fitted {
  std::vector<StaticTable> tables;
  double bits_per_token = 0;
};

Result<Fitted> FitTables(const StaticTransform& transform, MatrixView<const float> hidden, int precision) {
  SLUICE_ASSIGN_OR_RETURN(const std::vector<int32_t> latents, transform.Quantize(hidden));
  const size_t d = transform.width();
  Fitted fitted;
  double bits = 0;
  std::vector<int32_t> channel(hidden.rows());
  for (size_t i = 0; i < d; ++i) {
    for (size_t t = 0; t < channel.size(); ++t) channel[t] = latents[t * d + i];
    SLUICE_ASSIGN_OR_RETURN(StaticTable table, StaticTable::Fit(channel, precision));
    for (const int32_t value : channel) bits += table.CostBits(value);
    fitted.tables.push_back(std::move(table));
  }
  fitted.bits_per_token = bits / static_cast<double>(hidden.rows());
  return fitted;
}

// The part of the transform that does not depend on the step.
struct Basis {
  std::vector<float> offset;
  std::vector<float> axes;  // empty when diagonal
  double spread = 0;        // root of the mean variance

  StaticTransform With(double step) const {
    return StaticTransform::Of(offset, std::vector<float>(offset.size(), static_cast<float>(step)), axes);
  }
};

std::vector<double> MeanOf(MatrixView<const float> hidden) {
  std::vector<double> mean(hidden.cols());
  for (size_t t = 0; t < hidden.rows(); ++t) {
    for (size_t j = 0; j < mean.size(); ++j) mean[j] += hidden.row(t)[j];
  }
  for (double& value : mean) value /= static_cast<double>(hidden.rows());
  return mean;
}

Result<std::vector<float>> AxesOf(MatrixView<const float> hidden, const std::vector<double>& mean,
                                  const StaticFitOptions& options) {
  const size_t d = hidden.cols();
  Matrix<double> covariance(d, d);
  std::vector<double> centered(d);
  for (size_t t = 0; t < hidden.rows(); ++t) {
    if (t % 256 == 0 && !options.progress("covariance", static_cast<double>(t) / static_cast<double>(hidden.rows()))) {
      return Stopped();
    }
    for (size_t j = 0; j < d; ++j) centered[j] = hidden.row(t)[j] - mean[j];
    for (size_t i = 0; i < d; ++i) {
      double* row = covariance.row(i).data();
      for (size_t j = 0; j <= i; ++j) row[j] += centered[i] * centered[j];
    }
  }
  for (size_t i = 0; i < d; ++i) {
    for (size_t j = 0; j <= i; ++j) {
      covariance.row(i)[j] /= static_cast<double>(hidden.rows());
      covariance.row(j)[i] = covariance.row(i)[j];
    }
  }
  bool stopped = false;
  const PrincipalAxes axes = FindPrincipalAxes(covariance, [&](int sweep) {
    constexpr double kUsualSweeps = 9;
    stopped = !options.progress("principal axes", std::min(1.0, sweep / kUsualSweeps));
    return !stopped;
  });
  if (stopped) return Stopped();
  return std::vector<float>(axes.axes.data(), axes.axes.data() + d * d);
}

Result<Basis> FindBasis(MatrixView<const float> hidden, const StaticFitOptions& options) {
  const std::vector<double> mean = MeanOf(hidden);
  Basis basis;
  for (const double value : mean) basis.offset.push_back(static_cast<float>(-value));
  double variance = 0;
  for (size_t t = 0; t < hidden.rows(); ++t) {
    for (size_t j = 0; j < mean.size(); ++j) variance += std::pow(hidden.row(t)[j] - mean[j], 2);
  }
  basis.spread = std::sqrt(variance / static_cast<double>(hidden.size()));
  if (!std::isfinite(basis.spread)) return InvalidArgument("the variance of the sample is not finite");
  if (options.basis == StaticBasis::kPrincipal) {
    SLUICE_ASSIGN_OR_RETURN(basis.axes, AxesOf(hidden, mean, options));
  }
  return basis;
}

// Tokens spread evenly over the sample.
Matrix<float> PartOf(MatrixView<const float> hidden) {
  const size_t count = std::min(hidden.rows(), kSearchTokens);
  Matrix<float> part(count, hidden.cols());
  for (size_t t = 0; t < count; ++t) {
    const auto row = hidden.row(t * hidden.rows() / count);
    std::copy(row.begin(), row.end(), part.row(t).data());
  }
  return part;
}

Result<double> SearchStep(const Basis& basis, MatrixView<const float> hidden, const StaticFitOptions& options) {
  const Matrix<float> part = PartOf(hidden);
  const double spread = basis.spread > 0 ? basis.spread : 1;
  double fine = std::log2(spread * kFinestStep), coarse = std::log2(spread * 1e4);
  for (int i = 0; i < kSearchSteps; ++i) {
    if (!options.progress("step", static_cast<double>(i) / kSearchSteps)) return Stopped();
    const double step = std::exp2((fine + coarse) / 2);
    SLUICE_ASSIGN_OR_RETURN(const Fitted fitted, FitTables(basis.With(step), part.View(), options.precision_bits));
    if (std::fabs(fitted.bits_per_token / options.bits_per_token - 1) < kRateTolerance) return step;
    (fitted.bits_per_token > options.bits_per_token ? fine : coarse) = std::log2(step);
  }
  if (std::exp2(fine) <= spread * kFinestStep) {
    return InvalidArgument(
        fmt::format("{} bits per token need steps finer than 2^-20 of the spread", options.bits_per_token));
  }
  return std::exp2((fine + coarse) / 2);
}

double ErrorOf(const StaticTransform& transform, MatrixView<const float> hidden, std::span<const int32_t> latents) {
  const Matrix<float> decoded = transform.Invert(latents);
  double sum = 0;
  for (size_t i = 0; i < hidden.size(); ++i) sum += std::pow(double{hidden.data()[i]} - decoded.data()[i], 2);
  return sum / static_cast<double>(hidden.size());
}

std::span<const uint8_t> FloatBytes(const std::vector<float>& values) {
  return {reinterpret_cast<const uint8_t*>(values.data()), 4 * values.size()};
}

PackWriter MakePack(const Basis& basis, const Fitted& fitted, double step, uint64_t tokens,
                    const StaticFitOptions& options) {
  const uint64_t d = basis.offset.size();
  PackWriter pack({.codec = kStaticCodecName,
                   .flags = 0,
                   .model_hash = options.model_hash,
                   .width = static_cast<uint32_t>(d),
                   .cut = options.cut,
                   .hyper_channels = 0,
                   .precision_bits = static_cast<uint8_t>(options.precision_bits)});
  const std::vector<float> steps(d, static_cast<float>(step));
  pack.AddTensor({"offset", DType::kF32, {d}, FloatBytes(basis.offset)});
  pack.AddTensor({"step", DType::kF32, {d}, FloatBytes(steps)});
  if (!basis.axes.empty()) pack.AddTensor({"transform", DType::kF32, {d, d}, FloatBytes(basis.axes)});
  std::vector<PackTable> tables;
  for (const StaticTable& table : fitted.tables) tables.push_back({table.first(), false, table.Frequencies()});
  pack.AddTables("latent", std::move(tables));
  pack.SetOperatingPoints({{"fitted", 0, fitted.bits_per_token}});
  pack.SetMetadata(nlohmann::ordered_json{
      {"basis", basis.axes.empty() ? "diagonal" : "principal"}, {"step", step}, {"tokens", tokens}}
                       .dump());
  return pack;
}

}  // namespace

Result<StaticFit> FitStaticPack(MatrixView<const float> hidden, const StaticFitOptions& options) {
  if (hidden.rows() == 0 || hidden.cols() == 0 || hidden.cols() > kMaxStreamWidth) {
    return InvalidArgument(fmt::format("a sample of {} tokens of width {}", hidden.rows(), hidden.cols()));
  }
  const bool step_given = options.step > 0 && std::isfinite(options.step);
  const bool rate_given = options.bits_per_token > 0 && std::isfinite(options.bits_per_token);
  if (step_given == rate_given || options.step < 0 || options.bits_per_token < 0) {
    return InvalidArgument("give either a step or bits per token, more than 0");
  }
  SLUICE_RETURN_IF_ERROR(CheckTablePrecision(options.precision_bits));
  SLUICE_RETURN_IF_ERROR(CheckFinite(hidden));
  SLUICE_ASSIGN_OR_RETURN(const Basis basis, FindBasis(hidden, options));
  double step = options.step;
  if (rate_given) {
    SLUICE_ASSIGN_OR_RETURN(step, SearchStep(basis, hidden, options));
  }
  const StaticTransform transform = basis.With(step);
  if (!options.progress("tables", 0)) return Stopped();
  SLUICE_ASSIGN_OR_RETURN(const Fitted fitted, FitTables(transform, hidden, options.precision_bits));
  SLUICE_ASSIGN_OR_RETURN(const std::vector<int32_t> latents, transform.Quantize(hidden));
  return StaticFit{MakePack(basis, fitted, step, hidden.rows(), options), step, fitted.bits_per_token,
                   ErrorOf(transform, hidden, latents)};
}

}  // namespace sluice
