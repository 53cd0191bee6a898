// Both repairs copy the bytes and walk the copy as a lenient reader would: a size that leads past the end stops them,
// and what follows stays as it was. Frames of a stream are written anew, because the running count in their header
// changes its length with its value.
#include "fix_checksums.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

#include "base/bytes.h"
#include "base/hash.h"

namespace sluice {
namespace {

constexpr size_t kStreamHeader = 44;
constexpr size_t kArchiveHeader = 40;
constexpr size_t kArchiveMark = 20;
constexpr uint32_t kChunkMark = 0x4B4E4843;  // "CHNK"

void Append(std::vector<uint8_t>& bytes, std::span<const uint8_t> more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

void PutChecksum(std::vector<uint8_t>& bytes, size_t at, uint32_t checksum) { StoreLe(checksum, bytes.data() + at); }

/// Writes the frames of `reader` anew; gives false where the stream cannot be followed any further.
class StreamRepair {
 public:
  explicit StreamRepair(std::vector<uint8_t>& out) : out_(out), seed_(LoadLe<uint32_t>(out.data() + 40)) {}

  bool Frame(ByteReader& reader) {
    const Result<uint8_t> type = reader.Get<uint8_t>();
    if (!type.ok()) return false;
    if ((*type & 15) == 3) return End(*type, reader);
    const Result<uint64_t> batch = reader.GetVarint();
    const Result<uint64_t> tokens = reader.GetVarint();
    if (!batch.ok() || !tokens.ok() || !reader.GetVarint().ok()) return false;
    std::array<uint64_t, 16> sizes{};
    const size_t sections = (*type >> 4) + size_t{1};
    ByteWriter header;
    header.Put(*type);
    for (const uint64_t field : {*batch, *tokens, tokens_}) header.PutVarint(field);
    for (size_t i = 0; i < sections; ++i) {
      const Result<uint64_t> size = reader.GetVarint();
      if (!size.ok() || *size > reader.remaining()) return false;
      header.PutVarint(sizes[i] = *size);
    }
    const Result<std::span<const uint8_t>> body =
        reader.GetBytes(std::accumulate(sizes.begin(), sizes.end(), uint64_t{0}));
    if (!body.ok()) return false;
    Append(out_, header.bytes());
    Append(out_, *body);
    const size_t at = out_.size();
    out_.resize(at + 4);
    PutChecksum(out_, at, Checksum32(*body, Checksum32(header.bytes(), seed_)));
    tokens_ += *batch * *tokens;
    ++frames_;
    return reader.GetBytes(4).ok();
  }

 private:
  bool End(uint8_t type, ByteReader& reader) {
    ByteWriter end;
    end.Put(type);
    end.PutVarint(frames_);
    end.PutVarint(tokens_);
    end.Put(Checksum32(end.bytes(), seed_));
    Append(out_, end.bytes());
    // What stood here is passed over; anything beyond stays, to be found.
    (void)reader.GetVarint();
    (void)reader.GetVarint();
    (void)reader.GetBytes(std::min<size_t>(4, reader.remaining()));
    return false;
  }

  std::vector<uint8_t>& out_;
  uint32_t seed_;
  uint64_t tokens_ = 0;
  uint64_t frames_ = 0;
};

}  // namespace

std::vector<uint8_t> RepairStream(std::span<const uint8_t> bytes) {
  if (bytes.size() < kStreamHeader) return {bytes.begin(), bytes.end()};
  std::vector<uint8_t> out(bytes.begin(), bytes.begin() + kStreamHeader);
  PutChecksum(out, 40, Checksum32(std::span(out).first(40)));
  StreamRepair repair(out);
  ByteReader reader(bytes.subspan(kStreamHeader));
  size_t followed = reader.offset();
  while (repair.Frame(reader)) followed = reader.offset();
  if (reader.remaining() > 0) Append(out, bytes.subspan(kStreamHeader + std::max(followed, reader.offset())));
  return out;
}

std::vector<uint8_t> RepairArchive(std::span<const uint8_t> bytes) {
  std::vector<uint8_t> out(bytes.begin(), bytes.end());
  if (out.size() < kArchiveHeader) return out;
  PutChecksum(out, 36, Checksum32(std::span(out).first(36)));
  uint32_t tokens = 0;
  uint32_t chunks = 0;
  for (size_t at = kArchiveHeader; at + kArchiveMark <= out.size();) {
    uint8_t* mark = out.data() + at;
    size_t payload = 0;
    if (LoadLe<uint32_t>(mark) == kChunkMark) {
      payload = std::min<size_t>(LoadLe<uint32_t>(mark + 8), out.size() - at - kArchiveMark);
      tokens += LoadLe<uint32_t>(mark + 4);
      ++chunks;
      PutChecksum(out, at + 12, Checksum32(std::span(out).subspan(at + kArchiveMark, payload)));
    } else {
      StoreLe(chunks, mark + 4);
      StoreLe(tokens, mark + 12);
    }
    PutChecksum(out, at + 16, Checksum32(std::span(out).subspan(at, 16), at));
    at += kArchiveMark + payload;
  }
  return out;
}

}  // namespace sluice
