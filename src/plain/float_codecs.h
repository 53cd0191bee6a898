#ifndef SLUICE_PLAIN_FLOAT_CODECS_H_
#define SLUICE_PLAIN_FLOAT_CODECS_H_

#include <memory>

#include "codec/hidden_codec.h"

namespace sluice {

// Raw floats, token by token. They carry infinities and NaN; a finite value that rounds to infinity in fp16 is refused.

/// Exact: every bit.
std::unique_ptr<HiddenCodec> MakeFloat32Codec();
/// Exact: round to nearest, ties to even.
std::unique_ptr<HiddenCodec> MakeHalfCodec();
/// Exact: round to nearest, ties to even.
std::unique_ptr<HiddenCodec> MakeBfloat16Codec();

/// The hidden states as fp16. Errors: InvalidArgument, naming token and channel, for a finite value that fp16 cannot
/// hold.
Result<std::vector<uint16_t>> ToHalves(MatrixView<const float> hidden);

}  // namespace sluice

#endif  // SLUICE_PLAIN_FLOAT_CODECS_H_
