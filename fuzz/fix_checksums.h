#ifndef SLUICE_FUZZ_FIX_CHECKSUMS_H_
#define SLUICE_FUZZ_FIX_CHECKSUMS_H_

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace sluice {

// A checksum hides what lies behind it from mutation: nearly every mutant is refused at once. So every target that
// reads checked bytes sees each input twice, as it is and with what these functions make of it. They follow the layouts
// of docs/format.md by themselves, with no help from the readers under test, and keep everything that a checksum or a
// running count does not decide.

/// The checksum of a chunk. Data: its rows, tokens in a row, and sections, and the checksum of what precedes its
/// integers.
using ChunkChecksum =
    std::function<uint32_t(uint64_t batch, uint64_t tokens, std::span<const uint8_t> sections, uint32_t before)>;

/// Right checksums and counts for the header, the frames and the end frame of a stream, as far as it can be followed.
/// The bytes of learned frames are taken for the integers that they decode to.
std::vector<uint8_t> RepairStream(std::span<const uint8_t> bytes);
/// The same with other checksums of chunks.
std::vector<uint8_t> RepairStreamWith(const ChunkChecksum& chunk, std::span<const uint8_t> bytes);

/// What of the bytes behind a token frame's first one is taken for its payload: only a learned codec can tell, and the
/// target for streams has none.
size_t TokenPayloadSize(std::span<const uint8_t> rest);

/// Right sizes of body and certificate, and the right checksum, for a pack.
std::vector<uint8_t> RepairPack(std::span<const uint8_t> bytes);

/// Right checksums for the header, the chunks and the end mark of an activation archive, and right counts in the
/// latter.
std::vector<uint8_t> RepairArchive(std::span<const uint8_t> bytes);

/// A target's whole work: the input as it is, then mended.
template <typename Try, typename Repair>
int TryAsItIsAndMended(const uint8_t* data, size_t size, Try&& attempt, Repair&& repair) {
  const std::span<const uint8_t> bytes(data, size);
  attempt(bytes);
  attempt(repair(bytes));
  return 0;
}

}  // namespace sluice

#endif  // SLUICE_FUZZ_FIX_CHECKSUMS_H_
