// Activation archives. Proves, for every input and for the same with its checksums mended: the walk over the chunks
// stays inside the file and blames the input; tokens and offsets of the chunks add up; every chunk is decoded to
// exactly its size or refused, without memory beyond it; any range of tokens is what the whole gives there.
#include <algorithm>

#include "codec/activation_archive.h"
#include "codec/activation_coder.h"
#include "fix_checksums.h"
#include "format/dtype.h"
#include "fuzz_input.h"

namespace sluice {
namespace {

constexpr uint64_t kMaxElements = uint64_t{1} << 14;

void CheckChunks(const ArchiveReader& archive, std::span<const uint8_t> bytes) {
  uint64_t tokens = 0;
  for (const ArchiveChunk& chunk : archive.chunks()) {
    FUZZ_REQUIRE(chunk.first_token == tokens && chunk.tokens >= 1);
    FUZZ_REQUIRE(uint64_t{chunk.tokens} * archive.header().width <= kMaxArchiveChunkElements);
    FUZZ_REQUIRE(chunk.payload.data() >= bytes.data());
    FUZZ_REQUIRE(chunk.payload.data() + chunk.payload.size() <= bytes.data() + bytes.size());
    tokens += chunk.tokens;
  }
  FUZZ_REQUIRE(tokens == archive.tokens() && archive.end_of_chunks() <= bytes.size());
}

void DecodeChunks(const ArchiveReader& archive) {
  const FidelitySpec fidelity = FidelityOf(archive.header());
  const DType source = archive.header().source;
  const size_t width = archive.header().width;
  for (size_t i = 0; i < archive.chunks().size(); ++i) {
    const size_t tokens = archive.chunks()[i].tokens;
    const Result<std::span<const uint8_t>> payload = archive.Payload(i);
    RequireInputFault(payload.status());
    if (!payload.ok() || tokens * width > kMaxElements) continue;
    const auto decoded = DecodeActivations(*payload, source, tokens, width, fidelity);
    RequireInputFault(decoded.status());
    if (decoded.ok()) FUZZ_REQUIRE(decoded->size() == tokens * width * DTypeSize(DecodedType(source, fidelity)));
  }
}

void ReadRanges(const ArchiveReader& archive) {
  const uint64_t tokens = archive.tokens();
  if (tokens * archive.header().width > kMaxElements) return;
  const Result<std::vector<uint8_t>> all = ReadTokens(archive, 0, tokens);
  RequireInputFault(all.status());
  FUZZ_REQUIRE(!ReadTokens(archive, 0, tokens + 1).ok());
  if (!all.ok() || tokens == 0) return;
  const Result<std::vector<uint8_t>> part = ReadTokens(archive, tokens / 3, tokens - tokens / 4);
  FUZZ_REQUIRE(part.ok());
  const auto begin = all->begin() + static_cast<std::ptrdiff_t>(all->size() / tokens * (tokens / 3));
  FUZZ_REQUIRE(std::equal(part->begin(), part->end(), begin));
}

void TryArchive(std::span<const uint8_t> bytes) {
  const Result<ArchiveReader> archive = ArchiveReader::FromBytes(bytes);
  RequireInputFault(archive.status());
  if (!archive.ok()) return;
  CheckChunks(*archive, bytes);
  if (!CheckFidelity(FidelityOf(archive->header())).ok() && FidelityOf(archive->header()).kind != Fidelity::kLossless) {
    return;
  }
  DecodeChunks(*archive);
  ReadRanges(*archive);
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return sluice::TryAsItIsAndMended(data, size, sluice::TryArchive, sluice::RepairArchive);
}
