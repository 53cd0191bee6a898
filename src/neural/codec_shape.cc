#include "neural/codec_shape.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

constexpr int kSideBlocks = 4;
constexpr int kWideBlocks = 3;

int64_t LastRatio(const CodecConfig& config) { return config.last_mlp ? config.last_mlp_ratio : 0; }

int64_t NormsOf(const BlockShape& b) { return (b.attention ? b.in : 0) + (b.mlp > 0 ? b.out : 0); }

// Weights of the block's matrices: a multiply-add a token each.
int64_t MatricesOf(const BlockShape& b) {
  return (b.attention ? 4 * b.in * b.in : 0) + (b.in != b.out ? b.in * b.out : 0) + 2 * b.mlp * b.out * b.out;
}

int64_t SumOf(const std::vector<BlockShape>& blocks, int64_t (*of)(const BlockShape&)) {
  int64_t sum = 0;
  for (const BlockShape& b : blocks) sum += of(b);
  return sum;
}

int64_t MixerMatrices(const DirectShape& d) {
  return d.hyper * d.mixed + 2 * d.wide * d.mixed + d.mixed * d.wide + 2 * kMlpRatio * d.wide * d.wide;
}

// Tokens that attention looks at, on average over a chunk.
double MeanLookBack(const CodecConfig& config) {
  const auto tokens = static_cast<double>(config.context);
  if (!config.causal) return tokens;
  if (config.window == 0 || config.window >= config.context) return (tokens + 1) / 2;
  const auto window = static_cast<double>(config.window);
  return (window * (window + 1) / 2 + (tokens - window) * window) / tokens;
}

// Scores and mixing: two products of the width with every token looked at.
double AttentionOf(const std::vector<BlockShape>& blocks, double look_back) {
  double sum = 0;
  for (const BlockShape& b : blocks) sum += b.attention ? 2.0 * static_cast<double>(b.in) * look_back : 0;
  return sum;
}

}  // namespace

std::vector<BlockShape> AnalysisBlocks(const CodecConfig& config) {
  std::vector<BlockShape> blocks;
  int64_t from = config.width;
  for (int64_t to : config.widths) blocks.push_back({std::exchange(from, to), to, config.attention, kMlpRatio});
  blocks.push_back({from, config.hyper_channels, config.attention, kMlpRatio});
  return blocks;
}

std::vector<BlockShape> SynthesisBlocks(const CodecConfig& config) {
  std::vector<BlockShape> blocks;
  if (config.prior == PriorKind::kDirect) return blocks;
  int64_t from = config.hyper_channels;
  for (auto to = config.widths.rbegin(); to != config.widths.rend(); ++to) {
    blocks.push_back({std::exchange(from, *to), *to, config.attention, kMlpRatio});
  }
  blocks.push_back({from, 2 * config.width, config.attention, LastRatio(config)});
  return blocks;
}

DirectShape DirectBlocks(const CodecConfig& config) {
  DirectShape shape;
  shape.hyper = config.hyper_channels;
  shape.wide = config.width + config.hyper_channels;
  shape.mixed = config.heads * std::max<int64_t>(1, (config.width / 4 + config.heads / 2) / config.heads);
  shape.side.assign(kSideBlocks, {shape.hyper, shape.hyper});
  shape.blocks.assign(kWideBlocks - 1, {shape.wide, shape.wide});
  shape.blocks.push_back({shape.wide, 2 * config.width, true, LastRatio(config)});
  return shape;
}

int64_t ParameterCount(const CodecConfig& config) {
  const int64_t per_channel = config.density == DensityKind::kFactorized ? 118 : 122;
  int64_t count = config.hyper_channels * per_channel + (config.channel_prior ? config.width : 0);
  if (config.classes > 0) count += config.classes + (2 * config.classes + 1) * 2 * config.width;
  for (const auto& blocks : {AnalysisBlocks(config), SynthesisBlocks(config)}) {
    count += SumOf(blocks, MatricesOf) + SumOf(blocks, NormsOf);
  }
  if (config.prior == PriorKind::kDirect) {
    const DirectShape d = DirectBlocks(config);
    for (const auto& blocks : {d.side, d.blocks}) count += SumOf(blocks, MatricesOf) + SumOf(blocks, NormsOf);
    count += MixerMatrices(d) + d.hyper * d.mixed + d.hyper + 2 * d.wide;  // the first row's map, and three norms
  }
  if (config.mode == CodecMode::kFrozen) {
    count += (config.gain ? config.width : 0) +
             (config.transform == TransformKind::kLearned ? config.width * config.width : 0);
  }
  return count;
}

double MultiplyAddsPerToken(const CodecConfig& config) {
  const double look_back = MeanLookBack(config);
  const auto cost = [&](const std::vector<BlockShape>& blocks) {
    return static_cast<double>(SumOf(blocks, MatricesOf)) + AttentionOf(blocks, look_back);
  };
  double total = cost(AnalysisBlocks(config)) + 2 * cost(SynthesisBlocks(config));
  if (config.prior == PriorKind::kDirect) {
    const DirectShape d = DirectBlocks(config);
    total += 2 * (cost(d.side) + cost(d.blocks) + static_cast<double>(MixerMatrices(d)) +
                  2.0 * static_cast<double>(d.mixed) * look_back);
  }
  const auto width = static_cast<double>(config.width);
  const bool dense = config.mode == CodecMode::kFrozen && config.transform != TransformKind::kNone;
  return total + (dense ? 2 * width * width : 0) + width * static_cast<double>(config.classes);
}

}  // namespace sluice
