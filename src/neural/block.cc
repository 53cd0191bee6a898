#include "neural/block.h"

#include "neural/codec_shape.h"
#include "neural/layers.h"

namespace sluice {

void BlockCache::Append(const torch::Tensor& key, const torch::Tensor& value) {
  if (length_ == 0) {
    keys_ = torch::empty({key.size(0), capacity_, key.size(2)}, key.options());
    values_ = torch::empty_like(keys_);
  }
  keys_.slice(1, length_, length_ + 1).copy_(key);
  values_.slice(1, length_, length_ + 1).copy_(value);
  ++length_;
}

BlockImpl::BlockImpl(int64_t in, int64_t out, int64_t heads, BlockOptions options) : heads_(heads), options_(options) {
  TORCH_CHECK(in % heads == 0, "block: heads ", heads, " does not divide width ", in);
  if (options.attention) {
    ln1_ = register_parameter("ln1_weight", torch::ones({in}));
    qkv_ = register_module("qkv", NoBias(in, 3 * in));
    attention_out_ = register_module("attention_out", NoBias(in, in, kBranchGain));
  }
  if (in != out) project_ = register_module("project", NoBias(in, out));
  if (options.mlp > 0) {
    ln2_ = register_parameter("ln2_weight", torch::ones({out}));
    expand_ = register_module("expand", NoBias(out, options.mlp * out));
    contract_ = register_module("contract", NoBias(options.mlp * out, out, kBranchGain));
  }
}

void BlockImpl::ShrinkOutput(double factor) {
  torch::NoGradGuard no_grad;
  if (!project_.is_empty()) project_->weight.mul_(factor);
  if (!contract_.is_empty()) contract_->weight.mul_(factor);
}

torch::Tensor BlockImpl::forward(const torch::Tensor& u) {
  if (!options_.attention) return Finish(u);
  const auto qkv = qkv_(WeightedNorm(u, ln1_)).chunk(3, -1);
  const auto attended = options_.causal
                            ? AttendCausally(qkv[0], qkv[1], qkv[2], heads_, options_.window, /*strict=*/false)
                            : Attend(qkv[0], qkv[1], qkv[2], heads_);
  return Finish(u + attention_out_(attended));
}

torch::Tensor BlockImpl::Step(const torch::Tensor& u, BlockCache& cache) {
  if (!options_.attention) return Finish(u);
  const auto qkv = qkv_(WeightedNorm(u, ln1_)).chunk(3, -1);
  cache.Append(qkv[1], qkv[2]);
  return Finish(u + attention_out_(Attend(qkv[0], cache.Keys(), cache.Values(), heads_)));
}

torch::Tensor BlockImpl::Finish(const torch::Tensor& a) {
  const auto b = project_.is_empty() ? a : project_(a);
  if (options_.mlp == 0) return b;
  return b + contract_(torch::gelu(expand_(WeightedNorm(b, ln2_))));
}

}  // namespace sluice
