// Absolute-maximum quantization, per token and per block of 32: what deployed systems use where they compress at all.
// Both are one codec with another block length and scale type.
#include "plain/scaled_codecs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/bytes.h"
#include "base/half.h"
#include "plain/payload_size.h"

namespace sluice {
namespace {

constexpr float kLevels = 127.0f;
constexpr float kLargestHalf = 65504.0f;

// The type of the scale and the length of a block; 0 is the whole token.
struct TokenScale {
  using Word = float;
  static constexpr std::string_view kName = "int8";
  static constexpr size_t kBlock = 0;
  static Word Store(float scale) { return scale; }
  static float Load(Word word) { return word; }
  // The reconstruction of the largest value must stay finite.
  static constexpr float kLargest = std::numeric_limits<float>::max() / 128.0f;
};

struct BlockScale {
  using Word = uint16_t;
  static constexpr std::string_view kName = "q80";
  static constexpr size_t kBlock = 32;
  static Word Store(float scale) { return FloatToHalf(scale); }
  static float Load(Word word) { return HalfToFloat(word); }
  static constexpr float kLargest = kLargestHalf;
};

template <typename Scale>
class ScaledCodec : public HiddenCodec {
  using Word = typename Scale::Word;

 public:
  std::string name() const override { return std::string(Scale::kName); }

  Result<std::vector<uint8_t>> Encode(MatrixView<const float> hidden) const override {
    SLUICE_RETURN_IF_ERROR(CheckFinite(hidden));
    std::vector<uint8_t> payload(PayloadSize(hidden.rows(), hidden.cols()));
    uint8_t* to = payload.data();
    for (size_t t = 0; t < hidden.rows(); ++t) {
      for (size_t begin = 0; begin < hidden.cols(); begin += BlockLength(hidden.cols())) {
        const auto block = hidden.row(t).subspan(begin, std::min(BlockLength(hidden.cols()), hidden.cols() - begin));
        float largest = 0;
        for (float value : block) largest = std::max(largest, std::fabs(value));
        if (largest / kLevels > Scale::kLargest) {
          return InvalidArgument(fmt::format("token {}, channels {} to {}: magnitude {} is beyond {}'s largest", t,
                                             begin, begin + block.size() - 1, largest, Scale::kName));
        }
        to = EncodeBlock(block, largest / kLevels, to);
      }
    }
    return payload;
  }

  Status CheckPayload(std::span<const uint8_t> payload, size_t tokens, size_t width) const override {
    return CheckPayloadSize(Scale::kName, payload.size(), PayloadSize(tokens, width));
  }

  Result<Matrix<float>> Decode(std::span<const uint8_t> payload, size_t tokens, size_t width) const override {
    SLUICE_RETURN_IF_ERROR(CheckPayload(payload, tokens, width));
    Matrix<float> hidden(tokens, width);
    const uint8_t* from = payload.data();
    for (size_t t = 0; t < tokens; ++t) {
      for (size_t begin = 0; begin < width; begin += BlockLength(width)) {
        const auto block = hidden.row(t).subspan(begin, std::min(BlockLength(width), width - begin));
        const float scale = Scale::Load(LoadLe<Word>(from));
        if (!(scale >= 0) || scale > Scale::kLargest) {
          return Corrupt(fmt::format("{} payload: token {}, channel {}: scale {}", Scale::kName, t, begin, scale));
        }
        from += sizeof(Word);
        for (float& value : block) value = scale * static_cast<float>(static_cast<int8_t>(*from++));
      }
    }
    return hidden;
  }

 private:
  static size_t BlockLength(size_t width) { return Scale::kBlock == 0 ? width : Scale::kBlock; }

  static size_t PayloadSize(size_t tokens, size_t width) {
    const size_t blocks = (width + BlockLength(width) - 1) / BlockLength(width);
    return tokens * (width + blocks * sizeof(Word));
  }

  static uint8_t* EncodeBlock(std::span<const float> block, float wanted_scale, uint8_t* to) {
    const Word word = Scale::Store(wanted_scale);
    const float scale = Scale::Load(word);
    StoreLe<Word>(word, to);
    to += sizeof(Word);
    for (float value : block) {
      const float q = scale == 0 ? 0.0f : std::clamp(std::nearbyint(value / scale), -kLevels, kLevels);
      *to++ = static_cast<uint8_t>(static_cast<int8_t>(q));
    }
    return to;
  }
};

}  // namespace

std::unique_ptr<HiddenCodec> MakeInt8Codec() { return std::make_unique<ScaledCodec<TokenScale>>(); }
std::unique_ptr<HiddenCodec> MakeQ80Codec() { return std::make_unique<ScaledCodec<BlockScale>>(); }

}  // namespace sluice
