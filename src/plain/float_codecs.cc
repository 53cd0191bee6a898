// The codecs that only choose a float type: the points on the rate axis to which everything else is compared.
#include "plain/float_codecs.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "base/bytes.h"
#include "base/half.h"
#include "plain/payload_size.h"

namespace sluice {
namespace {

constexpr uint16_t kHalfInfinity = 0x7C00;
constexpr uint16_t kHalfMagnitude = 0x7FFF;

template <typename Word>
std::vector<uint8_t> BytesOf(std::span<const Word> words) {
  std::vector<uint8_t> bytes(words.size_bytes());
  if (!bytes.empty()) std::memcpy(bytes.data(), words.data(), bytes.size());
  return bytes;
}

class Float32Codec : public HiddenCodec {
 public:
  std::string name() const override { return "fp32"; }

  Result<std::vector<uint8_t>> Encode(MatrixView<const float> hidden) const override { return BytesOf(hidden.all()); }

  Status CheckPayload(std::span<const uint8_t> payload, size_t tokens, size_t width) const override {
    return CheckPayloadSize("fp32", payload.size(), tokens * width * sizeof(float));
  }

  Result<Matrix<float>> Decode(std::span<const uint8_t> payload, size_t tokens, size_t width) const override {
    SLUICE_RETURN_IF_ERROR(CheckPayload(payload, tokens, width));
    Matrix<float> hidden(tokens, width);
    if (!payload.empty()) std::memcpy(hidden.data(), payload.data(), payload.size());
    return hidden;
  }
};

template <float (*Widen)(uint16_t)>
Matrix<float> DecodeWords(std::span<const uint8_t> payload, size_t tokens, size_t width) {
  Matrix<float> hidden(tokens, width);
  for (size_t i = 0; i < tokens * width; ++i) hidden.data()[i] = Widen(LoadLe<uint16_t>(payload.data() + 2 * i));
  return hidden;
}

class HalfCodec : public HiddenCodec {
 public:
  std::string name() const override { return "fp16"; }

  Result<std::vector<uint8_t>> Encode(MatrixView<const float> hidden) const override {
    SLUICE_ASSIGN_OR_RETURN(const std::vector<uint16_t> halves, ToHalves(hidden));
    return BytesOf<uint16_t>(halves);
  }

  Status CheckPayload(std::span<const uint8_t> payload, size_t tokens, size_t width) const override {
    return CheckPayloadSize("fp16", payload.size(), tokens * width * sizeof(uint16_t));
  }

  Result<Matrix<float>> Decode(std::span<const uint8_t> payload, size_t tokens, size_t width) const override {
    SLUICE_RETURN_IF_ERROR(CheckPayload(payload, tokens, width));
    return DecodeWords<HalfToFloat>(payload, tokens, width);
  }
};

class Bfloat16Codec : public HiddenCodec {
 public:
  std::string name() const override { return "bf16"; }

  Result<std::vector<uint8_t>> Encode(MatrixView<const float> hidden) const override {
    std::vector<uint16_t> words(hidden.size());
    for (size_t i = 0; i < words.size(); ++i) words[i] = FloatToBfloat16(hidden.data()[i]);
    return BytesOf<uint16_t>(words);
  }

  Status CheckPayload(std::span<const uint8_t> payload, size_t tokens, size_t width) const override {
    return CheckPayloadSize("bf16", payload.size(), tokens * width * sizeof(uint16_t));
  }

  Result<Matrix<float>> Decode(std::span<const uint8_t> payload, size_t tokens, size_t width) const override {
    SLUICE_RETURN_IF_ERROR(CheckPayload(payload, tokens, width));
    return DecodeWords<Bfloat16ToFloat>(payload, tokens, width);
  }
};

}  // namespace

Result<std::vector<uint16_t>> ToHalves(MatrixView<const float> hidden) {
  std::vector<uint16_t> halves(hidden.size());
  for (size_t i = 0; i < halves.size(); ++i) {
    const float value = hidden.data()[i];
    halves[i] = FloatToHalf(value);
    if ((halves[i] & kHalfMagnitude) == kHalfInfinity && std::isfinite(value)) {
      return InvalidArgument(fmt::format("token {}, channel {}: {} is beyond fp16's largest value, 65504",
                                         i / hidden.cols(), i % hidden.cols(), value));
    }
  }
  return halves;
}

std::unique_ptr<HiddenCodec> MakeFloat32Codec() { return std::make_unique<Float32Codec>(); }
std::unique_ptr<HiddenCodec> MakeHalfCodec() { return std::make_unique<HalfCodec>(); }
std::unique_ptr<HiddenCodec> MakeBfloat16Codec() { return std::make_unique<Bfloat16Codec>(); }

}  // namespace sluice
