#ifndef SLUICE_BENCH_PRESET_SAMPLE_H_
#define SLUICE_BENCH_PRESET_SAMPLE_H_

#include <string>

#include "nets/context_sample.h"

namespace sluice {

/// A pack of codec "context" that nobody trained, with networks of the size of preset "sluice" or "fast".
inline ContextSample PresetSample(const std::string& preset, size_t width) {
  ContextSample sample;
  const bool fast = preset == "fast";
  sample.shape = {.width = width,
                  .hidden = fast ? 48u : 96u,
                  .groups = fast ? 1u : 4u,
                  .points = 1,
                  .names = TokenNames::kClasses,
                  .ids = 4096,
                  .pair_bits = 15,
                  .direct = 2,
                  .latents = !fast,
                  .scale_units = 16};
  sample.old_shape = false;
  sample.class_groups = 64;
  constexpr size_t kWidestBlock = 128;
  if (width > kWidestBlock && width % kWidestBlock == 0) sample.block = kWidestBlock;
  sample.class_width = fast ? 32 : 48;
  return sample;
}

}  // namespace sluice

#endif  // SLUICE_BENCH_PRESET_SAMPLE_H_
