#ifndef SLUICE_CODEC_CHUNK_ENCODER_H_
#define SLUICE_CODEC_CHUNK_ENCODER_H_

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "codec/chunk_values.h"

namespace sluice {

/// Appends what follows the mode byte of a modelled chunk. Data: `values` are those of the elements of `in`.
/// Cost: about 22 bytes of memory an element.
Status EncodeChunk(const ChunkInput& in, ChunkValues values, ByteWriter& writer);

}  // namespace sluice

#endif  // SLUICE_CODEC_CHUNK_ENCODER_H_
