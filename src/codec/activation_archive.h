#ifndef SLUICE_CODEC_ACTIVATION_ARCHIVE_H_
#define SLUICE_CODEC_ACTIVATION_ARCHIVE_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "codec/activation_coder.h"
#include "format/archive.h"

namespace sluice {

/// Chunks of at most these many tokens and elements are made when nothing else is asked for. Longer chunks find more
/// that resembles; shorter ones are reached sooner and need less memory.
inline constexpr uint32_t kDefaultArchiveChunkTokens = 16'384;
inline constexpr uint64_t kDefaultArchiveChunkElements = uint64_t{1} << 22;

/// Is told the tokens done and in all after each chunk. Anything but Ok stops the work with this status.
using ArchiveProgress = std::function<Status(uint64_t done, uint64_t total)>;

struct PackOptions {
  FidelitySpec fidelity;
  uint32_t chunk_tokens = 0;  ///< 0: chosen by the width
  bool append = false;        ///< go on after an existing archive of the same width, type and fidelity
  ArchiveProgress progress;
};

struct ArchiveStats {
  uint64_t bytes = 0;         ///< the archive
  uint64_t source_bytes = 0;  ///< of the tokens that were packed or unpacked, before packing
  uint64_t packed_bytes = 0;  ///< what packing added to the archive; 0 after unpacking
  uint64_t tokens = 0;
  uint32_t width = 0;
  bool complete = true;  ///< false: the writer of the archive did not finish; what is complete was read
};

/// `sluice pack-hidden`: a tensor [T, d] or [B, T, d] of a .safetensors (named by `tensor`, or its only float tensor)
/// or .npy file into an archive, chunk by chunk. Stopped or killed, it leaves the chunks so far, which can be read and
/// appended to; what stood at `out` is given up when the first chunk is encoded, unless it is appended to. Errors:
/// InvalidArgument; the errors of the readers; Io. Cost: memory of one chunk, about 25 bytes an element, whatever the
/// size of the file.
Result<ArchiveStats> PackHidden(const std::filesystem::path& in, std::string_view tensor,
                                const std::filesystem::path& out, const PackOptions& options);

/// `sluice unpack-hidden`: the tokens [range->first, range->second) (all without one; then a batch gets its shape back)
/// into a .safetensors or .npy file, which appears when it is whole. Only the chunks that the range touches are read.
/// Errors: InvalidArgument for a range outside the archive; Corrupt; Io. Cost: memory of one chunk.
Result<ArchiveStats> UnpackHidden(const std::filesystem::path& in, const std::filesystem::path& out,
                                  std::optional<std::pair<uint64_t, uint64_t>> range = std::nullopt,
                                  const ArchiveProgress& progress = {});

/// Takes the bytes of consecutive tokens.
using TokenSink = std::function<Status(std::span<const uint8_t> bytes)>;
/// Decodes the tokens [begin, end) of an open archive and hands them over chunk by chunk, in DecodedType.
/// Errors: InvalidArgument for a range outside the archive or empty; Corrupt or Truncated, naming the chunk; the
/// sink's. Threads: any number on one archive.
Status VisitTokens(const ArchiveReader& archive, uint64_t begin, uint64_t end, const TokenSink& sink);

/// The same bytes at once. Errors: as VisitTokens.
Result<std::vector<uint8_t>> ReadTokens(const ArchiveReader& archive, uint64_t begin, uint64_t end);
/// The fidelity that an archive's header records.
FidelitySpec FidelityOf(const ArchiveHeader& header);

}  // namespace sluice

#endif  // SLUICE_CODEC_ACTIVATION_ARCHIVE_H_
