#include "frame_codec.h"

#include <memory>
#include <random>
#include <vector>

#include "codec/static_fit.h"
#include "fuzz_input.h"

namespace sluice {

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

HiddenStates FuzzHidden(std::span<const uint8_t> bytes, uint64_t batch, uint64_t tokens) {
  HiddenStates hidden = HiddenStates::Zeros(batch, tokens, kFuzzFrameWidth);
  for (size_t i = 0; i < hidden.values.View().size() && i < bytes.size(); ++i) {
    const int level = static_cast<int>(bytes[i]) - 128;
    hidden.values.data()[i] = static_cast<float>(level) * (bytes[i] % 16 == 0 ? 1000.0f : 0.25f);
  }
  return hidden;
}

}  // namespace sluice
