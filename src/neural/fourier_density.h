#ifndef SLUICE_NEURAL_FOURIER_DENSITY_H_
#define SLUICE_NEURAL_FOURIER_DENSITY_H_

#include <torch/torch.h>

#include "neural/hyper_density.h"

namespace sluice {

/// The Fourier-basis density of the hyper-prior, one of the paper's baselines.
///
/// On u = tanh((z - o) / softplus(s)) the density is 1/2 + sum_k (Re a_k cos(pi k u) - Im a_k sin(pi k u)) / a_0, where
/// a_k = sum_n conj(c_n) c_{n+k} is the autocorrelation of 60 complex coefficients, so that it is never negative. P(z)
/// is its exact integral from u(z - 1/2) to u(z + 1/2). 122 parameters a channel.
/// Source: docs/codec.md, "Fourier density"; arXiv 2601.22002; De la Fuente, Singh and Ballé, arXiv 2402.15345.
class FourierDensityImpl : public HyperDensityImpl {
 public:
  /// `safe`: the width of the interval is taken in the log domain, so that symbols far outside of the density cost bits
  /// in proportion to their distance and keep their gradient. Without it, as published, the integral is a difference
  /// of float values that is 0 there, and a floor of 1e-9 hides the gradient.
  FourierDensityImpl(int64_t channels, bool safe, double init_scale = 10.0);

  torch::Tensor Bits(const torch::Tensor& z) override;
  /// 1e-6 * 4 pi^2 * mean over channels of sum_k k^2 |a_k|^2.
  torch::Tensor Penalty() override;

  static constexpr int64_t kTerms = 60;
  static constexpr double kProbabilityFloor = 1e-9;

 private:
  struct Spectrum {
    torch::Tensor real;  // Re a_k, k = 0 .. kTerms - 1 [channels, kTerms]
    torch::Tensor imag;
  };
  Spectrum Autocorrelation();

  bool safe_;
  torch::Tensor real_;    // of c_n [channels, kTerms]
  torch::Tensor imag_;    // of c_n
  torch::Tensor offset_;  // o [channels]
  torch::Tensor scale_;   // s [channels]
};
TORCH_MODULE(FourierDensity);

}  // namespace sluice

#endif  // SLUICE_NEURAL_FOURIER_DENSITY_H_
