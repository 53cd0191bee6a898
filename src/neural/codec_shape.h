#ifndef SLUICE_NEURAL_CODEC_SHAPE_H_
#define SLUICE_NEURAL_CODEC_SHAPE_H_

#include <cstdint>
#include <vector>

#include "neural/codec_config.h"

namespace sluice {

/// Width of the hidden layer of an MLP over its output, unless a switch narrows it.
inline constexpr int64_t kMlpRatio = 4;

/// A block B(in -> out) and the parts it has.
struct BlockShape {
  int64_t in = 0;
  int64_t out = 0;
  bool attention = true;
  int64_t mlp = kMlpRatio;  ///< its ratio; 0: no MLP
};

/// The blocks from y to z.
std::vector<BlockShape> AnalysisBlocks(const CodecConfig& config);
/// The blocks from z to the parameters of y; none with direct access.
std::vector<BlockShape> SynthesisBlocks(const CodecConfig& config);

/// The widths of direct access.
struct DirectShape {
  int64_t hyper = 0;  ///< h, of the side blocks
  int64_t wide = 0;   ///< d + h, of the blocks behind the mixer
  int64_t mixed = 0;  ///< of the mixer's attention: the multiple of heads nearest d / 4
  std::vector<BlockShape> side;
  std::vector<BlockShape> blocks;
};
DirectShape DirectBlocks(const CodecConfig& config);

/// Weights and table parameters of the networks, so that a description can be compared with its file before anything is
/// allocated. Needs: config.Validate() is Ok.
int64_t ParameterCount(const CodecConfig& config);

/// Multiply-adds a token of encoding and decoding together, in chunks of `context` tokens: the analysis once, the
/// synthesis or direct access on both ends, transform and inverse, the search for a class; attention at its mean
/// look-back. Needs: config.Validate() is Ok.
double MultiplyAddsPerToken(const CodecConfig& config);

}  // namespace sluice

#endif  // SLUICE_NEURAL_CODEC_SHAPE_H_
