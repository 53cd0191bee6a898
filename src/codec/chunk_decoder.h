#ifndef SLUICE_CODEC_CHUNK_DECODER_H_
#define SLUICE_CODEC_CHUNK_DECODER_H_

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "format/dtype.h"

namespace sluice {

/// What a chunk is known to hold before it is decoded. The caller has bounded tokens * width.
struct ChunkShape {
  size_t tokens;
  size_t width;
  DType source;
  DType target;  ///< type of what comes out
};

/// Decodes what follows the mode byte of a modelled chunk, to its end.
/// Errors: Truncated or Corrupt for anything that EncodeChunk does not write.
Result<std::vector<uint8_t>> DecodeChunk(ByteReader& reader, const ChunkShape& shape);

}  // namespace sluice

#endif  // SLUICE_CODEC_CHUNK_DECODER_H_
