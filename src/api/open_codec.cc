// Two families of codecs behind one name: which it is shows in the file that the name leads to.
#include "api/open_codec.h"

#include <fmt/format.h>

#include "codec/pack_stream.h"
#include "plain/plain_codec.h"

namespace sluice {

Result<DType> SourceOf(int code) {
  const std::optional<DType> source = HiddenTypeOf(code);
  return source ? Result<DType>(*source) : InvalidArgument(fmt::format("source {}, expected 1 to 3", code));
}

Result<AnyCodec> AnyCodec::Open(const std::string& spec) {
  AnyCodec codec;
  std::error_code error;
  if (std::filesystem::is_regular_file(spec, error)) {
    SLUICE_ASSIGN_OR_RETURN(codec.pack_, PackCodec::Open(spec));
  } else {
    SLUICE_ASSIGN_OR_RETURN(codec.plain_, MakePlainCodec(spec));
  }
  return codec;
}

StreamHeader AnyCodec::Header(uint32_t width, DType source, uint16_t flags) const {
  if (pack_) return pack_->Header(source, flags);
  return {
      .kind = CodecKind::kPlain, .flags = flags, .codec_id = PlainCodecId(*plain_), .width = width, .source = source};
}

Status AnyCodec::CheckHeader(const StreamHeader& header) const {
  if (pack_) return pack_->CheckHeader(header);
  if (header.kind == CodecKind::kPlain && header.codec_id == PlainCodecId(*plain_)) return OkStatus();
  return Mismatch(fmt::format("the stream is not one of codec {}", plain_->name()));
}

Result<std::vector<uint8_t>> AnyCodec::EncodeFrame(const HiddenStates& hidden) const {
  const auto width = static_cast<uint32_t>(hidden.values.cols());
  SLUICE_ASSIGN_OR_RETURN(StreamWriter writer, StreamWriter::ToMemory(Header(width, hidden.source, kSingle)));
  const auto tokens = static_cast<uint32_t>(hidden.tokens);
  SLUICE_RETURN_IF_ERROR(pack_ ? EncodeHidden(*pack_, hidden, tokens, writer)
                               : EncodeHidden(*plain_, hidden, tokens, writer));
  SLUICE_RETURN_IF_ERROR(writer.Finish());
  return writer.Take();
}

Result<HiddenStates> AnyCodec::Decode(std::span<const uint8_t> bytes, uint64_t max_elements) const {
  SLUICE_ASSIGN_OR_RETURN(const StreamReader reader, StreamReader::FromBytes(bytes));
  SLUICE_RETURN_IF_ERROR(CheckHeader(reader.header()));
  return pack_ ? DecodeHidden(*pack_, bytes, max_elements) : DecodeHidden(bytes, max_elements);
}

}  // namespace sluice
