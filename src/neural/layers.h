#ifndef SLUICE_NEURAL_LAYERS_H_
#define SLUICE_NEURAL_LAYERS_H_

#include <torch/torch.h>

namespace sluice {

/// LayerNorm with a weight and no bias, eps 1e-5. PyTorch's module has both or neither.
torch::Tensor WeightedNorm(const torch::Tensor& u, const torch::Tensor& weight);

/// How much a layer that adds to a residual stream starts with, so that the depth of a stack does not show at first.
inline constexpr double kBranchGain = 0.3;

/// A linear map without bias whose weights start with variance gain^2 / in.
torch::nn::Linear NoBias(int64_t in, int64_t out, double gain = 1.0);

/// Rows moved `by` tokens later; what was before the chunk is `fill`. Data: [B, T, ...] -> the same shape.
torch::Tensor Later(const torch::Tensor& v, int64_t by, int64_t fill);

/// softmax(q k^T / sqrt(n / heads)) v, head by head: every row sees every key.
/// Data: q [B, Tq, n]; k, v [B, Tk, n] -> [B, Tq, n]. Needs: heads divides n.
torch::Tensor Attend(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v, int64_t heads);

/// The same where row t sees the tokens before it and, unless `strict`, itself. `window`: only the last so many of
/// them; 0: all. A strict row 0 sees itself, because a row without any key has no attention; its caller replaces it.
/// Data: q, k, v [B, T, n] -> [B, T, n]. Cost: rows go in blocks, and what no row of a block sees is not computed.
torch::Tensor AttendCausally(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v, int64_t heads,
                             int64_t window, bool strict);

}  // namespace sluice

#endif  // SLUICE_NEURAL_LAYERS_H_
