// One stream a chunk: the operating point, then row by row and token by token the class and the latents, group by
// group. Encoder and decoder run the same ContextRun over the same integers; only the direction of the symbols differs.
#include "neural/context_coder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "backbone/torch_setup.h"
#include "neural/gaussian.h"
#include "rans/rans_decoder.h"
#include "rans/rans_encoder.h"

namespace sluice {
namespace {

constexpr float kLargestSymbol = 1 << 22;  // as the float codecs
constexpr int kLanes = 1;
constexpr int kMeanSteps = 16;

// Walks through a chunk. `code_id(t, previous)` gives the class of token t; `code(t, from, to, mean, scale)` makes sure
// that latents [from, to) of token t are in `latent`.
void Walk(const ContextNetwork& network, int point, int64_t rows, int64_t tokens, const std::vector<int32_t>& latent,
          const std::function<int32_t(size_t token, int32_t previous)>& code_id,
          const std::function<void(size_t token, size_t from, size_t to, std::span<const int32_t> mean,
                                   std::span<const uint8_t> scale)>& code) {
  const ContextConfig& config = network.config;
  const auto d = static_cast<size_t>(config.width);
  ContextRun run(network, point);
  std::vector<int32_t> mean(d);
  std::vector<uint8_t> scale(d);
  for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
    run.Begin();
    auto previous = static_cast<int32_t>(config.id_count);
    for (size_t i = 0; i < static_cast<size_t>(tokens); ++i) {
      const size_t token = row * static_cast<size_t>(tokens) + i;
      previous = code_id(token, previous);
      run.BeginToken(previous);
      for (int64_t g = 0; g < config.groups; ++g) {
        run.Parameters(g, mean, scale);
        code(token, static_cast<size_t>(config.GroupBegin(g)), static_cast<size_t>(config.GroupBegin(g + 1)), mean,
             scale);
        run.Absorb(g, {latent.data() + token * d, d});
      }
      run.EndToken();
    }
  }
}

// Bits of a value under the Gaussian itself.
double IdealBits(int32_t value, int32_t mean_q4, uint8_t scale) {
  const double distance = std::fabs(value - static_cast<double>(mean_q4) / kMeanSteps);
  const double unit = 1 / (ScaleValue(scale) * std::sqrt(2.0));
  const double probability = (std::erfc((distance - 0.5) * unit) - std::erfc((distance + 0.5) * unit)) / 2;
  return -std::log2(std::max(probability, 1e-9));
}

std::vector<int32_t> ToInt32(const torch::Tensor& v) {
  const auto whole = v.to(torch::kInt32).contiguous();
  return {whole.data_ptr<int32_t>(), whole.data_ptr<int32_t>() + whole.numel()};
}

// Names the first element of [B, T, d] that `wrong` marks.
Status CheckElements(const torch::Tensor& wrong, const torch::Tensor& values, const char* what) {
  if (!wrong.any().item<bool>()) return OkStatus();
  const int64_t at = wrong.reshape({-1}).to(torch::kInt32).argmax().item<int64_t>();
  const int64_t d = values.size(2), t = values.size(1);
  return InvalidArgument(fmt::format("row {}, token {}, channel {}: {} ({})", at / d / t, at / d % t, at % d, what,
                                     values.reshape({-1})[at].item<float>()));
}

}  // namespace

Result<IdTables> FitClassTables(const torch::Tensor& classes, const ContextConfig& config, const torch::Tensor& sizes) {
  std::vector<std::vector<int32_t>> sequences;
  for (int64_t i = 0; i < classes.size(0); ++i) sequences.push_back(ToInt32(classes[i]));
  std::vector<uint32_t> groups;
  for (const int32_t size : ToInt32(sizes)) groups.push_back(static_cast<uint32_t>(size));
  return IdTables::Fit(sequences, static_cast<size_t>(config.id_count), std::move(groups), config.precision_bits);
}

Result<ContextCoder> ContextCoder::Create(StoredContext stored) {
  SLUICE_RETURN_IF_ERROR(stored.network.Check());
  SLUICE_ASSIGN_OR_RETURN(GaussianTables tables,
                          GaussianTables::Create(stored.network.config.precision_bits, kMeanSteps));
  return ContextCoder(std::move(stored), std::move(tables));
}

Status ContextCoder::CheckTokens(const torch::Tensor& tokens, int64_t batch, int64_t count) const {
  if (stored_.network.config.ids != ContextIds::kTokens) return OkStatus();
  if (!tokens.defined() || tokens.dim() != 2 || tokens.size(0) != batch || tokens.size(1) != count) {
    return InvalidArgument(fmt::format("this codec needs the token ids, [{}, {}]", batch, count));
  }
  if (tokens.min().item<int64_t>() < 0 || tokens.max().item<int64_t>() >= stored_.network.config.id_count) {
    return InvalidArgument(fmt::format("token ids: expected 0 to {}", stored_.network.config.id_count - 1));
  }
  return OkStatus();
}

Result<ContextChunk> ContextCoder::Encode(const torch::Tensor& x, const torch::Tensor& tokens, int point,
                                          bool measure) const {
  return CatchTorch([&]() -> Result<ContextChunk> {
    torch::NoGradGuard no_grad;
    const ContextConfig& config = stored_.network.config;
    if (x.dim() != 3 || x.size(2) != config.width || x.scalar_type() != torch::kFloat32 || x.numel() == 0) {
      return InvalidArgument(fmt::format("hidden states: expected float [B, T, {}]", config.width));
    }
    if (point < 0 || point >= config.points) {
      return InvalidArgument(fmt::format("operating point {}: expected 0 to {}", point, config.points - 1));
    }
    SLUICE_RETURN_IF_ERROR(CheckElements(torch::isfinite(x).logical_not(), x, "the hidden state is not finite"));
    SLUICE_RETURN_IF_ERROR(CheckTokens(tokens, x.size(0), x.size(1)));
    const auto y = torch::round(stored_.transform.Forward(x) / PointStep(point));
    SLUICE_RETURN_IF_ERROR(CheckElements(y.abs() > kLargestSymbol, y, "the quantized value is out of range"));
    ContextChunk chunk;
    chunk.latent = ToInt32(y);
    chunk.channel_bits.assign(static_cast<size_t>(config.width), 0.0);
    std::vector<int32_t> ids;
    if (config.ids == ContextIds::kClasses) ids = chunk.ids = ToInt32(stored_.transform.Classify(x));
    if (config.ids == ContextIds::kTokens) ids = ToInt32(tokens);
    SLUICE_ASSIGN_OR_RETURN(RansEncoder encoder, RansEncoder::Create(kLanes, config.precision_bits));
    encoder.PushBits(static_cast<uint32_t>(point), 4);
    const auto d = static_cast<size_t>(config.width);
    Walk(
        stored_.network, point, x.size(0), x.size(1), chunk.latent,
        [&](size_t token, int32_t previous) {
          if (ids.empty()) return int32_t{0};
          if (config.ids == ContextIds::kClasses) {
            stored_.classes.Encode<false>(previous, ids[token], encoder);
            if (measure) chunk.id_bits += stored_.classes.CostBits(previous, ids[token]);
          }
          return ids[token];
        },
        [&](size_t token, size_t from, size_t to, std::span<const int32_t> mean, std::span<const uint8_t> scale) {
          for (size_t j = from; j < to; ++j) {
            const int32_t value = chunk.latent[token * d + j];
            EncodeGaussian(tables_, value, mean[j], scale[j], encoder);
            if (!measure) continue;
            const double bits = tables_.CostBits(value, mean[j], scale[j]);
            chunk.estimated_bits += IdealBits(value, mean[j], scale[j]);
            chunk.channel_bits[j] += bits;
            chunk.latent_bits += bits;
          }
        });
    chunk.estimated_bits += chunk.id_bits;
    chunk.payload = encoder.Finish();
    return chunk;
  });
}

Result<torch::Tensor> ContextCoder::Decode(std::span<const uint8_t> payload, int64_t batch, int64_t tokens_per_row,
                                           const torch::Tensor& tokens, ContextChunk& chunk) const {
  return CatchTorch([&]() -> Result<torch::Tensor> {
    torch::NoGradGuard no_grad;
    const ContextConfig& config = stored_.network.config;
    SLUICE_RETURN_IF_ERROR(CheckTokens(tokens, batch, tokens_per_row));
    SLUICE_ASSIGN_OR_RETURN(RansDecoder decoder, RansDecoder::Create(payload, kLanes, config.precision_bits));
    const auto point = static_cast<int>(decoder.PopBits(4));
    if (point >= config.points) return Corrupt(fmt::format("operating point {} of {}", point, config.points));
    const auto d = static_cast<size_t>(config.width);
    const auto count = static_cast<size_t>(batch * tokens_per_row);
    std::vector<int32_t> ids;
    if (config.ids == ContextIds::kTokens) ids = ToInt32(tokens);
    const bool classes = config.ids == ContextIds::kClasses;
    chunk.ids.assign(classes ? count : 0, 0);
    chunk.latent.assign(count * d, 0);
    auto mean_all = torch::empty({batch, tokens_per_row, config.width}), sigma_all = torch::empty_like(mean_all);
    Walk(
        stored_.network, point, batch, tokens_per_row, chunk.latent,
        [&](size_t token, int32_t previous) {
          if (classes) return chunk.ids[token] = stored_.classes.Decode(previous, decoder);
          return ids.empty() ? 0 : ids[token];
        },
        [&](size_t token, size_t from, size_t to, std::span<const int32_t> mean, std::span<const uint8_t> scale) {
          for (size_t j = from; j < to; ++j) {
            chunk.latent[token * d + j] = DecodeGaussian(tables_, mean[j], scale[j], decoder);
            mean_all.data_ptr<float>()[token * d + j] = static_cast<float>(mean[j]) / kMeanSteps;
            sigma_all.data_ptr<float>()[token * d + j] = ScaleValue(scale[j]);
          }
        });
    SLUICE_RETURN_IF_ERROR(decoder.Finish());
    const auto y = torch::tensor(chunk.latent, torch::kInt32).reshape(mean_all.sizes()).to(torch::kFloat32);
    const auto moved = y + stored_.transform.centroid * CentroidShift(y - mean_all, sigma_all);
    return stored_.transform.Inverse(moved * PointStep(point));
  });
}

}  // namespace sluice
