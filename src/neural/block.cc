#include "neural/block.h"

#include <cmath>

namespace sluice {
namespace {

constexpr double kNormEpsilon = 1e-5;
constexpr int64_t kMlpRatio = 4;

// PyTorch's LayerNorm module has weight and bias together or neither; the paper's has the weight alone.
torch::Tensor Norm(const torch::Tensor& u, const torch::Tensor& weight) {
  return torch::layer_norm(u, {u.size(-1)}, weight, {}, kNormEpsilon);
}

// Weights start with variance 1/in; what adds to a residual stream starts at a third of that, so that the depth of the
// stack does not show at first.
constexpr double kBranchGain = 0.3;

torch::nn::Linear NoBias(int64_t in, int64_t out, double gain = 1.0) {
  torch::nn::Linear linear(torch::nn::LinearOptions(in, out).bias(false));
  torch::nn::init::normal_(linear->weight, 0.0, gain / std::sqrt(static_cast<double>(in)));
  return linear;
}

}  // namespace

BlockImpl::BlockImpl(int64_t in, int64_t out, int64_t heads, BlockOptions options) : heads_(heads) {
  TORCH_CHECK(in % heads == 0, "block: heads ", heads, " does not divide width ", in);
  if (options.attention) {
    ln1_ = register_parameter("ln1_weight", torch::ones({in}));
    qkv_ = register_module("qkv", NoBias(in, 3 * in));
    attention_out_ = register_module("attention_out", NoBias(in, in, kBranchGain));
  }
  if (in != out) project_ = register_module("project", NoBias(in, out));
  if (options.mlp) {
    ln2_ = register_parameter("ln2_weight", torch::ones({out}));
    expand_ = register_module("expand", NoBias(out, kMlpRatio * out));
    contract_ = register_module("contract", NoBias(kMlpRatio * out, out, kBranchGain));
  }
}

torch::Tensor BlockImpl::Attention(const torch::Tensor& u) {
  const int64_t batch = u.size(0), tokens = u.size(1), width = u.size(2), head_dim = width / heads_;
  const auto qkv = qkv_(u).reshape({batch, tokens, 3, heads_, head_dim}).permute({2, 0, 3, 1, 4});
  const auto q = qkv[0].reshape({batch * heads_, tokens, head_dim});
  const auto k = qkv[1].reshape({batch * heads_, tokens, head_dim});
  const auto v = qkv[2].reshape({batch * heads_, tokens, head_dim});
  const auto mask = torch::full({tokens, tokens}, -std::numeric_limits<float>::infinity(), u.options()).triu(1);
  const double scale = 1.0 / std::sqrt(static_cast<double>(head_dim));
  const auto weights = torch::softmax(torch::baddbmm(mask, q, k.transpose(1, 2), 1.0, scale), -1);
  const auto mixed = torch::bmm(weights, v).reshape({batch, heads_, tokens, head_dim}).transpose(1, 2);
  return attention_out_(mixed.reshape({batch, tokens, width}));
}

void BlockImpl::ShrinkOutput(double factor) {
  torch::NoGradGuard no_grad;
  if (!project_.is_empty()) project_->weight.mul_(factor);
  if (!contract_.is_empty()) contract_->weight.mul_(factor);
}

torch::Tensor BlockImpl::forward(const torch::Tensor& u) {
  const auto a = ln1_.defined() ? u + Attention(Norm(u, ln1_)) : u;
  const auto b = project_.is_empty() ? a : project_(a);
  if (!ln2_.defined()) return b;
  return b + contract_(torch::gelu(expand_(Norm(b, ln2_))));
}

}  // namespace sluice
