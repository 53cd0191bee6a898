#include "neural/layers.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "simd/attention_kernels.h"

namespace sluice {
namespace {

constexpr double kNormEpsilon = 1e-5;
constexpr int64_t kQueryBlock = 64;

// [B, T, n] -> [B * heads, T, n / heads], and back.
torch::Tensor SplitHeads(const torch::Tensor& x, int64_t heads) {
  const int64_t batch = x.size(0), tokens = x.size(1), head_dim = x.size(2) / heads;
  return x.reshape({batch, tokens, heads, head_dim}).transpose(1, 2).reshape({batch * heads, tokens, head_dim});
}

torch::Tensor JoinHeads(const torch::Tensor& x, int64_t heads) {
  const int64_t batch = x.size(0) / heads, tokens = x.size(1), head_dim = x.size(2);
  return x.reshape({batch, heads, tokens, head_dim}).transpose(1, 2).reshape({batch, tokens, heads * head_dim});
}

double Scale(const torch::Tensor& q, int64_t heads) {
  return std::sqrt(static_cast<double>(heads) / static_cast<double>(q.size(2)));
}

// What to add to the attention scores of rows [begin, end) over keys [first, end): 0 where a row sees a key, else minus
// infinity. A strict row 0 sees itself, because a row without any key has no attention.
torch::Tensor CausalMask(int64_t begin, int64_t end, int64_t first, int64_t window, bool strict,
                         const torch::TensorOptions& options) {
  const auto back = torch::arange(begin, end).unsqueeze(1) - torch::arange(first, end);
  auto hidden = back < (strict ? 1 : 0);
  if (window > 0) hidden = hidden.logical_or(back >= (strict ? window + 1 : window));
  if (strict && begin == 0) hidden[0][0] = false;
  return torch::zeros({end - begin, end - first}, options)
      .masked_fill_(hidden.to(options.device()), -std::numeric_limits<float>::infinity());
}

CausalHead::Rows RowsAt(const torch::Tensor& x, int64_t row, int64_t channel) {
  return {x.data_ptr<float>() + row * x.stride(0) + channel, static_cast<size_t>(x.stride(1))};
}

// For networks that run and are not trained: one pass over what a row sees, where torch makes a dozen.
torch::Tensor AttendWithoutGradients(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                                     int64_t heads, int64_t window) {
  const int64_t batch = q.size(0), tokens = q.size(1), head_dim = q.size(2) / heads;
  const auto output = torch::empty({batch, tokens, q.size(2)}, q.options());
  at::parallel_for(0, batch * heads, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> work;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i / heads, channel = i % heads * head_dim;
      BestAttentionKernels().attend({.queries = RowsAt(q, row, channel),
                                     .keys = RowsAt(k, row, channel),
                                     .values = RowsAt(v, row, channel),
                                     .outputs = output.data_ptr<float>() + row * output.stride(0) + channel,
                                     .output_stride = static_cast<size_t>(output.stride(1)),
                                     .tokens = static_cast<size_t>(tokens),
                                     .width = static_cast<size_t>(head_dim),
                                     .window = static_cast<size_t>(window > 0 ? window : tokens),
                                     .scale = static_cast<float>(Scale(q, heads))},
                                    work);
    }
  });
  return output;
}

bool IsPlainFloat(const torch::Tensor& x) {
  return x.is_cpu() && x.scalar_type() == torch::kFloat32 && x.stride(2) == 1;
}

}  // namespace

torch::Tensor WeightedNorm(const torch::Tensor& u, const torch::Tensor& weight) {
  return torch::layer_norm(u, {u.size(-1)}, weight, {}, kNormEpsilon);
}

torch::nn::Linear NoBias(int64_t in, int64_t out, double gain) {
  torch::nn::Linear linear(torch::nn::LinearOptions(in, out).bias(false));
  torch::nn::init::normal_(linear->weight, 0.0, gain / std::sqrt(static_cast<double>(in)));
  return linear;
}

torch::Tensor Later(const torch::Tensor& v, int64_t by, int64_t fill) {
  if (by == 0) return v;
  const auto head = torch::full_like(v.slice(1, 0, std::min(by, v.size(1))), fill);
  return torch::cat({head, v.slice(1, 0, std::max<int64_t>(0, v.size(1) - by))}, 1);
}

torch::Tensor Attend(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v, int64_t heads) {
  const torch::Tensor scores = at::bmm(SplitHeads(q, heads), SplitHeads(k, heads).transpose(1, 2)) * Scale(q, heads);
  return JoinHeads(at::bmm(torch::softmax(scores, -1), SplitHeads(v, heads)), heads);
}

torch::Tensor AttendCausally(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v, int64_t heads,
                             int64_t window, bool strict) {
  if (!strict && !torch::GradMode::is_enabled() && IsPlainFloat(q) && IsPlainFloat(k) && IsPlainFloat(v)) {
    return AttendWithoutGradients(q, k, v, heads, window);
  }
  const int64_t tokens = q.size(1);
  const auto queries = SplitHeads(q, heads), keys = SplitHeads(k, heads).transpose(1, 2), values = SplitHeads(v, heads);
  std::vector<torch::Tensor> parts;
  for (int64_t begin = 0; begin < tokens; begin += kQueryBlock) {
    const int64_t end = std::min(begin + kQueryBlock, tokens);
    const int64_t first = window > 0 ? std::max<int64_t>(begin - window, 0) : 0;
    const auto scores = at::baddbmm(CausalMask(begin, end, first, window, strict, q.options()),
                                    queries.slice(1, begin, end), keys.slice(2, first, end), 1.0, Scale(q, heads));
    parts.push_back(at::bmm(torch::softmax(scores, -1), values.slice(1, first, end)));
  }
  return JoinHeads(at::cat(parts, 1), heads);
}

}  // namespace sluice
