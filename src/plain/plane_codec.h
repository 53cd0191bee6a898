#ifndef SLUICE_PLAIN_PLANE_CODEC_H_
#define SLUICE_PLAIN_PLANE_CODEC_H_

#include <memory>

#include "codec/hidden_codec.h"
#include "plain/compressor.h"

namespace sluice {

/// fp16 split into its low-byte and high-byte planes, each plane token by token, both compressed as one buffer.
/// Exact: what fp16 holds. Errors: InvalidArgument for a level outside the compressor's range.
Result<std::unique_ptr<HiddenCodec>> MakePlaneCodec(Compressor compressor, int level);

}  // namespace sluice

#endif  // SLUICE_PLAIN_PLANE_CODEC_H_
