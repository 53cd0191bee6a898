// The stream of docs/format.md, version 1: what all frames share once, in a header with a checksum of its own; then
// frames whose checksum covers their header and what their payload decodes to. Checking the decoded integers, and not
// the payload, is what a split model needs: it also catches a decoder that read good bytes with other tables. Each
// frame's checksum starts from the stream header's, so that a frame cannot stand in another stream. A token frame has
// no room for that: a rolling checksum takes in what it decodes to, the codec keeps as many of its bits as fit, and the
// end frame's checksum begins with it, so that nothing stays unseen to the end.
#include "format/stream.h"

#include <fmt/format.h>

#include <array>

#include "base/hash.h"

namespace sluice {
namespace {

constexpr std::array<uint8_t, 4> kStreamMagic = {'S', 'L', 'U', 'C'};
constexpr uint16_t kStreamFlags = kFreshFrames | kResidual | kSideTokens | kSingle | kIdsInStream;
constexpr int kSectionShift = 4;
constexpr uint8_t kTypeMask = 15;
constexpr int kSourceShift = 4;  // of byte 5, whose low bits are the kind

uint32_t HeaderChecksum(std::span<const uint8_t> header) { return Checksum32(header.first(kStreamHeaderSize - 4)); }

Status CheckHeader(const StreamHeader& header) {
  if (header.kind < CodecKind::kPlain || header.kind > CodecKind::kInteger) {
    return Unsupported(fmt::format("codec kind {}, this build knows 1 to 3", static_cast<int>(header.kind)));
  }
  if ((header.flags & ~kStreamFlags) != 0) {
    return Unsupported(fmt::format("flags {:#06x}, this build knows {:#06x}", header.flags, kStreamFlags));
  }
  const bool needs_ids = header.kind == CodecKind::kInteger && (header.flags & kSideTokens) != 0;
  if ((header.flags & kIdsInStream) != 0 && !needs_ids) return Unsupported("ids in a stream whose codec needs none");
  if (header.width == 0 || header.width > kMaxStreamWidth) {
    return Corrupt(fmt::format("width {}, expected 1 to {}", header.width, kMaxStreamWidth));
  }
  if (header.precision_bits != 0 && (header.precision_bits < 10 || header.precision_bits > 16)) {
    return Corrupt(fmt::format("precision of {} bits, expected 0 or 10 to 16", header.precision_bits));
  }
  if (header.kind != CodecKind::kFloat && (header.profile != 0 || header.threads != 0)) {
    return Corrupt("profile and threads are set for a codec that needs neither");
  }
  return OkStatus();
}

Status CheckFrame(const StreamHeader& header, uint64_t batch, uint64_t tokens, size_t sections) {
  if (batch == 0 || batch > kMaxFrameBatch) {
    return Corrupt(fmt::format("batch {}, expected 1 to {}", batch, kMaxFrameBatch));
  }
  const uint64_t tokens_limit = (header.flags & kSingle) != 0 ? kMaxSingleTokens : kMaxFrameTokens;
  const uint64_t most = std::min(tokens_limit, kMaxFrameElements / header.width) / batch;
  if (tokens == 0 || tokens > most) {
    return Corrupt(
        fmt::format("{} tokens in each of {} rows of width {}, expected 1 to {}", tokens, batch, header.width, most));
  }
  if (sections == 0 || sections > kMaxFrameSections) {
    return Corrupt(fmt::format("{} sections, expected 1 to {}", sections, kMaxFrameSections));
  }
  return OkStatus();
}

uint64_t SectionLimit(const StreamHeader& header) {
  return (header.flags & kSingle) != 0 ? kMaxSingleSectionBytes : kMaxSectionBytes;
}

Status CheckTokenFrame(const StreamHeader& header, uint32_t batch) {
  if (header.kind != CodecKind::kInteger || header.BeginsAnew()) {
    return Unsupported(fmt::format("a token frame in a stream of codec kind {} with flags {:#06x}",
                                   static_cast<int>(header.kind), header.flags));
  }
  if (batch != 1) return Corrupt(fmt::format("a token frame after one of {} rows", batch));
  return OkStatus();
}

uint32_t RollAFrame(uint32_t rolling, uint32_t checksum) {
  return Checksum32({reinterpret_cast<const uint8_t*>(&checksum), sizeof(checksum)}, rolling);
}

uint32_t StoredChecksum(uint32_t stream_checksum, std::span<const uint8_t> header, std::span<const uint8_t> payload) {
  return Checksum32(payload, Checksum32(header, stream_checksum));
}

std::vector<uint8_t> HeaderBytes(const StreamHeader& header) {
  ByteWriter writer;
  writer.PutBytes(kStreamMagic);
  writer.Put<uint8_t>(kStreamVersion);
  writer.Put<uint8_t>(
      static_cast<uint8_t>(static_cast<int>(header.kind) | HiddenTypeCode(header.source) << kSourceShift));
  writer.Put<uint16_t>(header.flags);
  writer.Put<uint64_t>(header.model_id);
  writer.Put<uint64_t>(header.codec_id);
  writer.Put<uint32_t>(header.width);
  writer.Put<uint16_t>(header.cut);
  writer.Put<uint8_t>(header.precision_bits);
  writer.Put<uint8_t>(header.threads);
  writer.Put<uint32_t>(header.profile);
  writer.Put<uint32_t>(Checksum32(writer.bytes()));
  return std::move(writer).Take();
}

}  // namespace

uint32_t FrameChecksum(uint32_t stream_checksum, std::span<const uint8_t> frame_header, IntegerPieces integers) {
  return RollingChecksum(Checksum32(frame_header, stream_checksum), integers);
}

uint32_t RollingChecksum(uint32_t before, IntegerPieces integers) {
  for (const std::span<const int32_t> piece : integers) {
    before = Checksum32({reinterpret_cast<const uint8_t*>(piece.data()), piece.size_bytes()}, before);
  }
  return before;
}

Status Frame::Verify(IntegerPieces integers) const {
  const uint32_t got = FrameChecksum(stream_checksum, header_bytes, integers);
  if (got == checksum) return OkStatus();
  return Corrupt(fmt::format("frame at byte {}, token {}: checksum {:#010x} of what was decoded, expected {:#010x}",
                             offset, first_token, got, checksum));
}

Result<StreamWriter> StreamWriter::ToMemory(const StreamHeader& header) {
  SLUICE_RETURN_IF_ERROR(AsArgument(CheckHeader(header)));
  if (!IsHiddenType(header.source)) {
    return InvalidArgument(fmt::format("source {}, expected F32, F16 or BF16", DTypeName(header.source)));
  }
  StreamWriter writer(header, std::nullopt);
  const std::vector<uint8_t> bytes = HeaderBytes(header);
  writer.stream_checksum_ = writer.rolling_ = HeaderChecksum(bytes);
  SLUICE_RETURN_IF_ERROR(writer.Emit(bytes));
  return writer;
}

Result<StreamWriter> StreamWriter::ToFile(const StreamHeader& header, const std::filesystem::path& path) {
  SLUICE_ASSIGN_OR_RETURN(StreamWriter memory, ToMemory(header));
  SLUICE_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  StreamWriter writer(header, std::move(file));
  writer.stream_checksum_ = writer.rolling_ = memory.stream_checksum_;
  SLUICE_RETURN_IF_ERROR(writer.Emit(memory.Take()));
  return writer;
}

Result<ByteWriter> StreamWriter::BeginFrame(FrameType type, uint32_t batch, uint32_t tokens,
                                            std::span<const std::span<const uint8_t>> sections) {
  SLUICE_RETURN_IF_ERROR(AsArgument(CheckFrame(header_, batch, tokens, sections.size())));
  const bool single = (header_.flags & kSingle) != 0;
  if (single && frames_ != 0) return InvalidArgument("a self-contained frame holds one frame, a second was added");
  ByteWriter header;
  header.Put<uint8_t>(static_cast<uint8_t>(static_cast<size_t>(type) | (sections.size() - 1) << kSectionShift));
  header.PutVarint(batch);
  header.PutVarint(tokens);
  if (!single) header.PutVarint(tokens_);
  for (const std::span<const uint8_t> section : sections) {
    if (section.size() > SectionLimit(header_)) {
      return InvalidArgument(
          fmt::format("a section of {} bytes, at most {} fit", section.size(), SectionLimit(header_)));
    }
    header.PutVarint(section.size());
  }
  return header;
}

Status StreamWriter::AddChunk(uint32_t batch, uint32_t tokens, std::span<const std::span<const uint8_t>> sections,
                              IntegerPieces integers) {
  SLUICE_ASSIGN_OR_RETURN(const ByteWriter header, BeginFrame(FrameType::kChunk, batch, tokens, sections));
  SLUICE_RETURN_IF_ERROR(WriteFrame(header, sections, FrameChecksum(stream_checksum_, header.bytes(), integers)));
  Count(batch, tokens);
  return OkStatus();
}

Status StreamWriter::AddStored(uint32_t batch, uint32_t tokens, std::span<const uint8_t> payload) {
  const std::array<std::span<const uint8_t>, 1> sections = {payload};
  SLUICE_ASSIGN_OR_RETURN(const ByteWriter header, BeginFrame(FrameType::kStored, batch, tokens, sections));
  SLUICE_RETURN_IF_ERROR(WriteFrame(header, sections, StoredChecksum(stream_checksum_, header.bytes(), payload)));
  Count(batch, tokens);
  return OkStatus();
}

Status StreamWriter::AddToken(uint8_t bits, std::span<const uint8_t> payload, IntegerPieces integers) {
  SLUICE_RETURN_IF_ERROR(AsArgument(CheckTokenFrame(header_, batch_)));
  if (bits > kTokenBits) return InvalidArgument(fmt::format("a token frame's bits are {:#x}, more than 7 bits", bits));
  ByteWriter frame;
  frame.Put<uint8_t>(static_cast<uint8_t>(static_cast<uint8_t>(FrameType::kToken) | bits));
  frame.PutBytes(payload);
  SLUICE_RETURN_IF_ERROR(Emit(frame.bytes()));
  rolling_ = RollingChecksum(rolling_, integers);
  Count(1, 1);
  return OkStatus();
}

bool StreamWriter::TakesTokens() const { return CheckTokenFrame(header_, batch_).ok(); }

void StreamWriter::Count(uint32_t batch, uint32_t tokens) {
  ++frames_;
  tokens_ += uint64_t{batch} * tokens;
  batch_ = batch;
}

Status StreamWriter::WriteFrame(const ByteWriter& header, std::span<const std::span<const uint8_t>> sections,
                                uint32_t checksum) {
  ByteWriter frame;
  frame.PutBytes(header.bytes());
  for (const std::span<const uint8_t> section : sections) frame.PutBytes(section);
  frame.Put<uint32_t>(checksum);
  SLUICE_RETURN_IF_ERROR(Emit(frame.bytes()));
  rolling_ = RollAFrame(rolling_, checksum);
  return OkStatus();
}

Status StreamWriter::Finish() {
  ByteWriter end;
  if ((header_.flags & kSingle) == 0) {
    end.Put<uint8_t>(static_cast<uint8_t>(FrameType::kEnd));
    end.PutVarint(frames_);
    end.PutVarint(tokens_);
    end.Put<uint32_t>(Checksum32(end.bytes(), rolling_));
  } else if (frames_ == 0) {
    return InvalidArgument("a self-contained frame without its frame");
  }
  SLUICE_RETURN_IF_ERROR(Emit(end.bytes()));
  finished_ = true;
  return file_ ? file_->Commit() : OkStatus();
}

Status StreamWriter::Emit(std::span<const uint8_t> bytes) {
  if (finished_) return InvalidArgument("the stream is finished, nothing can be added");
  if (file_) {
    SLUICE_RETURN_IF_ERROR(file_->Write(bytes));
  } else {
    pending_.insert(pending_.end(), bytes.begin(), bytes.end());
  }
  written_ += bytes.size();
  return OkStatus();
}

std::vector<uint8_t> StreamWriter::Take() { return std::exchange(pending_, {}); }

Result<StreamReader> StreamReader::FromBytes(std::span<const uint8_t> bytes) {
  StreamReader stream(bytes);
  SLUICE_RETURN_IF_ERROR(stream.ReadHeader().WithContext("stream header"));
  return stream;
}

Result<StreamReader> StreamReader::Open(const std::filesystem::path& path) {
  SLUICE_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  Result<StreamReader> stream = FromBytes(file.bytes());
  if (!stream.ok()) return stream.status().WithContext(path.string());
  stream->file_.emplace(std::move(file));
  return stream;
}

Status StreamReader::ReadHeader() {
  for (size_t i = 0; i < std::min(kStreamMagic.size(), bytes_.size()); ++i) {
    if (bytes_[i] != kStreamMagic[i]) return Corrupt("not a sluice stream: it does not begin with \"SLUC\"");
  }
  if (bytes_.size() > kStreamMagic.size() && bytes_[kStreamMagic.size()] != kStreamVersion) {
    return Unsupported(
        fmt::format("version {}, this build reads version {}", bytes_[kStreamMagic.size()], kStreamVersion));
  }
  if (bytes_.size() < kStreamHeaderSize) {
    return Truncated(fmt::format("{} bytes, expected {}", bytes_.size(), kStreamHeaderSize));
  }
  const uint8_t* at = bytes_.data();
  stream_checksum_ = rolling_ = LoadLe<uint32_t>(at + 36);
  if (HeaderChecksum(bytes_) != stream_checksum_) return Corrupt("its checksum does not match");
  header_ = {.kind = static_cast<CodecKind>(at[5] & kTypeMask),
             .flags = LoadLe<uint16_t>(at + 6),
             .model_id = LoadLe<uint64_t>(at + 8),
             .codec_id = LoadLe<uint64_t>(at + 16),
             .width = LoadLe<uint32_t>(at + 24),
             .cut = LoadLe<uint16_t>(at + 28),
             .precision_bits = at[30],
             .threads = at[31],
             .profile = LoadLe<uint32_t>(at + 32)};
  const int code = at[5] >> kSourceShift;
  const std::optional<DType> source = HiddenTypeOf(code);
  if (!source) return Unsupported(fmt::format("source type {}", code));
  header_.source = *source;
  offset_ = kStreamHeaderSize;
  return CheckHeader(header_);
}

Result<std::optional<Frame>> StreamReader::Next() {
  if (ended_) return std::optional<Frame>();
  const std::string where = fmt::format("frame {} at byte {}", frames_, before_ + offset_);
  if (token_pending_) return InvalidArgument(where + ": the token frame before it was not consumed");
  if ((header_.flags & kSingle) != 0 && frames_ == 1) {
    SLUICE_RETURN_IF_ERROR(FinishSingle());
    return std::optional<Frame>();
  }
  ByteReader reader(bytes_.subspan(offset_));
  const Result<uint8_t> type = reader.Get<uint8_t>();
  if (!type.ok()) {
    return Truncated(fmt::format("{}: the stream stops without an end frame; {} tokens are whole", where, tokens_));
  }
  if (*type == static_cast<uint8_t>(FrameType::kEnd) && (header_.flags & kSingle) == 0) {
    SLUICE_RETURN_IF_ERROR(ReadEnd(reader).WithContext(where));
    offset_ = bytes_.size();
    ended_ = true;
    return std::optional<Frame>();
  }
  const bool token = (*type & static_cast<uint8_t>(FrameType::kToken)) != 0;
  Result<Frame> frame = token ? ReadToken(reader, *type) : ReadFrame(reader, *type);
  if (!frame.ok()) return frame.status().WithContext(where);
  offset_ += reader.offset();
  batch_ = frame->batch;
  tokens_ += uint64_t{frame->batch} * frame->tokens;
  ++frames_;
  token_pending_ = token;
  if (!token) rolling_ = RollAFrame(rolling_, frame->checksum);
  return std::optional<Frame>(std::move(*frame));
}

Status StreamReader::FinishSingle() {
  if (unread() != 0) return Corrupt(fmt::format("{} bytes after a self-contained frame", unread()));
  ended_ = true;
  return OkStatus();
}

Status StreamReader::Consume(size_t bytes, IntegerPieces integers) {
  if (!token_pending_) return InvalidArgument("there is no token frame to consume");
  if (bytes > unread()) return InvalidArgument(fmt::format("{} bytes consumed, there are {}", bytes, unread()));
  offset_ += bytes;
  rolling_ = RollingChecksum(rolling_, integers);
  token_pending_ = false;
  return OkStatus();
}

void StreamReader::Continue(std::span<const uint8_t> bytes) {
  before_ += offset_;
  offset_ = 0;
  bytes_ = bytes;
}

void StreamReader::Return(const Place& place) {
  offset_ = place.offset;
  rolling_ = place.rolling;
  batch_ = place.batch;
  frames_ = place.frames;
  tokens_ = place.tokens;
  token_pending_ = false;
}

Status StreamReader::CheckElements(uint64_t tokens) const {
  if (tokens * header_.width <= most_elements_) return OkStatus();
  return InvalidArgument(
      fmt::format("a frame of {} tokens of width {}, more than {} elements, the most that was allowed", tokens,
                  header_.width, most_elements_));
}

Result<Frame> StreamReader::ReadToken(ByteReader& reader, uint8_t type) const {
  SLUICE_RETURN_IF_ERROR(CheckTokenFrame(header_, batch_));
  SLUICE_RETURN_IF_ERROR(CheckElements(1));
  if (tokens_ > kMaxStreamTokens) return Corrupt(fmt::format("more than {} tokens", kMaxStreamTokens));
  Frame frame;
  frame.type = FrameType::kToken;
  frame.batch = frame.tokens = 1;
  frame.first_token = tokens_;
  frame.stream_checksum = stream_checksum_;
  frame.rolling = rolling_;
  frame.token_bits = type & kTokenBits;
  frame.offset = before_ + offset_;
  frame.header_bytes = bytes_.subspan(offset_, reader.offset());
  frame.sections.push_back(bytes_.subspan(offset_ + reader.offset()));
  return frame;
}

Result<Frame> StreamReader::ReadFrame(ByteReader& reader, uint8_t type) const {
  Frame frame;
  frame.type = static_cast<FrameType>(type & kTypeMask);
  frame.stream_checksum = stream_checksum_;
  frame.rolling = rolling_;
  frame.offset = before_ + offset_;
  const bool chunk = frame.type == FrameType::kChunk;
  if ((!chunk && frame.type != FrameType::kStored) || chunk == (header_.kind == CodecKind::kPlain)) {
    return Unsupported(fmt::format("frame type {} in a stream of codec kind {}", type, static_cast<int>(header_.kind)));
  }
  SLUICE_ASSIGN_OR_RETURN(const uint64_t batch, reader.GetVarint());
  SLUICE_ASSIGN_OR_RETURN(const uint64_t tokens, reader.GetVarint());
  if ((header_.flags & kSingle) == 0) {
    SLUICE_ASSIGN_OR_RETURN(frame.first_token, reader.GetVarint());
  }
  const size_t sections = (type >> kSectionShift) + size_t{1};
  SLUICE_RETURN_IF_ERROR(CheckFrame(header_, batch, tokens, sections));
  SLUICE_RETURN_IF_ERROR(CheckElements(batch * tokens));
  frame.batch = static_cast<uint32_t>(batch);
  frame.tokens = static_cast<uint32_t>(tokens);
  if (frame.first_token != tokens_ || tokens_ > kMaxStreamTokens) {
    return Corrupt(fmt::format("it begins at token {}, expected {}", frame.first_token, tokens_));
  }
  SLUICE_RETURN_IF_ERROR(ReadSections(reader, sections, frame));
  SLUICE_ASSIGN_OR_RETURN(frame.checksum, reader.Get<uint32_t>());
  if (chunk) return frame;
  if (sections != 1) return Corrupt(fmt::format("a stored frame of {} sections, expected 1", sections));
  if (StoredChecksum(stream_checksum_, frame.header_bytes, frame.sections[0]) != frame.checksum) {
    return Corrupt("its checksum does not match");
  }
  return frame;
}

Status StreamReader::ReadSections(ByteReader& reader, size_t sections, Frame& frame) const {
  std::array<uint64_t, kMaxFrameSections> sizes{};
  for (size_t i = 0; i < sections; ++i) {
    SLUICE_ASSIGN_OR_RETURN(sizes[i], reader.GetVarint());
    if (sizes[i] > SectionLimit(header_)) {
      return Corrupt(fmt::format("section {} of {} bytes, at most {} are allowed", i, sizes[i], SectionLimit(header_)));
    }
  }
  frame.header_bytes = bytes_.subspan(offset_, reader.offset());
  for (size_t i = 0; i < sections; ++i) {
    SLUICE_ASSIGN_OR_RETURN(const std::span<const uint8_t> section, reader.GetBytes(sizes[i]));
    frame.sections.push_back(section);
  }
  return OkStatus();
}

Status StreamReader::ReadEnd(ByteReader& reader) const {
  SLUICE_ASSIGN_OR_RETURN(const uint64_t frames, reader.GetVarint());
  SLUICE_ASSIGN_OR_RETURN(const uint64_t tokens, reader.GetVarint());
  const std::span<const uint8_t> header = bytes_.subspan(offset_, reader.offset());
  SLUICE_ASSIGN_OR_RETURN(const uint32_t checksum, reader.Get<uint32_t>());
  if (Checksum32(header, rolling_) != checksum) return Corrupt("the end frame's checksum does not match");
  if (frames != frames_ || tokens != tokens_) {
    return Corrupt(fmt::format("the end frame counts {} frames and {} tokens, {} and {} were read", frames, tokens,
                               frames_, tokens_));
  }
  if (reader.remaining() != 0) return Corrupt(fmt::format("{} bytes after the end frame", reader.remaining()));
  return OkStatus();
}

}  // namespace sluice
