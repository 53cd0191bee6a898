#include "train/adamw.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace sluice {

AdamW::AdamW(std::vector<ParameterGroup> groups, Options options) : groups_(std::move(groups)), options_(options) {
  for (const auto& group : groups_) {
    auto& moments = moments_.emplace_back();
    for (const auto& [name, parameter] : group.parameters) {
      moments.push_back({torch::zeros_like(parameter), torch::zeros_like(parameter)});
    }
  }
}

void AdamW::ZeroGrad() {
  for (auto& group : groups_) {
    for (auto& [name, parameter] : group.parameters) parameter.mutable_grad().reset();
  }
}

double AdamW::ClipGradients(double limit) {
  double squares = 0;
  for (const auto& group : groups_) {
    for (const auto& [name, parameter] : group.parameters) {
      if (!parameter.grad().defined()) continue;
      const double norm = parameter.grad().norm().item<double>();
      squares += norm * norm;
    }
  }
  const double norm = std::sqrt(squares);
  if (limit > 0 && norm > limit && std::isfinite(norm)) {
    torch::NoGradGuard no_grad;
    for (auto& group : groups_) {
      for (auto& [name, parameter] : group.parameters) {
        if (parameter.grad().defined()) parameter.mutable_grad().mul_(limit / norm);
      }
    }
  }
  return norm;
}

std::string AdamW::NotFinite() const {
  for (const auto& group : groups_) {
    for (const auto& [name, parameter] : group.parameters) {
      if (parameter.grad().defined() && !std::isfinite(parameter.grad().norm().item<double>())) return name;
    }
  }
  return {};
}

void AdamW::Step(int64_t step, double learning_rate) {
  torch::NoGradGuard no_grad;
  const double correction1 = 1 - std::pow(options_.beta1, static_cast<double>(step));
  const double correction2 = std::sqrt(1 - std::pow(options_.beta2, static_cast<double>(step)));
  for (size_t g = 0; g < groups_.size(); ++g) {
    const double rate = learning_rate * groups_[g].rate_scale;
    for (size_t p = 0; p < groups_[g].parameters.size(); ++p) {
      auto& parameter = groups_[g].parameters[p].second;
      const auto& gradient = parameter.grad();
      if (!gradient.defined()) continue;
      auto& [first, second] = moments_[g][p];
      first.mul_(options_.beta1).add_(gradient, 1 - options_.beta1);
      second.mul_(options_.beta2).addcmul_(gradient, gradient, 1 - options_.beta2);
      if (groups_[g].decay && parameter.dim() >= 2) parameter.mul_(1 - rate * options_.weight_decay);
      const auto denominator = second.sqrt().div_(correction2).add_(options_.epsilon);
      parameter.addcdiv_(first, denominator, -rate / correction1);
    }
  }
}

std::vector<NamedTensor> AdamW::State() const {
  std::vector<NamedTensor> state;
  for (size_t g = 0; g < groups_.size(); ++g) {
    for (size_t p = 0; p < groups_[g].parameters.size(); ++p) {
      const std::string& name = groups_[g].parameters[p].first;
      state.emplace_back("m." + name, moments_[g][p].first);
      state.emplace_back("v." + name, moments_[g][p].second);
    }
  }
  return state;
}

double CosineWithWarmup(int64_t step, int64_t warmup, int64_t steps, double final_ratio) {
  if (step <= warmup) return static_cast<double>(step) / static_cast<double>(std::max<int64_t>(1, warmup));
  const double progress =
      static_cast<double>(step - warmup) / static_cast<double>(std::max<int64_t>(1, steps - warmup));
  return final_ratio + (1 - final_ratio) * 0.5 * (1 + std::cos(std::numbers::pi * std::min(1.0, progress)));
}

}  // namespace sluice
