#include "neural/bounds.h"

namespace sluice {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;
using torch::autograd::Variable;

class LowerBoundFunction : public torch::autograd::Function<LowerBoundFunction> {
 public:
  static Variable forward(AutogradContext* context, const Variable& v, double bound) {
    context->save_for_backward({v});
    context->saved_data["bound"] = bound;
    return torch::clamp_min(v, bound);
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const Variable v = context->get_saved_variables()[0];
    const double bound = context->saved_data["bound"].toDouble();
    const Variable& gradient = gradients[0];
    // Descent subtracts the gradient: a negative one raises v.
    const auto passes = torch::logical_or(v >= bound, gradient < 0);
    return {gradient * passes, Variable()};
  }
};

class LimitGradientFunction : public torch::autograd::Function<LimitGradientFunction> {
 public:
  static Variable forward(AutogradContext* context, const Variable& v, double bound) {
    context->saved_data["bound"] = bound;
    return v.view_as(v);
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const double bound = context->saved_data["bound"].toDouble();
    return {torch::nan_to_num(gradients[0], 0.0, bound, -bound).clamp(-bound, bound), Variable()};
  }
};

}  // namespace

torch::Tensor LimitGradient(const torch::Tensor& v, double bound) { return LimitGradientFunction::apply(v, bound); }

torch::Tensor LowerBound(const torch::Tensor& v, double bound) { return LowerBoundFunction::apply(v, bound); }

torch::Tensor RoundStraightThrough(const torch::Tensor& v) { return v + (torch::round(v) - v).detach(); }

}  // namespace sluice
