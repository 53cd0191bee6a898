#ifndef SLUICE_PLAIN_NARROW_CODECS_H_
#define SLUICE_PLAIN_NARROW_CODECS_H_

#include <memory>

#include "codec/hidden_codec.h"

namespace sluice {

/// fp8: E4M3 floats (float8.h) with one fp32 scale a token, the largest magnitude / 448. Data: for each token, scale,
/// then d codes; a value is scale * code. Exact: x / scale rounded to nearest even, saturating.
/// Errors: Decode gives Corrupt for a NaN code.
std::unique_ptr<HiddenCodec> MakeFloat8Codec();

/// int4: integers -8 to 7 in blocks of 32 channels with an fp16 scale; a full block has the bytes of Q4_0.
/// Data: for each token and block (the last may be shorter), scale, then ceil(n / 2) bytes: byte i holds element i in
/// its low nibble and element i + ceil(n / 2) in its high one, as q + 8; the nibble that is left over in a block of odd
/// length is 0. A value is scale * q. The scale is the value of largest magnitude over -8, so its sign is free and that
/// value is met exactly but for the rounding of the scale. Source: the format Q4_0 of ggml.
std::unique_ptr<HiddenCodec> MakeInt4Codec();

}  // namespace sluice

#endif  // SLUICE_PLAIN_NARROW_CODECS_H_
