#include "frame_codec.h"

#include <memory>
#include <random>
#include <vector>

#include "codec/static_fit.h"
#include "fuzz_input.h"
#include "nets/context_sample.h"

namespace sluice {
namespace {

/// Of 5 ids, which take 3 bits where there are no tables, so that not all bits are an id. `direct`: classes in two
/// groups, and rows of ids for what is predicted.
ContextSample SampleOf(TokenNames names, bool tables, bool direct, bool latents) {
  const bool named = names != TokenNames::kNone;
  ContextSample sample;
  sample.shape = {.width = kFuzzFrameWidth,
                  .hidden = 5,
                  .groups = latents ? 2u : 1u,
                  .points = kFuzzContextPoints,
                  .names = names,
                  .ids = named ? 5u : 0u,
                  .pair_bits = named ? 3 : 0,
                  .direct = direct ? 2u : 0u,
                  .latents = latents,
                  .scale_units = 3};
  sample.old_shape = !direct;
  sample.class_groups = direct ? 2 : 0;
  sample.block = 3;
  sample.class_width = 3;
  sample.id_tables = tables;
  return sample;
}

const PackCodec& ContextCodec(uint8_t at, const ContextSample& sample) {
  static std::vector<std::unique_ptr<const PackCodec>> made(kFuzzContexts);
  static std::vector<std::vector<uint8_t>> bytes(kFuzzContexts);
  if (made[at] == nullptr) {
    bytes[at] = sample.Make();
    made[at] = std::move(*PackCodec::Make(*Pack::FromBytes(bytes[at])));
  }
  return *made[at];
}

}  // namespace

const PackCodec& FuzzFrameCodec() {
  static const std::vector<uint8_t> bytes = [] {
    std::mt19937 random(1);
    std::vector<uint8_t> drawn(kFuzzFrameWidth * 500);
    for (uint8_t& byte : drawn) byte = static_cast<uint8_t>((random() % 86 + random() % 86 + random() % 86));
    StaticFitOptions options;
    options.step = 2;
    Result<StaticFit> fit = FitStaticPack(FuzzHidden(drawn, 1, 500).values.View(), options);
    FUZZ_REQUIRE(fit.ok());
    return *fit->pack.Serialize();
  }();
  static const std::unique_ptr<PackCodec> codec = std::move(*PackCodec::Make(*Pack::FromBytes(bytes)));
  return *codec;
}

FuzzContext FuzzContextOf(uint8_t kind) {
  if (kind >= 6) return {ContextCodec(kind, SampleOf(TokenNames::kClasses, true, true, kind == 6)), 0, false};
  if (kind >= 2) return {ContextCodec(kind, SampleOf(TokenNames::kTokens, kind < 4, false, true)), 5, kind % 2 == 1};
  const TokenNames names = kind == 0 ? TokenNames::kNone : TokenNames::kClasses;
  return {ContextCodec(kind, SampleOf(names, true, false, true)), 0, false};
}

HiddenStates FuzzHidden(std::span<const uint8_t> bytes, uint64_t batch, uint64_t tokens) {
  HiddenStates hidden = HiddenStates::Zeros(batch, tokens, kFuzzFrameWidth);
  for (size_t i = 0; i < hidden.values.View().size() && i < bytes.size(); ++i) {
    const int level = static_cast<int>(bytes[i]) - 128;
    hidden.values.data()[i] = static_cast<float>(level) * (bytes[i] % 16 == 0 ? 1000.0f : 0.25f);
  }
  return hidden;
}

}  // namespace sluice
