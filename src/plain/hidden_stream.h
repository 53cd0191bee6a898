#ifndef SLUICE_PLAIN_HIDDEN_STREAM_H_
#define SLUICE_PLAIN_HIDDEN_STREAM_H_

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

#include "base/status.h"
#include "codec/hidden_codec.h"
#include "codec/hidden_frames.h"
#include "format/hidden_file.h"
#include "format/stream.h"

namespace sluice {

/// Writes all of `hidden` with a plain codec: every frame holds the same tokens of all rows of the batch.
/// Errors: InvalidArgument for a batch, width or chunk outside the stream's limits, or from the codec; Io from the
/// writer.
Status EncodeHidden(const HiddenCodec& codec, const HiddenStates& hidden, uint32_t chunk_tokens, StreamWriter& writer);
/// The stream header that EncodeHidden's writer must have been made with.
StreamHeader PlainStreamHeader(const HiddenCodec& codec, const HiddenStates& hidden);

/// Reads a whole stream of a plain codec. Frames of one row give [T, d], of B rows [B, T, d].
/// Errors: Mismatch when a learned codec wrote it; InvalidArgument when it holds more than `max_elements`, found out
/// before anything is decoded; the errors of StreamReader and of the codec.
Result<HiddenStates> DecodeHidden(std::span<const uint8_t> stream, uint64_t max_elements = kDefaultMaxElements);

/// `sluice encode --hidden IN --codec SPEC --out OUT`: IN is .safetensors (its tensor `tensor`) or .npy.
Result<HiddenStreamStats> EncodeHiddenFile(const std::filesystem::path& in, std::string_view tensor,
                                           std::string_view spec, const std::filesystem::path& out,
                                           uint32_t chunk_tokens = kDefaultChunkTokens);
/// `sluice decode --in IN --out OUT`: OUT is .safetensors or .npy, in `dtype` or, without one, in the type that was
/// encoded.
Result<HiddenStreamStats> DecodeHiddenFile(const std::filesystem::path& in, const std::filesystem::path& out,
                                           std::optional<DType> dtype = std::nullopt,
                                           uint64_t max_elements = kDefaultMaxElements);

}  // namespace sluice

#endif  // SLUICE_PLAIN_HIDDEN_STREAM_H_
