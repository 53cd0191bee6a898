#include "neural/frozen_transform.h"

namespace sluice {

FrozenTransformImpl::FrozenTransformImpl(const CodecConfig& config)
    : identity_(config.mode == CodecMode::kJoint), kind_(config.transform) {
  if (identity_) return;
  const int64_t d = config.width;
  offset_ = register_buffer("offset", torch::zeros({d}));
  if (kind_ == TransformKind::kFixed) axes_ = register_buffer("axes", torch::eye(d));
  if (kind_ == TransformKind::kLearned) axes_ = register_parameter("axes", torch::eye(d));
  const auto zeros = torch::zeros({d});
  log_gain_ = config.gain ? register_parameter("log_gain", zeros) : register_buffer("log_gain", zeros);
}

void FrozenTransformImpl::Set(const torch::Tensor& offset, const torch::Tensor& axes, const torch::Tensor& gains) {
  TORCH_CHECK(!identity_, "joint mode has no transform to set");
  torch::NoGradGuard no_grad;
  offset_.copy_(offset);
  if (axes_.defined()) axes_.copy_(axes);
  log_gain_.copy_(torch::log(gains));
}

torch::Tensor FrozenTransformImpl::Forward(const torch::Tensor& x) {
  if (identity_) return x;
  auto u = x + offset_;
  if (axes_.defined()) u = torch::matmul(u, axes_.t());
  return u * torch::exp(log_gain_);
}

torch::Tensor FrozenTransformImpl::Inverse(const torch::Tensor& u) {
  if (identity_) return u;
  auto x = u * torch::exp(-log_gain_);
  // Orthonormal axes are their own inverse transposed; learned ones drift away from that.
  if (kind_ == TransformKind::kFixed) x = torch::matmul(x, axes_);
  if (kind_ == TransformKind::kLearned) x = torch::matmul(x, torch::inverse(axes_).t());
  return x - offset_;
}

}  // namespace sluice
