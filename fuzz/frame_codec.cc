#include "frame_codec.h"

#include <memory>
#include <random>
#include <vector>

#include "codec/static_fit.h"
#include "fuzz_input.h"
#include "nets/context_sample.h"

namespace sluice {
namespace {

/// Of 5 ids, which take 3 bits where there are no tables, so that not all bits are an id.
const PackCodec& ContextCodec(TokenNames names, bool tables) {
  static std::vector<std::unique_ptr<const PackCodec>> made(6);
  static std::vector<std::vector<uint8_t>> bytes(6);
  const size_t at = static_cast<size_t>(names) * 2 + (tables ? 1 : 0);
  if (made[at] == nullptr) {
    const bool named = names != TokenNames::kNone;
    ContextSample sample;
    sample.shape = {.width = kFuzzFrameWidth, .hidden = 5, .groups = 2, .points = kFuzzContextPoints, .names = names};
    sample.shape.ids = named ? 5 : 0;
    sample.shape.pair_bits = named ? 3 : 0;
    sample.block = 3;
    sample.class_width = 3;
    sample.id_tables = tables;
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
  if (kind < 2) return {ContextCodec(kind == 0 ? TokenNames::kNone : TokenNames::kClasses, true), 0, false};
  return {ContextCodec(TokenNames::kTokens, kind < 4), 5, kind % 2 == 1};
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
