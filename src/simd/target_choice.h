#ifndef SLUICE_SIMD_TARGET_CHOICE_H_
#define SLUICE_SIMD_TARGET_CHOICE_H_

#include <hwy/targets.h>

#include <cstdint>
#include <span>
#include <vector>

namespace sluice {

/// The kernels of one instruction set, and whether the default choice may take them: AVX-512 is compiled and tested
/// where there is a CPU for it, but is not chosen.
template <typename Kernels>
struct TargetCandidate {
  int64_t target;  ///< of Highway; 0 is plain C++
  const Kernels& (*kernels)();
  bool proven;

  bool Available() const {
    if (target == 0) return true;
#if HWY_TARGETS == HWY_STATIC_TARGET
    return target == HWY_STATIC_TARGET;
#else
    return (hwy::SupportedTargets() & target) != 0;
#endif
  }
};

/// The first that this CPU has and that is proven. Needs: candidates from the best to the least, plain C++ last.
template <typename Kernels>
const Kernels& ChooseKernels(std::span<const TargetCandidate<Kernels>> candidates) {
  for (const auto& candidate : candidates) {
    if (candidate.proven && candidate.Available()) return candidate.kernels();
  }
  return candidates.back().kernels();
}

/// All that this CPU has, from the least to the best.
template <typename Kernels>
std::vector<Kernels> ListKernels(std::span<const TargetCandidate<Kernels>> candidates) {
  std::vector<Kernels> all;
  for (const auto& candidate : candidates) {
    if (candidate.Available()) all.insert(all.begin(), candidate.kernels());
  }
  return all;
}

}  // namespace sluice

#endif  // SLUICE_SIMD_TARGET_CHOICE_H_
