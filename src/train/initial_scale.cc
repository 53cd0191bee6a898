#include "train/initial_scale.h"

#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "train/distortion_loss.h"
#include "train/run_text.h"

namespace sluice {
namespace {

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// Embeddings and the last projection of every branch, as the checkpoints of the two families name them.
bool WritesTheStream(const std::string& name) {
  for (const char* end : {"wte.weight", "wpe.weight", "embed_tokens.weight", "c_proj.weight", "c_proj.bias",
                          "o_proj.weight", "o_proj.bias", "down_proj.weight", "down_proj.bias"}) {
    if (EndsWith(name, end)) return true;
  }
  return false;
}

bool IsFinalNorm(const std::string& name) {
  return name.find("ln_f.") != std::string::npos || name == "model.norm.weight" || name == "norm.weight";
}

}  // namespace

torch::Tensor HeadInParts(Backbone& backbone, const torch::Tensor& tokens, int64_t cut) {
  torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> parts;
  for (const auto& part : tokens.split(kStatisticsWindows)) parts.push_back(backbone.Head(part, cut));
  return torch::cat(parts);
}

HiddenStatistics MeasureHidden(const torch::Tensor& hidden) {
  torch::NoGradGuard no_grad;
  const auto rows = hidden.slice(1, 1).reshape({-1, hidden.size(2)}).to(torch::kDouble);
  const auto mean = rows.mean(0);
  const auto centred = rows - mean;
  const auto covariance = torch::matmul(centred.t(), centred) / rows.size(0);
  const auto [values, vectors] = torch::linalg_eigh(covariance);
  // Ascending eigenvalues in columns -> falling variance in rows.
  return {mean.to(torch::kFloat32), vectors.t().flip(0).contiguous().to(torch::kFloat32),
          values.flip(0).clamp_min(1e-12).sqrt().to(torch::kFloat32)};
}

torch::Tensor MeasureSensitivity(Backbone& backbone, int64_t cut, const torch::Tensor& hidden) {
  const int64_t d = hidden.size(2);
  auto sum = torch::zeros({d, d}, torch::kDouble);
  for (int64_t row = 0; row < hidden.size(0); ++row) {
    torch::AutoGradMode with_gradients(true);
    const auto x = hidden.slice(0, row, row + 1).detach().clone().set_requires_grad(true);
    const auto log_likelihood = torch::log_softmax(backbone.Tail(x, cut), 2).squeeze(0);
    const auto sampled = torch::multinomial(torch::exp(log_likelihood.detach()), 1);
    const auto score = torch::autograd::grad({log_likelihood.gather(1, sampled).sum()}, {x})[0];
    const auto rows = score.slice(1, 1).reshape({-1, d}).to(torch::kDouble);
    sum += torch::matmul(rows.t(), rows) / rows.size(0);
  }
  return sum / hidden.size(0);
}

double RoundingKl(Backbone& backbone, int64_t cut, const torch::Tensor& hidden, const torch::Tensor& axes,
                  double gain) {
  torch::NoGradGuard no_grad;
  const auto rounded = torch::matmul(torch::round(torch::matmul(hidden, axes.t()) * gain) / gain, axes);
  return KlNats(backbone.Tail(hidden, cut), backbone.Tail(rounded, cut)).mean().item<double>();
}

double GainForLambda(const std::function<double(double gain)>& distortion, double lambda, int64_t width) {
  const double wanted = lambda * static_cast<double>(width) / (2 * std::numbers::ln2);
  double low = -12, high = 16;  // log2 of the gain; distortion falls as it rises
  for (int i = 0; i < 16; ++i) {
    const double middle = (low + high) / 2;
    (distortion(std::exp2(middle)) > wanted ? low : high) = middle;
  }
  return std::exp2((low + high) / 2);
}

void RescaleResidualStream(Backbone& backbone, double factor) {
  torch::NoGradGuard no_grad;
  for (auto& item : backbone.named_parameters()) {
    if (WritesTheStream(item.key())) item.value().mul_(factor);
    if (IsFinalNorm(item.key()) && backbone.config().tied) item.value().div_(factor);
  }
}

}  // namespace sluice
