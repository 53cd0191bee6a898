// Blockwise 8-bit quantization with the dynamic codebook of the 8-bit optimizers, which hivemind sends over the wire:
// seven decades below the block's largest magnitude, the upper ones cut finer. The literature computes the book in
// floats; here it is a table of integers over one denominator, 128 * 10^7, so that every machine has the same.
#include "plain/codebook_codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/bytes.h"
#include "plain/payload_size.h"

namespace sluice {
namespace {

constexpr std::array<int32_t, 256> MakeBook() {
  std::array<int32_t, 256> book{};
  int32_t decade = 1;
  for (int32_t i = 0; i < 7; ++i) {
    for (int32_t k = 0; k < (1 << i); ++k) {
      // 10^(i-7) * (1 + 9 (2k + 1) / 2^(i+1)) over the common denominator.
      const int32_t magnitude = decade * ((2 << i) + 9 * (2 * k + 1)) * (64 >> i);
      const auto m = static_cast<size_t>((1 << i) - 1 + k);
      book[128 + m] = magnitude;
      book[126 - m] = -magnitude;
    }
    decade *= 10;
  }
  book[255] = kCodebookUnit;
  return book;
}

float NumberOf(size_t code) { return static_cast<float>(static_cast<double>(kDynamicCodebook[code]) / kCodebookUnit); }

// Halfway points between neighbouring codes' numbers, for the encoder's search.
std::array<double, 255> Halfways() {
  std::array<double, 255> halfways{};
  for (size_t q = 0; q < halfways.size(); ++q) {
    halfways[q] = (static_cast<double>(kDynamicCodebook[q]) + kDynamicCodebook[q + 1]) / (2.0 * kCodebookUnit);
  }
  return halfways;
}

class CodebookCodec : public HiddenCodec {
 public:
  explicit CodebookCodec(int block) : block_(static_cast<size_t>(block)), halfways_(Halfways()) {
    for (size_t q = 0; q < numbers_.size(); ++q) numbers_[q] = NumberOf(q);
  }

  std::string name() const override { return fmt::format("blk8:{}", block_); }

  Result<std::vector<uint8_t>> Encode(MatrixView<const float> hidden) const override {
    SLUICE_RETURN_IF_ERROR(CheckFinite(hidden));
    std::vector<uint8_t> payload(PayloadSize(hidden.size(), block_));
    uint8_t* to = payload.data();
    *to++ = static_cast<uint8_t>(std::countr_zero(block_));
    for (size_t begin = 0; begin < hidden.size(); begin += block_) {
      const auto block = hidden.all().subspan(begin, std::min(block_, hidden.size() - begin));
      float scale = 0;
      for (const float value : block) scale = std::max(scale, std::fabs(value));
      StoreLe(scale, to);
      to += sizeof(scale);
      for (const float value : block) *to++ = scale == 0 ? kZero : NearestCode(double{value} / double{scale});
    }
    return payload;
  }

  Status CheckPayload(std::span<const uint8_t> payload, size_t tokens, size_t width) const override {
    if (payload.empty()) return Truncated("blk8 payload of 0 bytes, expected the block length");
    const int log2 = payload[0];
    if (log2 < std::countr_zero(unsigned{kMinCodebookBlock}) || log2 > std::countr_zero(unsigned{kMaxCodebookBlock})) {
      return Corrupt(fmt::format("blk8 payload: block length 2^{}, expected 2^6 to 2^12", log2));
    }
    return CheckPayloadSize("blk8", payload.size(), PayloadSize(tokens * width, size_t{1} << log2));
  }

  Result<Matrix<float>> Decode(std::span<const uint8_t> payload, size_t tokens, size_t width) const override {
    SLUICE_RETURN_IF_ERROR(CheckPayload(payload, tokens, width));
    const size_t length = size_t{1} << payload[0], count = tokens * width;
    Matrix<float> hidden(tokens, width);
    const uint8_t* from = payload.data() + 1;
    for (size_t begin = 0; begin < count; begin += length) {
      const auto block = hidden.View().all().subspan(begin, std::min(length, count - begin));
      const auto scale = LoadLe<float>(from);
      from += sizeof(scale);
      if (!(scale >= 0) || std::isinf(scale)) {
        return Corrupt(fmt::format("blk8 payload: block at element {}: scale {}", begin, scale));
      }
      for (float& value : block) value = scale * numbers_[*from++];
    }
    return hidden;
  }

 private:
  static constexpr uint8_t kZero = 127;

  static size_t PayloadSize(size_t count, size_t length) {
    return 1 + count + (count + length - 1) / length * sizeof(float);
  }

  uint8_t NearestCode(double number) const {
    return static_cast<uint8_t>(std::upper_bound(halfways_.begin(), halfways_.end(), number) - halfways_.begin());
  }

  size_t block_;
  std::array<double, 255> halfways_;
  std::array<float, 256> numbers_;
};

}  // namespace

constexpr std::array<int32_t, 256> kDynamicCodebook = MakeBook();

Result<std::unique_ptr<HiddenCodec>> MakeCodebookCodec(int block) {
  if (block < kMinCodebookBlock || block > kMaxCodebookBlock || !std::has_single_bit(static_cast<unsigned>(block))) {
    return InvalidArgument(fmt::format("blk8 has blocks of 64, 128, ... 4096 elements, got {}", block));
  }
  return std::unique_ptr<HiddenCodec>(std::make_unique<CodebookCodec>(block));
}

}  // namespace sluice
