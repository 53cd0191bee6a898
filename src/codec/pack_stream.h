#ifndef SLUICE_CODEC_PACK_STREAM_H_
#define SLUICE_CODEC_PACK_STREAM_H_

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>

#include "base/status.h"
#include "codec/certificate.h"
#include "codec/hidden_frames.h"
#include "codec/pack_codec.h"
#include "format/hidden_file.h"

namespace sluice {

/// How much a stream may take, for codecs with several operating points.
struct PackRate {
  int point = 0;              ///< of all frames, unless
  double bits_per_token = 0;  ///< more than 0: what the whole stream is to average
  PointVerdicts verdicts{};   ///< on the points: one that is refused is not used
};

/// Token ids beside hidden states, for packs made with side tokens.
struct StreamIds {
  std::vector<int32_t> ids;  ///< of all tokens, row after row
  bool carried = false;      ///< in the stream, so that its reader need not know them
};

/// Writes all of `hidden` with a pack's codec: every frame holds the same tokens of all rows of the batch; with one row
/// and chunks of one token they are token frames. Errors: InvalidArgument for a batch, width or chunk outside the
/// limits, or from the codec; the verdict's on the point, or on all of them for a target; Io from the writer. With a
/// target rate frames have at most 64 tokens, so that the average comes near it soon. `ids`: of all
/// tokens, when the codec needs them; they go into the stream where its header says so.
Status EncodeHidden(const PackCodec& codec, const HiddenStates& hidden, uint32_t chunk_tokens, StreamWriter& writer,
                    const PackRate& rate = {}, std::span<const int32_t> ids = {});

/// Reads a whole stream or self-contained frame. Frames of one row give [T, d], of B rows [B, T, d].
/// Errors: Mismatch when another codec wrote it; InvalidArgument when it holds more than `max_elements`, found out
/// before what is too much is decoded, or without the ids that the codec needs (`ids`: those of all tokens, row after
/// row; it is given those that the stream carries); the errors of StreamReader and of the codec; that of the verdict on
/// a frame's point.
Result<HiddenStates> DecodeHidden(const PackCodec& codec, std::span<const uint8_t> stream,
                                  uint64_t max_elements = kDefaultMaxElements, const PointVerdicts& verdicts = {},
                                  StreamIds* ids = nullptr);

/// `sluice encode --hidden IN --codec FILE.pack --out OUT`: IN is .safetensors (its tensor `tensor`) or .npy.
Result<HiddenStreamStats> EncodeHiddenFile(const PackCodec& codec, const std::filesystem::path& in,
                                           std::string_view tensor, const std::filesystem::path& out,
                                           uint32_t chunk_tokens = kDefaultChunkTokens, const PackRate& rate = {},
                                           const StreamIds& ids = {});
/// `sluice decode --codec FILE.pack --in IN --out OUT`: OUT is .safetensors or .npy, in `dtype` or, without one, in the
/// type that was encoded.
Result<HiddenStreamStats> DecodeHiddenFile(const PackCodec& codec, const std::filesystem::path& in,
                                           const std::filesystem::path& out, std::optional<DType> dtype = std::nullopt,
                                           uint64_t max_elements = kDefaultMaxElements,
                                           const PointVerdicts& verdicts = {}, StreamIds* ids = nullptr);

}  // namespace sluice

#endif  // SLUICE_CODEC_PACK_STREAM_H_
