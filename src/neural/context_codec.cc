// Training sees what the integers will do: weights are rounded to their int8 grids with straight-through gradients,
// activations are clamped where int16 saturates. What it leaves out, rounding of activations to 1/64, costs less than
// can be measured. Leaky sums of a whole window are one product with a triangular matrix for each speed.
#include "neural/context_codec.h"

#include <cmath>

#include "neural/bounds.h"
#include "neural/gaussian.h"
#include "neural/layers.h"
#include "neural/state_classes.h"

namespace sluice {
namespace {

using torch::Tensor;

constexpr double kLargestActivation = 2047.0 / 64;
constexpr double kTableUnit = 1.0 / 32, kLargestTable = 127.0 / 32;
constexpr int kSpeeds = 5;

Tensor Relu(const Tensor& v) { return torch::clamp(v, 0, kLargestActivation); }

// Exponent s of each row such that weight * 2^s fits int8.
Tensor RowShifts(const Tensor& weights) {
  torch::NoGradGuard no_grad;
  const auto largest = weights.abs().amax(1).clamp_min(1e-6);
  return torch::floor(torch::log2(127.0 / largest)).clamp(6, 14);
}

Tensor RoundWeights(const Tensor& weights) {
  const auto scale = torch::exp2(RowShifts(weights)).unsqueeze(1);
  return RoundStraightThrough(torch::clamp(weights * scale, -127, 127)) / scale;
}

Tensor RoundTable(const Tensor& rows) {
  return RoundStraightThrough(torch::clamp(rows, -kLargestTable, kLargestTable) / kTableUnit) * kTableUnit;
}

Tensor Normal(int64_t rows, int64_t columns, double deviation) { return torch::randn({rows, columns}) * deviation; }

template <typename Int>
std::vector<Int> Integers(const Tensor& v, double unit) {
  const auto whole = torch::round(v.detach().to(torch::kDouble) / unit).contiguous();
  const double* data = whole.data_ptr<double>();
  std::vector<Int> integers(static_cast<size_t>(whole.numel()));
  for (size_t i = 0; i < integers.size(); ++i) integers[i] = static_cast<Int>(data[i]);
  return integers;
}

ShiftedMatrix ShiftedFrom(const Tensor& weights) {
  const auto shifts = RowShifts(weights);
  const auto whole = torch::clamp(weights * torch::exp2(shifts).unsqueeze(1), -127, 127);
  return {weights.size(0), weights.size(1), Integers<int8_t>(whole, 1), Integers<int32_t>(shifts, 1)};
}

}  // namespace

double PointStep(int point) { return std::exp2(0.5 * point); }

Tensor ContextTransform::Forward(const Tensor& x) const {
  auto shape = x.sizes().vec();
  const int64_t blocks = axes.size(0), width = axes.size(2);
  shape.back() = blocks;
  shape.push_back(width);
  const auto parts = (x - offset).reshape({-1, blocks, width}).transpose(0, 1);
  const auto turned = torch::bmm(parts, axes.transpose(1, 2)).transpose(0, 1).reshape(x.sizes());
  return turned.index_select(-1, order) * torch::exp(log_gain);
}

Tensor ContextTransform::Inverse(const Tensor& u) const {
  const int64_t blocks = axes.size(0), width = axes.size(2);
  const auto in_axes = (u * torch::exp(-log_gain)).index_select(-1, torch::argsort(order));
  const auto parts = in_axes.reshape({-1, blocks, width}).transpose(0, 1);
  const auto back = torch::bmm(parts, torch::inverse(axes).transpose(1, 2)).transpose(0, 1).reshape(u.sizes());
  return back + offset;
}

Tensor ContextTransform::Classify(const Tensor& x) const {
  torch::NoGradGuard no_grad;
  auto shape = x.sizes().vec();
  shape.pop_back();
  const auto seen = torch::matmul((x - offset).reshape({-1, x.size(-1)}), class_axes.t());
  return NearestClass(seen, class_means).reshape(shape);
}

std::vector<std::pair<std::string, Tensor*>> ContextTransform::Tensors() {
  std::vector<std::pair<std::string, Tensor*>> tensors = {
      {"transform.offset", &offset},          {"transform.axes", &axes},         {"transform.order", &order},
      {"transform.log_gain", &log_gain},      {"transform.centroid", &centroid}, {"transform.class_axes", &class_axes},
      {"transform.class_means", &class_means}};
  if (class_sizes.numel() > 0) tensors.emplace_back("transform.class_sizes", &class_sizes);
  return tensors;
}

ContextCodecImpl::ContextCodecImpl(const ContextConfig& config) : config_(config) {
  const int64_t d = config.width, m = config.hidden, block = config.block > 0 ? config.block : d;
  offset_ = register_buffer("offset", torch::zeros({d}));
  order_ = register_buffer("order", torch::arange(d));
  exponent_ = register_buffer("exponent", torch::zeros({d}));
  const auto eye = torch::eye(block).repeat({d / block, 1, 1});
  axes_ = config.learn_axes ? register_parameter("axes", eye) : register_buffer("axes", eye);
  log_gain_ = register_parameter("log_gain", torch::zeros({d}));
  centroid_ = register_parameter("centroid", torch::full({d}, 0.7));
  const int64_t classes = config.ids == ContextIds::kClasses ? config.id_count : 0;
  class_axes_ = register_buffer("class_axes", torch::zeros({config.class_width, d}));
  class_means_ = register_buffer("class_means", torch::zeros({classes, config.class_width}));
  class_sizes_ = register_buffer("class_sizes", torch::zeros({config.class_groups}, torch::kInt64));

  if (config.latents) input_ = register_parameter("input", Normal(m, d, 0.7 / std::sqrt(d)));
  past_ = register_parameter("past", Normal(m, 2 * m, 0.5 / std::sqrt(2 * m)));
  output_ = register_parameter("output", Normal(d, m, 0.1 / std::sqrt(m)));
  if (const int64_t units = config.ScaleUnits(); units > 0) {
    scale_output_ = register_parameter("scale_output", Normal(d, units, 0.1 / std::sqrt(units)));
  }
  base_bias_ = register_parameter("base_bias", torch::randn({m}) * 0.1);
  feature_bias_ = register_parameter("feature_bias", torch::randn({m}) * 0.1);
  point_bias_ = register_parameter("point_bias", torch::zeros({config.points, m}));
  output_bias_ = register_parameter("output_bias", torch::zeros({2 * d}));
  if (config.ids == ContextIds::kNone) return;
  const int64_t rows = config.id_count + 1;  // the last one: before the chunk
  now_ = register_parameter("table_now", Normal(rows, m, 0.5));
  previous_ = register_parameter("table_previous", Normal(rows, m, 0.25));
  before_ = register_parameter("table_before", Normal(rows, m, 0.25));
  feature_now_ = register_parameter("table_feature_now", Normal(rows, m, 0.5));
  feature_previous_ = register_parameter("table_feature_previous", Normal(rows, m, 0.25));
  if (config.direct > 0) direct_now_ = register_parameter("table_direct_now", torch::zeros({rows, 2 * d}));
  if (config.direct > 1) direct_previous_ = register_parameter("table_direct_previous", torch::zeros({rows, 2 * d}));
  if (config.pair_bits > 0) pair_ = register_parameter("table_pair", torch::zeros({int64_t{1} << config.pair_bits, m}));
}

void ContextCodecImpl::Initialize(const ContextTransform& transform, const Tensor& deviation) {
  torch::NoGradGuard no_grad;
  offset_.copy_(transform.offset);
  axes_.copy_(transform.axes);
  order_.copy_(transform.order);
  log_gain_.copy_(transform.log_gain);
  exponent_.copy_(torch::round(torch::log2(deviation)).clamp(-10, 14));
  if (transform.class_means.defined()) {
    class_axes_.copy_(transform.class_axes);
    class_means_.copy_(transform.class_means);
    if (config_.class_groups > 0) class_sizes_.copy_(transform.class_sizes);
  }
}

void ContextCodecImpl::InitializeDirect(const Tensor& x, const Tensor& ids) {
  torch::NoGradGuard no_grad;
  const auto u = Transform().Forward(x) / torch::exp2(exponent_);
  auto means = direct_now_.slice(1, 0, config_.width);
  const auto sums = torch::zeros_like(means).index_add_(0, ids, u);
  const auto counts = torch::zeros({means.size(0)}).index_add_(0, ids, torch::ones({ids.size(0)})).unsqueeze(1);
  means.copy_(sums / (counts + 1));
}

ContextTransform ContextCodecImpl::Transform() const {
  return {offset_, axes_, order_, log_gain_, centroid_, class_axes_, class_means_, class_sizes_};
}

Tensor ContextCodecImpl::Look(const Tensor& table, const Tensor& rows) const {
  return RoundTable(torch::embedding(table, rows));
}

Tensor ContextCodecImpl::Leak(const Tensor& features) const {
  const int64_t tokens = features.size(1), m = config_.hidden;
  const auto at = torch::arange(tokens, features.options());
  const auto age = at.unsqueeze(1) - at.unsqueeze(0);
  std::vector<Tensor> parts;
  for (int64_t from = 0; from < m;) {
    const int k = LeakShift(from, m);
    int64_t to = from;
    while (to < m && LeakShift(to, m) == k) ++to;
    const double kept = 1 - std::exp2(-k);
    const auto weights = (torch::exp(age.clamp_min(0) * std::log(kept)) * (1 - kept)).tril();
    parts.push_back(torch::matmul(weights, features.slice(2, from, to)));
    from = to;
  }
  return torch::cat(parts, 2);
}

ContextCodecImpl::Base ContextCodecImpl::FromIds(const Tensor& ids, int point) const {
  Base base{base_bias_ + point_bias_[point], feature_bias_};
  if (config_.ids == ContextIds::kNone) return base;
  const auto previous = Later(ids, 1, config_.id_count), before = Later(ids, 2, config_.id_count);
  base.hidden = base.hidden + Look(now_, ids) + Look(previous_, previous) + Look(before_, before);
  base.feature = base.feature + Look(feature_now_, ids) + Look(feature_previous_, previous);
  if (config_.pair_bits > 0) {
    // PairBucket in 64 bits.
    const auto key = torch::bitwise_and(ids * (config_.id_count + 1) + previous, int64_t{0xffffffff});
    const auto mixed = torch::bitwise_and(key * int64_t{2654435761}, int64_t{0xffffffff});
    base.hidden = base.hidden + Look(pair_, torch::bitwise_right_shift(mixed, 32 - config_.pair_bits));
  }
  return base;
}

// Without latents the features are those of the ids, and without ids all tokens have the same.
Tensor ContextCodecImpl::Features(const Tensor& n, const Tensor& input, const Tensor& base) const {
  const auto seen = config_.latents ? torch::matmul(n.detach(), input.t())
                                    : torch::zeros({n.size(0), n.size(1), config_.hidden}, n.options());
  return Relu(seen + base);
}

ContextCodecImpl::Outputs ContextCodecImpl::Predict(const Tensor& n, const Tensor& ids, int point) const {
  const int64_t d = config_.width, units = config_.ScaleUnits();
  const auto input = config_.latents ? RoundWeights(input_) : Tensor();
  const auto output = RoundWeights(output_), scale_output = units > 0 ? RoundWeights(scale_output_) : Tensor();
  const Base base = FromIds(ids, point);
  const auto features = Features(n, input, base.feature);
  const auto past = Later(torch::cat({features, Leak(features)}, 2), 1, 0);
  auto hidden = base.hidden + torch::matmul(past, RoundWeights(past_).t());

  std::vector<Tensor> means, logs;
  for (int64_t g = 0; g < config_.groups; ++g) {
    const int64_t from = config_.GroupBegin(g), to = config_.GroupBegin(g + 1);
    const auto h = Relu(hidden);
    means.push_back(torch::matmul(h, output.slice(0, from, to).t()));
    if (units > 0) logs.push_back(torch::matmul(h.slice(2, 0, units), scale_output.slice(0, from, to).t()));
    if (config_.latents) hidden = hidden + torch::matmul(n.slice(2, from, to), input.slice(1, from, to).t());
  }
  const auto mean = torch::cat(means, 2), log_sigma = units > 0 ? torch::cat(logs, 2) : torch::zeros_like(mean);
  auto all = torch::cat({mean, log_sigma}, 2) + output_bias_;
  if (config_.direct > 0) all = all + Look(direct_now_, ids);
  if (config_.direct > 1) all = all + Look(direct_previous_, Later(ids, 1, config_.id_count));
  return {all.slice(2, 0, d), all.slice(2, d)};
}

ContextCodecImpl::Output ContextCodecImpl::Run(const Tensor& x, const Tensor& ids, int point) {
  const double step = PointStep(point);
  const ContextTransform transform = Transform();
  const auto u = transform.Forward(x) / step;
  const auto y = RoundStraightThrough(u);
  const auto unit = torch::exp2(exponent_);
  const auto n = torch::clamp(y * (step / unit), -kLargestActivation, kLargestActivation);
  const Outputs outputs = Predict(n, ids, point);
  constexpr double kLeastLogSigma = -2.2072749, kMostLogSigma = 8.3;  // of the scale grid
  const auto mean = outputs.mean * (unit / step);
  const auto log_sigma = outputs.log_sigma + torch::log(unit / step);
  const auto sigma = torch::exp(torch::clamp(log_sigma, kLeastLogSigma, kMostLogSigma));
  const auto distance = y - mean;
  const auto moved = y + centroid_ * CentroidShift(distance, sigma);
  return {transform.Inverse(moved * step), Bits(GaussianLikelihood(distance, sigma)), y, mean, sigma};
}

ContextNetwork ContextCodecImpl::ToIntegers() const {
  torch::NoGradGuard no_grad;
  ContextNetwork network;
  network.config = config_;
  if (config_.latents) network.input = ShiftedFrom(input_);
  network.past = ShiftedFrom(past_);
  network.output = ShiftedFrom(output_);
  const int64_t units = config_.ScaleUnits();
  const auto padded = torch::zeros_like(output_);
  if (units > 0) padded.slice(1, 0, units).copy_(scale_output_);
  const ShiftedMatrix scales = ShiftedFrom(padded);
  network.output.rows += scales.rows;
  network.output.values.insert(network.output.values.end(), scales.values.begin(), scales.values.end());
  network.output.shifts.insert(network.output.shifts.end(), scales.shifts.begin(), scales.shifts.end());
  constexpr double kSumUnit = 1.0 / 4096, kOutputUnit = 1.0 / 1024;
  network.base_bias = Integers<int32_t>(base_bias_, kSumUnit);
  network.feature_bias = Integers<int32_t>(feature_bias_, kSumUnit);
  network.point_bias = Integers<int32_t>(point_bias_, kSumUnit);
  network.output_bias = Integers<int32_t>(output_bias_, kOutputUnit);
  network.channel_exponent = Integers<int32_t>(exponent_, 1);
  if (config_.ids == ContextIds::kNone) return network;
  const auto table = [](const Tensor& v) {
    return Integers<int8_t>(v.clamp(-kLargestTable, kLargestTable), kTableUnit);
  };
  network.now = table(now_);
  network.previous = table(previous_);
  network.before = table(before_);
  network.feature_now = table(feature_now_);
  network.feature_previous = table(feature_previous_);
  if (config_.pair_bits > 0) network.pair = table(pair_);
  if (config_.direct > 0) network.direct_now = table(direct_now_);
  if (config_.direct > 1) network.direct_previous = table(direct_previous_);
  return network;
}

}  // namespace sluice
