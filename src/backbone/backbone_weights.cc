// One description of a family serves loading, creating and saving: its constructor registers every weight through a
// WeightScope, which asks a WeightSource for the numbers. Names are the checkpoint's by construction, and only what a
// range of layers registers is ever read from the mapped files.
#include "backbone/backbone_weights.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "backbone/torch_setup.h"

namespace sluice {
namespace {

torch::ScalarType StoredScalarType(const TensorView& view) {
  switch (view.dtype) {
    case DType::kF32:
      return torch::kFloat;
    case DType::kF16:
      return torch::kHalf;
    case DType::kBf16:
      return torch::kBFloat16;
    default:
      throw StatusException(Corrupt(
          fmt::format("tensor \"{}\": expected type F32, F16 or BF16, got {}", view.name, DTypeName(view.dtype))));
  }
}

}  // namespace

torch::Tensor CheckpointWeights::Make(const std::string& name, const std::vector<int64_t>& shape, WeightInit) {
  std::string stored = name;
  if (!files_.Contains(stored) && name.starts_with(prefix_)) stored = name.substr(prefix_.size());
  if (!files_.Contains(stored)) {
    throw StatusException(
        Corrupt(fmt::format("tensor \"{}\" is missing; expected shape [{}]", name, fmt::join(shape, ", "))));
  }
  const TensorView view = ValueOrThrow(files_.Find(stored));
  if (!std::equal(shape.begin(), shape.end(), view.shape.begin(), view.shape.end(),
                  [](int64_t a, uint64_t b) { return static_cast<uint64_t>(a) == b; })) {
    throw StatusException(Corrupt(fmt::format("tensor \"{}\": expected shape [{}], got {}", stored,
                                              fmt::join(shape, ", "), ShapeString(view.shape))));
  }
  // from_blob borrows the mapped bytes for as long as the conversion copies them.
  void* bytes = const_cast<uint8_t*>(view.bytes.data());
  return torch::from_blob(bytes, shape, StoredScalarType(view))
      .to(torch::kFloat, /*non_blocking=*/false, /*copy=*/true);
}

FreshWeights::FreshWeights(const BackboneConfig& config, uint64_t seed)
    : deviation_(config.initializer_range),
      residual_deviation_(config.initializer_range / std::sqrt(2.0 * static_cast<double>(config.layers))),
      generator_(at::detail::createCPUGenerator(seed)) {}

torch::Tensor FreshWeights::Make(const std::string&, const std::vector<int64_t>& shape, WeightInit init) {
  switch (init) {
    case WeightInit::kNormal:
      return torch::empty(shape, torch::kFloat).normal_(0.0, deviation_, generator_);
    case WeightInit::kResidual:
      return torch::empty(shape, torch::kFloat).normal_(0.0, residual_deviation_, generator_);
    case WeightInit::kZeros:
      return torch::zeros(shape, torch::kFloat);
    case WeightInit::kOnes:
      return torch::ones(shape, torch::kFloat);
  }
  return {};
}

WeightScope WeightScope::Child(const std::string& name) {
  return Child(name, std::make_shared<torch::nn::Module>(name));
}

WeightScope WeightScope::Child(const std::string& name, std::shared_ptr<torch::nn::Module> child) {
  torch::nn::Module& registered = *module_.register_module(name, std::move(child));
  return WeightScope(registered, source_, path_.empty() ? name : path_ + "." + name);
}

torch::Tensor WeightScope::Weight(const std::string& name, const std::vector<int64_t>& shape, WeightInit init) {
  return module_.register_parameter(name, source_.Make(path_ + "." + name, shape, init), source_.trainable());
}

torch::Tensor Projection::operator()(const torch::Tensor& x) const {
  const torch::Tensor matrix = out_first ? weight.t() : weight;  // [in, out]
  const int64_t in = matrix.size(0), out = matrix.size(1);
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = out;
  if (x.numel() == in) {
    const torch::Tensor row = x.reshape({in});
    const torch::Tensor y = bias.defined() ? at::addmv(bias, matrix.t(), row) : at::mv(matrix.t(), row);
    return y.view(shape);
  }
  const torch::Tensor rows = x.reshape({-1, in});
  return (bias.defined() ? at::addmm(bias, rows, matrix) : at::mm(rows, matrix)).view(shape);
}

Projection ConvProjection(WeightScope scope, int64_t in, int64_t out, WeightInit init) {
  torch::Tensor weight = scope.Weight("weight", {in, out}, init);
  return {std::move(weight), scope.Weight("bias", {out}, WeightInit::kZeros), false};
}

Projection LinearProjection(WeightScope scope, int64_t in, int64_t out, bool bias, WeightInit init) {
  torch::Tensor weight = scope.Weight("weight", {out, in}, init);
  return {std::move(weight), bias ? scope.Weight("bias", {out}, WeightInit::kZeros) : torch::Tensor(), true};
}

torch::Tensor Activate(const torch::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kGeluErf:
      return at::gelu(x);
    case Activation::kGeluTanh:
      return at::gelu(x, "tanh");
    case Activation::kRelu:
      return at::relu(x);
    case Activation::kSilu:
      return at::silu(x);
  }
  return x;
}

}  // namespace sluice
