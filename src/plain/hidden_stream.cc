// Hidden states through a plain codec into a stream and back. A batch is cut along its tokens, all rows together, so
// that the frames tell the shape. Reading walks the frame headers first: the size is known, and refused if it must be,
// before the first payload is decoded. What frames claim is believed only as far as their payloads can hold it.
#include "plain/hidden_stream.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "plain/plain_codec.h"

namespace sluice {
namespace {

// Reads every frame's header and checksum, and whether its payload has room for what it claims; the result has the
// shape, and no values yet.
Result<HiddenStates> Shape(std::span<const uint8_t> stream, const HiddenCodec& codec, uint64_t max_elements) {
  SLUICE_ASSIGN_OR_RETURN(StreamReader reader, StreamReader::FromBytes(stream));
  const uint64_t width = reader.header().width;
  HiddenStates hidden;
  hidden.source = reader.header().source;
  uint64_t batch = 0;
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const std::optional<Frame> frame, reader.Next());
    if (!frame) break;
    if (batch != 0 && frame->batch != batch) {
      return Corrupt(
          fmt::format("frame at byte {}: {} rows, {} in the frames before", frame->offset, frame->batch, batch));
    }
    batch = frame->batch;
    hidden.tokens += frame->tokens;
    const Status sound = codec.CheckPayload(frame->sections[0], batch * frame->tokens, width);
    if (!sound.ok()) return sound.WithContext(fmt::format("frame at byte {}", frame->offset));
    if (reader.tokens() > max_elements / width) {
      return InvalidArgument(
          fmt::format("the stream holds more than {} elements, the most that was allowed", max_elements));
    }
  }
  if (batch == 0) return Corrupt("the stream holds no frames");
  hidden.batch = batch;
  hidden.rank = batch == 1 ? 2 : 3;
  return hidden;
}

}  // namespace

StreamHeader PlainStreamHeader(const HiddenCodec& codec, const HiddenStates& hidden) {
  return {.kind = CodecKind::kPlain,
          .codec_id = PlainCodecId(codec),
          .width = static_cast<uint32_t>(std::min<size_t>(hidden.values.cols(), UINT32_MAX)),
          .source = hidden.source};
}

Status EncodeHidden(const HiddenCodec& codec, const HiddenStates& hidden, uint32_t chunk_tokens, StreamWriter& writer) {
  SLUICE_ASSIGN_OR_RETURN(const uint64_t chunk, FrameTokens(hidden, chunk_tokens));
  for (uint64_t begin = 0; begin < hidden.tokens; begin += chunk) {
    const uint64_t count = std::min(chunk, hidden.tokens - begin);
    const Result<std::vector<uint8_t>> payload = codec.Encode(CutFrame(hidden, begin, count).View());
    if (!payload.ok()) return payload.status().WithContext(fmt::format("chunk at token {}", begin));
    SLUICE_RETURN_IF_ERROR(
        writer.AddStored(static_cast<uint32_t>(hidden.batch), static_cast<uint32_t>(count), *payload));
  }
  return OkStatus();
}

Result<HiddenStates> DecodeHidden(std::span<const uint8_t> stream, uint64_t max_elements) {
  SLUICE_ASSIGN_OR_RETURN(StreamReader reader, StreamReader::FromBytes(stream));
  if (reader.header().kind != CodecKind::kPlain) {
    return Mismatch("a learned codec wrote this stream: name its model and codec");
  }
  const size_t width = reader.header().width;
  SLUICE_ASSIGN_OR_RETURN(const auto codec, PlainCodecOfId(reader.header().codec_id));
  SLUICE_ASSIGN_OR_RETURN(HiddenStates hidden, Shape(stream, *codec, max_elements));
  hidden.values = Matrix<float>(hidden.batch * hidden.tokens, width);
  for (uint64_t begin = 0; begin < hidden.tokens;) {
    SLUICE_ASSIGN_OR_RETURN(const std::optional<Frame> frame, reader.Next());
    if (!frame) return Internal("the stream ended before the frames that its first reading found");
    Result<Matrix<float>> values = codec->Decode(frame->sections[0], uint64_t{frame->batch} * frame->tokens, width);
    if (!values.ok()) return values.status().WithContext(fmt::format("frame at byte {}", frame->offset));
    PutFrame(*values, begin, hidden);
    begin += frame->tokens;
  }
  return hidden;
}

Result<HiddenStreamStats> EncodeHiddenFile(const std::filesystem::path& in, std::string_view tensor,
                                           std::string_view spec, const std::filesystem::path& out,
                                           uint32_t chunk_tokens) {
  SLUICE_ASSIGN_OR_RETURN(const auto codec, MakePlainCodec(spec));
  SLUICE_ASSIGN_OR_RETURN(const HiddenStates hidden, LoadHidden(in, tensor));
  SLUICE_ASSIGN_OR_RETURN(StreamWriter writer, StreamWriter::ToFile(PlainStreamHeader(*codec, hidden), out));
  SLUICE_RETURN_IF_ERROR(EncodeHidden(*codec, hidden, chunk_tokens, writer));
  SLUICE_RETURN_IF_ERROR(writer.Finish());
  return StatsOf(hidden, writer.bytes_written());
}

Result<HiddenStreamStats> DecodeHiddenFile(const std::filesystem::path& in, const std::filesystem::path& out,
                                           std::optional<DType> dtype, uint64_t max_elements) {
  SLUICE_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(in));
  const Result<HiddenStates> hidden = DecodeHidden(file.bytes(), max_elements);
  if (!hidden.ok()) return hidden.status().WithContext(in.string());
  SLUICE_RETURN_IF_ERROR(SaveHidden(out, *hidden, dtype.value_or(hidden->source)));
  return StatsOf(*hidden, file.bytes().size());
}

}  // namespace sluice
