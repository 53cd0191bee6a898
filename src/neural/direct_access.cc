// The order of the concatenations and where the norms stand are ours: the paper names the parts and their widths.
// Every attention here looks only at rows that the decoder has when it needs them: the mixer at tokens before t, the
// blocks behind it at rows up to t, which depend on y before t.
#include "neural/direct_access.h"

#include "neural/codec_shape.h"
#include "neural/layers.h"

namespace sluice {
DirectAccessImpl::DirectAccessImpl(const CodecConfig& config) : heads_(config.heads) {
  const DirectShape shape = DirectBlocks(config);
  const auto add = [this](const char* name, const std::vector<BlockShape>& blocks, std::vector<Block>& into) {
    for (const BlockShape& b : blocks) {
      const BlockOptions options{.attention = b.attention, .mlp = b.mlp};
      into.push_back(register_module(name + std::to_string(into.size()), Block(b.in, b.out, heads_, options)));
    }
  };
  add("side", shape.side, side_);
  query_norm_ = register_parameter("query_norm", torch::ones({shape.hyper}));
  key_norm_ = register_parameter("key_norm", torch::ones({shape.wide}));
  query_ = register_module("query", NoBias(shape.hyper, shape.mixed));
  key_value_ = register_module("key_value", NoBias(shape.wide, 2 * shape.mixed));
  first_ = register_module("first", NoBias(shape.hyper, shape.mixed));
  widen_ = register_module("widen", NoBias(shape.mixed, shape.wide));
  mlp_norm_ = register_parameter("mlp_norm", torch::ones({shape.wide}));
  expand_ = register_module("expand", NoBias(shape.wide, kMlpRatio * shape.wide));
  contract_ = register_module("contract", NoBias(kMlpRatio * shape.wide, shape.wide, kBranchGain));
  add("wide", shape.blocks, blocks_);
}

torch::Tensor DirectAccessImpl::RunSide(const torch::Tensor& z) {
  torch::Tensor side = z;
  for (auto& block : side_) side = block(side);
  return side;
}

torch::Tensor DirectAccessImpl::Widen(const torch::Tensor& mixed) {
  const auto wide = widen_(mixed);
  return wide + contract_(torch::gelu(expand_(WeightedNorm(wide, mlp_norm_))));
}

torch::Tensor DirectAccessImpl::forward(const torch::Tensor& z, const torch::Tensor& y) {
  const auto side = RunSide(z);
  const auto key_value = key_value_(WeightedNorm(torch::cat({y, side}, -1), key_norm_)).chunk(2, -1);
  const auto attended = AttendCausally(query_(WeightedNorm(side, query_norm_)), key_value[0], key_value[1], heads_,
                                       /*window=*/0, /*strict=*/true);
  torch::Tensor u = Widen(torch::cat({first_(side.slice(1, 0, 1)), attended.slice(1, 1)}, 1));
  for (auto& block : blocks_) u = block(u);
  return u;
}

DirectAccessImpl::State DirectAccessImpl::Begin(const torch::Tensor& z) {
  const BlockCache room(z.size(1));
  return {.side = RunSide(z), .mixer = room, .blocks = std::vector<BlockCache>(blocks_.size(), room), .next = 0};
}

torch::Tensor DirectAccessImpl::Step(State& state, const torch::Tensor& previous) {
  const auto side = state.side.slice(1, state.next, state.next + 1);
  torch::Tensor mixed;
  if (state.next == 0) {
    mixed = first_(side);
  } else {
    const auto before = torch::cat({previous, state.side.slice(1, state.next - 1, state.next)}, -1);
    const auto key_value = key_value_(WeightedNorm(before, key_norm_)).chunk(2, -1);
    state.mixer.Append(key_value[0], key_value[1]);
    mixed = Attend(query_(WeightedNorm(side, query_norm_)), state.mixer.Keys(), state.mixer.Values(), heads_);
  }
  torch::Tensor u = Widen(mixed);
  for (size_t i = 0; i < blocks_.size(); ++i) u = blocks_[i]->Step(u, state.blocks[i]);
  ++state.next;
  return u;
}

}  // namespace sluice
