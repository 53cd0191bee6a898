#ifndef SLUICE_TRAIN_INITIAL_SCALE_H_
#define SLUICE_TRAIN_INITIAL_SCALE_H_

#include <torch/torch.h>

#include <functional>

#include "backbone/backbone.h"
#include "neural/learned_codec.h"

namespace sluice {

/// Where the training of a codec starts: principal axes of hidden states and the step that lambda asks for.
struct HiddenStatistics {
  torch::Tensor mean;       ///< [d]
  torch::Tensor axes;       ///< [d, d], orthonormal rows by falling variance
  torch::Tensor deviation;  ///< [d], standard deviation along each axis
};

/// Hidden states of many windows, some at a time: activations of all would not fit a memory.
/// Data: tokens int64 [B, T] -> [B, T, d].
torch::Tensor HeadInParts(Backbone& backbone, const torch::Tensor& tokens, int64_t cut);

/// Mean and principal axes of hidden states. The first token of each row is left out: it follows nothing and its state
/// is unlike all others in every model. Data: hidden [B, T, d], T >= 2. Exact: accumulated in double.
HiddenStatistics MeasureHidden(const torch::Tensor& hidden);

/// How strongly the tail listens: the matrix M for which 1/2 e^T M e is about the KL divergence, nats a token, that an
/// error e of the hidden state causes. The Fisher information, averaged over tokens, from one gradient a window of the
/// likelihood of sampled outputs; consumes torch's random state. Data: hidden [B, T, d] -> double [d, d].
torch::Tensor MeasureSensitivity(Backbone& backbone, int64_t cut, const torch::Tensor& hidden);

/// KL divergence, nats a token, that rounding to whole numbers of 1/gain causes along the given axes.
/// Data: axes [d, d] orthonormal.
double RoundingKl(Backbone& backbone, int64_t cut, const torch::Tensor& hidden, const torch::Tensor& axes, double gain);

/// The gain at which rounding costs what lambda pays for. With uniform steps D falls as gain^-2 and R rises by d bits
/// a doubling, so at the optimum of D + lambda R, D = lambda d / (2 ln 2). Found by bisection on log gain.
/// Range: the answer lies in [2^-12, 2^16].
double GainForLambda(const std::function<double(double gain)>& distortion, double lambda, int64_t width);

/// Multiplies the residual stream of a model by `factor` without changing its function: embeddings and everything that
/// adds to the stream are scaled, the norms that read it do not care, a tied output is undone in the final norm.
/// It lets joint training start at the step that lambda asks for. Exact but for the norms' epsilon.
void RescaleResidualStream(Backbone& backbone, double factor);

}  // namespace sluice

#endif  // SLUICE_TRAIN_INITIAL_SCALE_H_
