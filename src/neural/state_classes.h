#ifndef SLUICE_NEURAL_STATE_CLASSES_H_
#define SLUICE_NEURAL_STATE_CLASSES_H_

#include <torch/torch.h>

#include <cstdint>

namespace sluice {

/// Rounds of k-means that training takes.
inline constexpr int kClassRounds = 12;

/// k-means. Data: points [n, r] -> means [classes, r]. Starts from torch's current random state.
torch::Tensor FitClasses(const torch::Tensor& points, int64_t classes, int rounds);

/// Index of the nearest mean. Data: points [n, r], means [classes, r] -> int64 [n].
torch::Tensor NearestClass(const torch::Tensor& points, const torch::Tensor& means);

/// Brings classes into groups of near ones, neighbours in their order, each of at least two.
/// Data: means [classes, r], in and out. Gives int64 [groups], how many each has. Starts from torch's random state.
torch::Tensor GroupClasses(torch::Tensor& means, int64_t groups, int rounds);

}  // namespace sluice

#endif  // SLUICE_NEURAL_STATE_CLASSES_H_
