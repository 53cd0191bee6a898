#ifndef SLUICE_CODEC_STATIC_FIT_H_
#define SLUICE_CODEC_STATIC_FIT_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "base/status.h"
#include "base/view.h"
#include "format/pack.h"

namespace sluice {

/// What happens to a hidden state before it is quantized.
enum class StaticBasis : uint8_t {
  kDiagonal,   ///< each channel by itself
  kPrincipal,  ///< along the principal axes of the sample, which are orthonormal
};

struct StaticFitOptions {
  StaticBasis basis = StaticBasis::kPrincipal;
  double step = 0;            ///< of every latent; 0: as bits_per_token asks
  double bits_per_token = 0;  ///< on the sample, within 1 %; 0: as step says
  int precision_bits = 12;
  Sha256Digest model_hash{};  ///< of the model that the hidden states are from; zeros when unknown
  uint16_t cut = 0;
  /// Called with what is being done and how much of it, 0 to 1; the fit ends as Interrupted when it gives false.
  std::function<bool(std::string_view what, double done)> progress = [](std::string_view, double) { return true; };
};

struct StaticFit {
  PackWriter pack;
  double step = 0;
  double bits_per_token = 0;      ///< ideal, on the sample
  double mean_squared_error = 0;  ///< an element, on the sample
};

/// Fits codec "static" to a sample of hidden states [T, d].
/// Errors: InvalidArgument for a sample without tokens or with values that are not finite, unless exactly one of step
/// and bits_per_token is positive and finite, or for more bits than steps of 2^-20 of the spread give; Interrupted.
/// Cost: kPrincipal O(T d^2 + 8 d^3); bits_per_token about 20 passes over at most 4,096 tokens.
Result<StaticFit> FitStaticPack(MatrixView<const float> hidden, const StaticFitOptions& options);

}  // namespace sluice

#endif  // SLUICE_CODEC_STATIC_FIT_H_
