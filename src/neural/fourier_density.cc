// The integral of cos(pi k u) - ... between u1 and u2 is a difference of sines. Both forms below write it as the width
// w = u2 - u1 times the mean of the density over the interval, with sin(b) - sin(a) = 2 cos((a + b) / 2) sin((b - a) /
// 2): the mean is a sum of sinc factors that stays accurate for any width.
//
// What underflows is the width. tanh(b) - tanh(a) = sinh(b - a) / (cosh a cosh b), and b - a = 1 / softplus(s) does not
// depend on z: the safe form takes its logarithm, which falls linearly in |z - o| and has a gradient everywhere.
#include "neural/fourier_density.h"

#include <cmath>
#include <numbers>

#include "neural/bounds.h"
#include "neural/gaussian.h"

namespace sluice {
namespace {

constexpr double kPenaltyWeight = 1e-6;
constexpr double kStartNoise = 0.01;
constexpr double kDensityFloor = 1e-6;  // of the mean density: where the spectrum has a zero, 20 bits above uniform

// log cosh without overflow.
torch::Tensor LogCosh(const torch::Tensor& v) {
  const auto magnitude = torch::abs(v);
  return magnitude + torch::log1p(torch::exp(-2 * magnitude)) - std::numbers::ln2;
}

// log sinh of a positive number.
torch::Tensor LogSinh(const torch::Tensor& v) { return v + torch::log(-torch::expm1(-2 * v)) - std::numbers::ln2; }

}  // namespace

FourierDensityImpl::FourierDensityImpl(int64_t channels, bool safe, double init_scale)
    : HyperDensityImpl(channels), safe_(safe) {
  auto real = kStartNoise * torch::randn({channels, kTerms});
  real.select(1, 0).fill_(1.0);
  real_ = register_parameter("real", real);
  imag_ = register_parameter("imag", kStartNoise * torch::randn({channels, kTerms}));
  offset_ = register_parameter("offset", torch::zeros({channels}));
  scale_ = register_parameter("scale", torch::full({channels}, std::log(std::expm1(init_scale))));
}

FourierDensityImpl::Spectrum FourierDensityImpl::Autocorrelation() {
  // Lag k as a row: c shifted by k, summed against c. A matrix of lags keeps it one product a channel.
  const auto padded_real = torch::constant_pad_nd(real_, {0, kTerms - 1});
  const auto padded_imag = torch::constant_pad_nd(imag_, {0, kTerms - 1});
  const auto shifted_real = padded_real.unfold(1, kTerms, 1);  // [channels, lag, n]
  const auto shifted_imag = padded_imag.unfold(1, kTerms, 1);
  const auto real = real_.unsqueeze(-1), imag = imag_.unsqueeze(-1);
  return {(torch::matmul(shifted_real, real) + torch::matmul(shifted_imag, imag)).squeeze(-1),
          (torch::matmul(shifted_imag, real) - torch::matmul(shifted_real, imag)).squeeze(-1)};
}

torch::Tensor FourierDensityImpl::Bits(const torch::Tensor& z) {
  const auto by_channel = z.reshape({-1, channels()}).t();  // [channels, n]
  const auto inverse = torch::reciprocal(torch::softplus(scale_)).unsqueeze(-1);
  const auto lower = (by_channel - offset_.unsqueeze(-1) - 0.5) * inverse;
  const auto upper = (by_channel - offset_.unsqueeze(-1) + 0.5) * inverse;
  const auto u1 = torch::tanh(lower), u2 = torch::tanh(upper);

  const Spectrum a = Autocorrelation();
  const auto k = torch::arange(1, kTerms, z.options()) * std::numbers::pi;  // pi k
  const auto middle = (0.5 * (u1 + u2)).unsqueeze(1) * k.unsqueeze(-1);     // [channels, k, n]
  const auto half = (0.5 * (u2 - u1)).unsqueeze(1) * k.unsqueeze(-1);
  const auto wave =
      a.real.slice(1, 1).unsqueeze(-1) * torch::cos(middle) - a.imag.slice(1, 1).unsqueeze(-1) * torch::sin(middle);
  const auto sinc = torch::sinc(half / std::numbers::pi);
  const auto mean = 0.5 + (wave * sinc).sum(1) / a.real.select(1, 0).unsqueeze(-1);

  torch::Tensor bits;
  if (safe_) {
    const auto log_width = LogSinh(inverse) - LogCosh(lower) - LogCosh(upper);
    bits = -(log_width + torch::log(LowerBound(mean, kDensityFloor))) / std::numbers::ln2;
  } else {
    bits = sluice::Bits(LowerBound(mean * (u2 - u1), kProbabilityFloor));
  }
  return bits.t().reshape(z.sizes());
}

torch::Tensor FourierDensityImpl::Penalty() {
  const Spectrum a = Autocorrelation();
  const auto k = torch::arange(0, kTerms, real_.options());
  const auto power = k * k * (a.real * a.real + a.imag * a.imag);
  return kPenaltyWeight * 4 * std::numbers::pi * std::numbers::pi * power.sum(1).mean();
}

}  // namespace sluice
