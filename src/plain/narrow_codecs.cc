// Quantizers of 8 and 4 bits as deployed systems have them: E4M3 floats, whose step grows with the value so that one
// outlier costs the small ones little, and 4-bit integers in short blocks. Both scales come from the extreme value; no
// search for a better one is made, because no deployed system makes one.
#include "plain/narrow_codecs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/bytes.h"
#include "base/half.h"
#include "plain/float8.h"
#include "plain/payload_size.h"

namespace sluice {
namespace {

class Float8Codec : public HiddenCodec {
 public:
  std::string name() const override { return "fp8"; }

  Result<std::vector<uint8_t>> Encode(MatrixView<const float> hidden) const override {
    SLUICE_RETURN_IF_ERROR(CheckFinite(hidden));
    std::vector<uint8_t> payload(PayloadSize(hidden.rows(), hidden.cols()));
    uint8_t* to = payload.data();
    for (size_t t = 0; t < hidden.rows(); ++t) {
      float largest = 0;
      for (const float value : hidden.row(t)) largest = std::max(largest, std::fabs(value));
      const float scale = largest / kLargestE4m3;
      StoreLe(scale, to);
      to += sizeof(scale);
      for (const float value : hidden.row(t)) *to++ = scale == 0 ? uint8_t{0} : FloatToE4m3(value / scale);
    }
    return payload;
  }

  Status CheckPayload(std::span<const uint8_t> payload, size_t tokens, size_t width) const override {
    return CheckPayloadSize("fp8", payload.size(), PayloadSize(tokens, width));
  }

  Result<Matrix<float>> Decode(std::span<const uint8_t> payload, size_t tokens, size_t width) const override {
    SLUICE_RETURN_IF_ERROR(CheckPayload(payload, tokens, width));
    Matrix<float> hidden(tokens, width);
    const uint8_t* from = payload.data();
    for (size_t t = 0; t < tokens; ++t) {
      const auto scale = LoadLe<float>(from);
      from += sizeof(scale);
      if (!(scale >= 0) || scale > kLargestScale) {
        return Corrupt(fmt::format("fp8 payload: token {}: scale {}", t, scale));
      }
      for (size_t c = 0; c < width; ++c) {
        if ((from[c] & kE4m3Nan) == kE4m3Nan)
          return Corrupt(fmt::format("fp8 payload: token {}, channel {}: NaN", t, c));
        hidden.row(t)[c] = scale * E4m3ToFloat(from[c]);
      }
      from += width;
    }
    return hidden;
  }

 private:
  static constexpr float kLargestScale = std::numeric_limits<float>::max() / kLargestE4m3;

  static size_t PayloadSize(size_t tokens, size_t width) { return tokens * (sizeof(float) + width); }
};

class Int4Codec : public HiddenCodec {
 public:
  std::string name() const override { return "int4"; }

  Result<std::vector<uint8_t>> Encode(MatrixView<const float> hidden) const override {
    SLUICE_RETURN_IF_ERROR(CheckFinite(hidden));
    std::vector<uint8_t> payload(PayloadSize(hidden.rows(), hidden.cols()));
    uint8_t* to = payload.data();
    for (size_t t = 0; t < hidden.rows(); ++t) {
      for (size_t begin = 0; begin < hidden.cols(); begin += kBlock) {
        const auto block = hidden.row(t).subspan(begin, std::min(kBlock, hidden.cols() - begin));
        const float extreme = Extreme(block);
        if (std::fabs(extreme) / kLevels > kLargestHalf) {
          return InvalidArgument(fmt::format("token {}, channels {} to {}: {} is beyond int4's largest magnitude", t,
                                             begin, begin + block.size() - 1, extreme));
        }
        to = EncodeBlock(block, extreme == 0 ? uint16_t{0} : FloatToHalf(extreme / -kLevels), to);
      }
    }
    return payload;
  }

  Status CheckPayload(std::span<const uint8_t> payload, size_t tokens, size_t width) const override {
    return CheckPayloadSize("int4", payload.size(), PayloadSize(tokens, width));
  }

  Result<Matrix<float>> Decode(std::span<const uint8_t> payload, size_t tokens, size_t width) const override {
    SLUICE_RETURN_IF_ERROR(CheckPayload(payload, tokens, width));
    Matrix<float> hidden(tokens, width);
    const uint8_t* from = payload.data();
    for (size_t t = 0; t < tokens; ++t) {
      for (size_t begin = 0; begin < width; begin += kBlock) {
        const auto block = hidden.row(t).subspan(begin, std::min(kBlock, width - begin));
        const float scale = HalfToFloat(LoadLe<uint16_t>(from));
        from += sizeof(uint16_t);
        const size_t half = (block.size() + 1) / 2;
        if (!std::isfinite(scale) || (block.size() % 2 == 1 && from[half - 1] >> 4 != 0)) {
          return Corrupt(
              fmt::format("int4 payload: token {}, channel {}: scale {} or a nibble of no element", t, begin, scale));
        }
        for (size_t i = 0; i < block.size(); ++i) {
          const int nibble = i < half ? from[i] & 15 : from[i - half] >> 4;
          block[i] = scale * static_cast<float>(nibble - 8);
        }
        from += half;
      }
    }
    return hidden;
  }

 private:
  static constexpr size_t kBlock = 32;
  static constexpr float kLevels = 8.0f;
  static constexpr float kLargestHalf = 65504.0f;

  static size_t PayloadSize(size_t tokens, size_t width) {
    const size_t full = width / kBlock, rest = width % kBlock;
    const size_t last = rest == 0 ? 0 : sizeof(uint16_t) + (rest + 1) / 2;
    return tokens * (full * (sizeof(uint16_t) + kBlock / 2) + last);
  }

  static float Extreme(std::span<const float> block) {
    float extreme = 0;
    for (const float value : block) {
      if (std::fabs(value) > std::fabs(extreme)) extreme = value;
    }
    return extreme;
  }

  static uint8_t* EncodeBlock(std::span<const float> block, uint16_t word, uint8_t* to) {
    const float scale = HalfToFloat(word);
    StoreLe(word, to);
    to += sizeof(word);
    const size_t half = (block.size() + 1) / 2;
    std::fill_n(to, half, uint8_t{0});
    for (size_t i = 0; i < block.size(); ++i) {
      const float q = scale == 0 ? 0.0f : std::clamp(std::nearbyint(block[i] / scale), -8.0f, 7.0f);
      const auto nibble = static_cast<uint8_t>(static_cast<int>(q) + 8);
      to[i < half ? i : i - half] |= static_cast<uint8_t>(i < half ? nibble : nibble << 4);
    }
    return to + half;
  }
};

}  // namespace

std::unique_ptr<HiddenCodec> MakeFloat8Codec() { return std::make_unique<Float8Codec>(); }
std::unique_ptr<HiddenCodec> MakeInt4Codec() { return std::make_unique<Int4Codec>(); }

}  // namespace sluice
