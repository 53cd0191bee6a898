#ifndef SLUICE_SIMD_TARGET_CHOICE_H_
#define SLUICE_SIMD_TARGET_CHOICE_H_

#include <hwy/targets.h>

#include <cstdint>
#include <span>
#include <vector>

namespace sluice {

/// The kernels of one instruction set, and whether the default choice may take them: where AVX-512 was measured to be
/// no faster than AVX2 it is compiled and tested, but not chosen.
template <typename Kernels>
struct TargetCandidate {
  int64_t target;  ///< of Highway; 0 is plain C++
  const Kernels& (*kernels)();
  bool chosen;

  bool Available() const {
    if (target == 0) return true;
#if HWY_TARGETS == HWY_STATIC_TARGET
    return target == HWY_STATIC_TARGET;
#else
    return (hwy::SupportedTargets() & target) != 0;
#endif
  }
};

/// The first that this CPU has and that may be chosen; the first call settles it. Needs: candidates from the best to
/// the least, plain C++ last, and the same in every call for these kernels.
template <typename Kernels>
const Kernels& ChooseKernels(std::span<const TargetCandidate<Kernels>> candidates) {
  static const Kernels& best = [&]() -> const Kernels& {
    for (const auto& candidate : candidates) {
      if (candidate.chosen && candidate.Available()) return candidate.kernels();
    }
    return candidates.back().kernels();
  }();
  return best;
}

/// All that this CPU has, from the least to the best. Needs: as ChooseKernels.
template <typename Kernels>
std::span<const Kernels> ListKernels(std::span<const TargetCandidate<Kernels>> candidates) {
  static const std::vector<Kernels> all = [&] {
    std::vector<Kernels> listed;
    for (const auto& candidate : candidates) {
      if (candidate.Available()) listed.insert(listed.begin(), candidate.kernels());
    }
    return listed;
  }();
  return all;
}

}  // namespace sluice

// The candidates of a source file that Highway compiled once for every target, from the best to the least: FUNCTION
// gives a target's kernels, PLAIN those of plain C++, AVX512 says whether its kernels are chosen. For use after the
// last pass.
#if HWY_TARGETS & HWY_AVX3_DL
#define SLUICE_FOR_AVX3_DL(FUNCTION, AVX512) {HWY_AVX3_DL, N_AVX3_DL::FUNCTION, AVX512},
#else
#define SLUICE_FOR_AVX3_DL(FUNCTION, AVX512)
#endif
#if HWY_TARGETS & HWY_AVX3
#define SLUICE_FOR_AVX3(FUNCTION, AVX512) {HWY_AVX3, N_AVX3::FUNCTION, AVX512},
#else
#define SLUICE_FOR_AVX3(FUNCTION, AVX512)
#endif
#if HWY_TARGETS & HWY_AVX2
#define SLUICE_FOR_AVX2(FUNCTION) {HWY_AVX2, N_AVX2::FUNCTION, true},
#else
#define SLUICE_FOR_AVX2(FUNCTION)
#endif
#if HWY_TARGETS & HWY_SSE4
#define SLUICE_FOR_SSE4(FUNCTION) {HWY_SSE4, N_SSE4::FUNCTION, true},
#else
#define SLUICE_FOR_SSE4(FUNCTION)
#endif
#if HWY_TARGETS & HWY_SSSE3
#define SLUICE_FOR_SSSE3(FUNCTION) {HWY_SSSE3, N_SSSE3::FUNCTION, true},
#else
#define SLUICE_FOR_SSSE3(FUNCTION)
#endif
#if HWY_TARGETS & HWY_NEON
#define SLUICE_FOR_NEON(FUNCTION) {HWY_NEON, N_NEON::FUNCTION, true},
#else
#define SLUICE_FOR_NEON(FUNCTION)
#endif
#define SLUICE_TARGET_CANDIDATES(FUNCTION, PLAIN, AVX512) \
  SLUICE_FOR_AVX3_DL(FUNCTION, AVX512)                    \
  SLUICE_FOR_AVX3(FUNCTION, AVX512)                       \
  SLUICE_FOR_AVX2(FUNCTION)                               \
  SLUICE_FOR_SSE4(FUNCTION) SLUICE_FOR_SSSE3(FUNCTION) SLUICE_FOR_NEON(FUNCTION) { 0, PLAIN, true }

#endif  // SLUICE_SIMD_TARGET_CHOICE_H_
