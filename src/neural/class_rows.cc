#include "neural/class_rows.h"

#include <numbers>

#include "neural/layers.h"
#include "neural/state_classes.h"

namespace sluice {

ClassRowsImpl::ClassRowsImpl(int64_t classes, int64_t width) {
  logits_ = register_parameter("logits", torch::zeros({classes}));
  now_ = register_parameter("now", torch::zeros({classes, 2 * width}));
  previous_ = register_parameter("previous", torch::zeros({classes + 1, 2 * width}));
}

torch::Tensor ClassRowsImpl::Classify(const torch::Tensor& u, const torch::Tensor& scale) const {
  torch::NoGradGuard no_grad;
  const auto means = now_.slice(1, 0, u.size(2));
  const auto points = u.detach().reshape({-1, u.size(2)});
  return NearestClass(points, scale.defined() ? means * scale : means).reshape({u.size(0), u.size(1)});
}

torch::Tensor ClassRowsImpl::Rows(const torch::Tensor& classes) const {
  return torch::embedding(now_, classes) + torch::embedding(previous_, Later(classes, 1, this->classes()));
}

torch::Tensor ClassRowsImpl::Bits(const torch::Tensor& classes) const {
  const auto bits = torch::log_softmax(logits_, 0) * -std::numbers::log2e;
  return bits.index_select(0, classes.reshape({-1})).reshape({classes.size(0), classes.size(1), 1});
}

torch::Tensor ClassRowsImpl::Probabilities() const {
  torch::NoGradGuard no_grad;
  return torch::softmax(logits_.to(torch::kDouble), 0);
}

void ClassRowsImpl::Start(const torch::Tensor& means, const torch::Tensor& scale_row, const torch::Tensor& counts) {
  torch::NoGradGuard no_grad;
  const int64_t width = means.size(1);
  now_.slice(1, 0, width).copy_(means);
  now_.slice(1, width).copy_(scale_row.expand_as(means));
  logits_.copy_(torch::log(counts + 1));
}

}  // namespace sluice
