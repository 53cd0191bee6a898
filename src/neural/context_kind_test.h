#ifndef SLUICE_NEURAL_CONTEXT_KIND_TEST_H_
#define SLUICE_NEURAL_CONTEXT_KIND_TEST_H_

#include "neural/context_config.h"

namespace sluice {

/// What the context codec of a test knows of a token, and whether ids add rows of their own to what it predicts.
struct ContextKind {
  const char* name;
  ContextIds ids;
  bool direct = false, latents = true;
};

/// Sets the switches of a kind. Needs: groups and id_count are those of a codec that has latents and ids.
inline void SetKind(const ContextKind& kind, ContextConfig& config) {
  config.ids = kind.ids;
  if (kind.ids == ContextIds::kNone) config.id_count = 0;
  config.latents = kind.latents;
  if (!kind.latents) config.groups = 1;
  if (!kind.direct) return;
  config.direct = 2;
  config.scale_hidden = 6;
  if (kind.ids == ContextIds::kClasses) config.class_groups = 3;
}

}  // namespace sluice

#endif  // SLUICE_NEURAL_CONTEXT_KIND_TEST_H_
