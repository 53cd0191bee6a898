#ifndef SLUICE_PLAIN_SCALED_CODECS_H_
#define SLUICE_PLAIN_SCALED_CODECS_H_

#include <memory>

#include "codec/hidden_codec.h"

namespace sluice {

// Integers with a scale: x' = scale * q, q = x / scale rounded to nearest (ties to even) and held to -127 ... 127.

/// One fp32 scale a token, the largest magnitude / 127. Data: for each token, scale, then d int8.
std::unique_ptr<HiddenCodec> MakeInt8Codec();
/// One fp16 scale for each block of 32 channels (the last may be shorter). Data: for each token and block, scale, then
/// int8.
std::unique_ptr<HiddenCodec> MakeQ80Codec();

}  // namespace sluice

#endif  // SLUICE_PLAIN_SCALED_CODECS_H_
