#ifndef SLUICE_PLAIN_CODEBOOK_CODEC_H_
#define SLUICE_PLAIN_CODEBOOK_CODEC_H_

#include <array>
#include <cstdint>
#include <memory>

#include "codec/hidden_codec.h"

namespace sluice {

inline constexpr int kMinCodebookBlock = 64;
inline constexpr int kMaxCodebookBlock = 4096;
inline constexpr int kDefaultCodebookBlock = 2048;
inline constexpr int32_t kCodebookUnit = 1'280'000'000;

/// Code q stands for kDynamicCodebook[q] / kCodebookUnit, a number in [-0.993, 1], rising with q. Code 127 is zero and
/// 255 is one. The others are 127 magnitudes with either sign: with m = q - 128 (or 126 - q, negative) and i the
/// largest integer with 2^i <= m + 1, the magnitude is the middle of the part m + 1 - 2^i of the decade from 10^(i-7)
/// to 10^(i-6), cut into 2^i equal parts. Source: the signed dynamic tree of 8-bit optimizers (arXiv 2110.02861).
extern const std::array<int32_t, 256> kDynamicCodebook;

/// blk8: dynamic-exponent codes in blocks of `block` elements of the chunk (token by token; the last may be shorter).
/// Data: u8 log2(block), then for each block a scale f32, the largest magnitude, then a code for each element; a value
/// is scale * (code's number, divided in f64 and rounded to f32). The nearest code is chosen.
/// Errors: InvalidArgument unless `block` is a power of two from 64 to 4096.
Result<std::unique_ptr<HiddenCodec>> MakeCodebookCodec(int block);

}  // namespace sluice

#endif  // SLUICE_PLAIN_CODEBOOK_CODEC_H_
