#ifndef SLUICE_CODEC_ACTIVATION_ARCHIVE_H_
#define SLUICE_CODEC_ACTIVATION_ARCHIVE_H_

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "codec/activation_coder.h"
#include "format/archive.h"

namespace sluice {

/// Tokens of a chunk when nothing else is asked for. Longer chunks find more that resembles, shorter ones are reached
/// sooner.
inline constexpr uint32_t kDefaultArchiveChunkTokens = 16'384;
/// Largest tokens * width that UnpackHidden decodes into memory when nothing else is asked for.
inline constexpr uint64_t kDefaultMaxUnpackedElements = uint64_t{1} << 32;

struct PackOptions {
  FidelitySpec fidelity;
  uint32_t chunk_tokens = kDefaultArchiveChunkTokens;
  bool append = false;  ///< go on after an existing archive of the same width, type and fidelity
};

struct ArchiveStats {
  uint64_t bytes = 0;  ///< the archive
  uint64_t source_bytes = 0;
  uint64_t tokens = 0;
  uint32_t width = 0;
  bool complete = true;  ///< false: the writer of the archive did not finish; what is complete was read
};

/// `sluice pack-hidden`: a tensor [T, d] or [B, T, d] of a .safetensors (named by `tensor`, or its only float tensor)
/// or .npy file into an archive, chunk by chunk. Errors: InvalidArgument; the errors of the readers; Io.
Result<ArchiveStats> PackHidden(const std::filesystem::path& in, std::string_view tensor,
                                const std::filesystem::path& out, const PackOptions& options);

/// `sluice unpack-hidden`: the tokens [range->first, range->second) (all without one; then a batch gets its shape back)
/// into a .safetensors or .npy file. Only the chunks that the range touches are read. Errors: InvalidArgument for a
/// range outside the archive or more than `max_elements`; Corrupt; Io.
Result<ArchiveStats> UnpackHidden(const std::filesystem::path& in, const std::filesystem::path& out,
                                  std::optional<std::pair<uint64_t, uint64_t>> range = std::nullopt,
                                  uint64_t max_elements = kDefaultMaxUnpackedElements);

/// Bytes of the tokens [begin, end) of an open archive, in DecodedType. Errors: as UnpackHidden.
Result<std::vector<uint8_t>> ReadTokens(const ArchiveReader& archive, uint64_t begin, uint64_t end);
/// The fidelity that an archive's header records.
FidelitySpec FidelityOf(const ArchiveHeader& header);

}  // namespace sluice

#endif  // SLUICE_CODEC_ACTIVATION_ARCHIVE_H_
