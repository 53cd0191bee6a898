// The one place that knows which program reads which pack.
#include "codec/pack_codec.h"

#include <fmt/format.h>

#include "codec/context_frames.h"
#include "codec/static_codec.h"

namespace sluice {

Status FrameEncoder::SetPoint(int point) {
  return point == 0 ? OkStatus() : InvalidArgument(fmt::format("operating point {}: the codec has one only", point));
}

Status FrameEncoder::SetTarget(double /*bits_per_token*/, std::span<const int> /*points*/) {
  return InvalidArgument("a target rate: the codec has one operating point only");
}

Status FrameEncoder::SetTokens(std::span<const int32_t> /*ids*/) { return OkStatus(); }
Status FrameEncoder::Trim(size_t /*tokens*/) { return OkStatus(); }
Status FrameDecoder::PullInto(const Frame& frame, StreamReader& reader, Matrix<float>& hidden) {
  SLUICE_ASSIGN_OR_RETURN(hidden, Pull(frame, reader));
  return OkStatus();
}
Status FrameDecoder::SetTokens(std::span<const int32_t> /*ids*/) { return OkStatus(); }
Status FrameDecoder::Trim(size_t /*tokens*/) { return OkStatus(); }

// A codec whose frames do not depend on each other has nothing to keep.
std::unique_ptr<CodecCheckpoint> FrameEncoder::Checkpoint() const { return std::make_unique<CodecCheckpoint>(); }
Status FrameEncoder::Restore(const CodecCheckpoint& /*checkpoint*/) { return OkStatus(); }
std::unique_ptr<CodecCheckpoint> FrameDecoder::Checkpoint() const { return std::make_unique<CodecCheckpoint>(); }
Status FrameDecoder::Restore(const CodecCheckpoint& /*checkpoint*/) { return OkStatus(); }

Result<std::unique_ptr<PackCodec>> PackCodec::Open(const std::filesystem::path& path) {
  SLUICE_ASSIGN_OR_RETURN(Pack pack, Pack::Open(path));
  auto codec = Make(std::move(pack));
  if (!codec.ok()) return codec.status().WithContext(path.string());
  return codec;
}

Result<std::unique_ptr<PackCodec>> PackCodec::Make(Pack pack) {
  const std::string& codec = pack.info().codec;
  if (codec == kStaticCodecName) return MakeStaticCodec(std::move(pack));
  if (codec == kContextCodecName) return MakeContextCodec(std::move(pack));
  return Unsupported(fmt::format("a pack of codec \"{}\", this build knows \"{}\" and \"{}\"", codec, kStaticCodecName,
                                 kContextCodecName));
}

StreamHeader PackCodec::Header(DType source, uint16_t flags) const {
  const PackInfo& info = pack_.info();
  return {.kind = CodecKind::kInteger,
          .flags = static_cast<uint16_t>(flags | info.flags),
          .model_id = info.model_hash == Sha256Digest{} ? 0 : ShortId(info.model_hash),
          .codec_id = pack_.id(),
          .width = info.width,
          .cut = info.cut,
          .precision_bits = info.precision_bits,
          .source = source};
}

Status PackCodec::CheckSendsIds() const {
  if ((pack_.info().flags & kSideTokens) != 0) return OkStatus();
  return InvalidArgument("ids in the stream: the codec was not made with side tokens");
}

Status PackCodec::CheckHeader(const StreamHeader& header) const {
  // What a stream may choose: how its frames hang together, and whether it carries the ids that the codec needs.
  const uint16_t chosen = kFreshFrames | kSingle | (CheckSendsIds().ok() ? kIdsInStream : 0);
  const StreamHeader own = Header(header.source, header.flags & chosen);
  const auto differ = [](std::string_view what, uint64_t got, uint64_t expected) {
    return Mismatch(fmt::format("the stream's {} is {:#x}, the pack's {:#x}", what, got, expected));
  };
  if (header.kind != own.kind) return differ("codec kind", static_cast<int>(header.kind), static_cast<int>(own.kind));
  if (header.codec_id != own.codec_id) return differ("codec id", header.codec_id, own.codec_id);
  if (header.model_id != own.model_id) return differ("model id", header.model_id, own.model_id);
  if (header.cut != own.cut) return differ("cut", header.cut, own.cut);
  if (header.width != own.width) return differ("width", header.width, own.width);
  if (header.precision_bits != own.precision_bits) {
    return differ("precision", header.precision_bits, own.precision_bits);
  }
  if (header.flags != own.flags) return differ("flags", header.flags, own.flags);
  return OkStatus();
}

}  // namespace sluice
