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
                  .hidden = fast ? 96u : 160u,
                  .groups = 4,
                  .points = 1,
                  .names = TokenNames::kClasses,
                  .ids = 1024};
  if (fast && width > 64 && width % 64 == 0) sample.block = 64;
  sample.class_width = fast ? 32 : 48;
  return sample;
}

}  // namespace sluice

#endif  // SLUICE_BENCH_PRESET_SAMPLE_H_
