#ifndef SLUICE_NEURAL_GRADIENT_CHECK_TEST_H_
#define SLUICE_NEURAL_GRADIENT_CHECK_TEST_H_

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

namespace sluice {

/// Central differences of a scalar function of `input`, element by element, in place. Data: double, contiguous.
inline torch::Tensor CentralDifferences(const std::function<double()>& f, torch::Tensor input, double step = 1e-5) {
  torch::NoGradGuard no_grad;
  auto gradient = torch::zeros_like(input);
  double* values = input.data_ptr<double>();
  for (int64_t i = 0; i < input.numel(); ++i) {
    const double kept = values[i];
    values[i] = kept + step;
    const double above = f();
    values[i] = kept - step;
    const double below = f();
    values[i] = kept;
    gradient.data_ptr<double>()[i] = (above - below) / (2 * step);
  }
  return gradient;
}

/// Expects two gradients to agree relative to the larger of 1e-3 and their own size.
inline void ExpectGradientsNear(const torch::Tensor& got, const torch::Tensor& expected, double tolerance,
                                const std::string& what) {
  ASSERT_TRUE(got.defined()) << what;
  const auto g = got.contiguous(), e = expected.contiguous();
  for (int64_t i = 0; i < e.numel(); ++i) {
    const double a = g.data_ptr<double>()[i], b = e.data_ptr<double>()[i];
    ASSERT_NEAR(a, b, tolerance * std::max({1e-3, std::fabs(a), std::fabs(b)})) << what << " element " << i;
  }
}

/// Compares the gradient of sum(weights * f()) with central differences, for every input.
inline void CheckGradients(const std::function<torch::Tensor()>& f, const std::vector<torch::Tensor>& inputs,
                           double tolerance = 1e-6) {
  torch::Tensor weights;
  {
    torch::NoGradGuard no_grad;
    weights = torch::linspace(0.5, 1.5, f().numel(), torch::kDouble);
  }
  const auto scalar = [&] { return (f().reshape({-1}) * weights).sum(); };
  for (auto input : inputs) {
    input.requires_grad_(true);
    input.mutable_grad().reset();
  }
  scalar().backward();
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto expected = CentralDifferences(
        [&] {
          torch::NoGradGuard no_grad;
          return scalar().item<double>();
        },
        inputs[i]);
    ExpectGradientsNear(inputs[i].grad(), expected, tolerance, "input " + std::to_string(i));
  }
}

}  // namespace sluice

#endif  // SLUICE_NEURAL_GRADIENT_CHECK_TEST_H_
