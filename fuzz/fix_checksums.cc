// Both repairs copy the bytes and walk the copy as a lenient reader would: a size that leads past the end stops them,
// and what follows stays as it was. Frames of a stream are written anew, because the running count in their header
// changes its length with its value.
#include "fix_checksums.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/hash.h"

namespace sluice {
namespace {

constexpr size_t kStreamHeader = 40;
constexpr size_t kArchiveHeader = 40;
constexpr size_t kArchiveMark = 20;
constexpr uint32_t kChunkMark = 0x4B4E4843;  // "CHNK"

void Append(std::vector<uint8_t>& bytes, std::span<const uint8_t> more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

std::span<const uint8_t> BytesOf(const uint32_t& word) { return {reinterpret_cast<const uint8_t*>(&word), 4}; }

/// Each byte as a little-endian int32.
std::vector<uint8_t> Widened(std::span<const uint8_t> bytes) {
  std::vector<uint8_t> wide(4 * bytes.size());
  for (size_t i = 0; i < bytes.size(); ++i) wide[4 * i] = bytes[i];
  return wide;
}

void PutChecksum(std::vector<uint8_t>& bytes, size_t at, uint32_t checksum) { StoreLe(checksum, bytes.data() + at); }

/// Writes the frames of `reader` anew; gives false where the stream cannot be followed any further.
class StreamRepair {
 public:
  StreamRepair(std::vector<uint8_t>& out, const ChunkChecksum& chunk)
      : out_(out),
        chunk_(chunk),
        seed_(LoadLe<uint32_t>(out.data() + kStreamHeader - 4)),
        rolling_(seed_),
        single_((out[6] & 8) != 0) {}

  bool Frame(ByteReader& reader) {
    const Result<uint8_t> type = reader.Get<uint8_t>();
    if (!type.ok() || (single_ && frames_ > 0)) return false;
    if (*type == 3 && !single_) return End(reader);
    return (*type & 0x80) != 0 ? Token(*type, reader) : ChunkOrStored(*type, reader);
  }

 private:
  bool ChunkOrStored(uint8_t type, ByteReader& reader) {
    const Result<uint64_t> batch = reader.GetVarint();
    const Result<uint64_t> tokens = reader.GetVarint();
    if (!batch.ok() || !tokens.ok() || (!single_ && !reader.GetVarint().ok())) return false;
    ByteWriter header;
    header.Put(type);
    header.PutVarint(*batch);
    header.PutVarint(*tokens);
    if (!single_) header.PutVarint(tokens_);
    uint64_t whole = 0;
    for (int left = type >> 4; left >= 0; --left) {
      const Result<uint64_t> size = reader.GetVarint();
      if (!size.ok() || *size > reader.remaining()) return false;
      header.PutVarint(*size);
      whole += *size;
    }
    const Result<std::span<const uint8_t>> body = reader.GetBytes(whole);
    if (!body.ok()) return false;
    const uint32_t begun = Checksum32(header.bytes(), seed_);
    const bool chunk = (type & 15) == 1;
    const uint32_t checksum = chunk ? chunk_(*batch, *tokens, *body, begun) : Checksum32(*body, begun);
    rolling_ = Checksum32(BytesOf(checksum), rolling_);
    header.PutBytes(*body);
    header.Put(checksum);
    Append(out_, header.bytes());
    tokens_ += *batch * *tokens;
    ++frames_;
    return reader.GetBytes(4).ok();
  }

  bool Token(uint8_t type, ByteReader& reader) {
    const std::span<const uint8_t> rest = *ByteReader(reader).GetBytes(reader.remaining());
    const std::span<const uint8_t> payload = *reader.GetBytes(TokenPayloadSize(rest));
    rolling_ = Checksum32(Widened(payload), rolling_);
    out_.push_back(type);
    Append(out_, payload);
    ++tokens_;
    ++frames_;
    return true;
  }

  bool End(ByteReader& reader) {
    ByteWriter end;
    end.Put<uint8_t>(3);
    end.PutVarint(frames_);
    end.PutVarint(tokens_);
    end.Put(Checksum32(end.bytes(), rolling_));
    Append(out_, end.bytes());
    // What stood here is passed over; anything beyond stays, to be found.
    (void)reader.GetVarint();
    (void)reader.GetVarint();
    (void)reader.GetBytes(std::min<size_t>(4, reader.remaining()));
    return false;
  }

  std::vector<uint8_t>& out_;
  const ChunkChecksum& chunk_;
  uint32_t seed_;
  uint32_t rolling_;
  bool single_;
  uint64_t tokens_ = 0;
  uint64_t frames_ = 0;
};

}  // namespace

size_t TokenPayloadSize(std::span<const uint8_t> rest) {
  return rest.empty() ? 0 : std::min<size_t>(rest.size(), 1 + rest[0] % 8);
}

std::vector<uint8_t> RepairStream(std::span<const uint8_t> bytes) {
  return RepairStreamWith([](uint64_t, uint64_t, std::span<const uint8_t> sections,
                             uint32_t before) { return Checksum32(Widened(sections), before); },
                          bytes);
}

std::vector<uint8_t> RepairStreamWith(const ChunkChecksum& chunk, std::span<const uint8_t> bytes) {
  if (bytes.size() < kStreamHeader) return {bytes.begin(), bytes.end()};
  std::vector<uint8_t> out(bytes.begin(), bytes.begin() + kStreamHeader);
  PutChecksum(out, kStreamHeader - 4, Checksum32(std::span(out).first(kStreamHeader - 4)));
  StreamRepair repair(out, chunk);
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

std::vector<uint8_t> RepairPack(std::span<const uint8_t> bytes) {
  constexpr size_t kPackHeader = 80;
  constexpr size_t kTail = 8;
  std::vector<uint8_t> out(bytes.begin(), bytes.end());
  if (out.size() < kPackHeader + kTail) return out;
  const uint64_t room = (out.size() - kTail) / 8 * 8;
  const uint64_t body = std::min(LoadLe<uint64_t>(out.data() + 8), room) / 8 * 8;
  StoreLe(body, out.data() + 8);
  StoreLe(static_cast<uint32_t>(out.size() - kTail - body), out.data() + body);
  PutChecksum(out, out.size() - 4, Checksum32(std::span(out).first(out.size() - 4)));
  return out;
}

}  // namespace sluice
