#include "neural/hyper_density.h"

#include "neural/deep_factorized.h"
#include "neural/fourier_density.h"

namespace sluice {

HyperDensity MakeHyperDensity(DensityKind kind, int64_t channels) {
  if (kind == DensityKind::kFactorized) return std::make_shared<DeepFactorizedImpl>(channels);
  return std::make_shared<FourierDensityImpl>(channels, kind == DensityKind::kFourier);
}

}  // namespace sluice
