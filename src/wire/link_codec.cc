// A link is one stream of our own format, cut into messages of one frame each; the stream's header travels in front of
// the first. So what crosses the network is what `sluice encode` writes, with its checksums, and every codec works here
// that has a FrameEncoder. Values that a codec cannot take (beyond its range, not finite) cross as they are, and both
// ends leave the codec's state alone: a session is not lost because of one odd token.
#include "wire/link_codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "base/hash.h"
#include "format/stream.h"
#include "plain/plain_codec.h"

namespace sluice {
namespace {

class PlainFrameEncoder final : public FrameEncoder {
 public:
  explicit PlainFrameEncoder(const HiddenCodec& codec) : codec_(codec) {}
  Status Push(MatrixView<const float> hidden, uint32_t batch, StreamWriter& writer) override {
    SLUICE_ASSIGN_OR_RETURN(const std::vector<uint8_t> payload, codec_.Encode(hidden));
    return writer.AddStored(batch, static_cast<uint32_t>(hidden.rows() / batch), payload);
  }

 private:
  const HiddenCodec& codec_;
};

class PlainFrameDecoder final : public FrameDecoder {
 public:
  PlainFrameDecoder(const HiddenCodec& codec, uint32_t width) : codec_(codec), width_(width) {}
  Result<Matrix<float>> Pull(const Frame& frame, StreamReader&) override {
    if (frame.type != FrameType::kStored) return Corrupt("a plain codec's stream holds a learned codec's frame");
    return codec_.Decode(frame.sections.front(), size_t{frame.batch} * frame.tokens, width_);
  }

 private:
  const HiddenCodec& codec_;
  uint32_t width_;
};

class PlainLinkCodec final : public LinkCodec {
 public:
  PlainLinkCodec(std::unique_ptr<HiddenCodec> codec, const LinkPlace& place)
      : codec_(std::move(codec)), place_(place) {}

  std::string name() const override { return codec_->name(); }
  std::string identity() const override { return "plain:" + PlainCodecName(PlainCodecId(*codec_)); }
  uint32_t longest_chunk() const override {
    return static_cast<uint32_t>(std::min(kMaxFrameTokens, kMaxFrameElements / place_.width));
  }
  StreamHeader Header() const override {
    return {.kind = CodecKind::kPlain,
            .flags = kFreshFrames,
            .model_id = ShortId(place_.model),
            .codec_id = PlainCodecId(*codec_),
            .width = place_.width,
            .cut = static_cast<uint16_t>(place_.cut)};
  }
  Status CheckHeader(const StreamHeader& header) const override {
    if (header == Header()) return OkStatus();
    return Mismatch(fmt::format("the stream's header is not that of codec {} at this cut", name()));
  }
  std::unique_ptr<FrameEncoder> NewEncoder() const override { return std::make_unique<PlainFrameEncoder>(*codec_); }
  std::unique_ptr<FrameDecoder> NewDecoder() const override {
    return std::make_unique<PlainFrameDecoder>(*codec_, place_.width);
  }

 private:
  std::unique_ptr<HiddenCodec> codec_;
  LinkPlace place_;
};

class PackLinkCodec final : public LinkCodec {
 public:
  explicit PackLinkCodec(std::shared_ptr<const PackCodec> codec, std::optional<int> point = std::nullopt)
      : codec_(std::move(codec)), point_(point) {}

  std::string name() const override {
    return codec_->pack().info().codec + (point_ ? fmt::format("@{}", *point_) : "");
  }
  size_t points() const override { return point_ ? 1 : std::max<size_t>(1, codec_->pack().operating_points().size()); }
  std::string identity() const override {
    const Sha256Digest& hash = codec_->pack().hash();
    return std::string(hash.begin(), hash.end());
  }
  int point() const override { return point_.value_or(0); }
  Result<std::unique_ptr<LinkCodec>> AtPoint(int point) const override {
    SLUICE_RETURN_IF_ERROR(codec_->NewEncoder()->SetPoint(point));
    return std::unique_ptr<LinkCodec>(new PackLinkCodec(codec_, point));
  }
  Result<PointVerdicts> Judge(const Requirement& requirement) const override {
    return requirement.Judge(codec_->pack());
  }
  int64_t cut() const override {
    const PackInfo& info = codec_->pack().info();
    return info.model_hash == Sha256Digest{} ? -1 : info.cut;
  }
  uint32_t longest_chunk() const override {
    return static_cast<uint32_t>(std::min(kMaxFrameTokens, kMaxFrameElements / codec_->pack().info().width));
  }
  StreamHeader Header() const override { return codec_->Header(DType::kF32); }
  Status CheckHeader(const StreamHeader& header) const override {
    if (header != Header()) SLUICE_RETURN_IF_ERROR(codec_->CheckHeader(header));
    return OkStatus();
  }
  std::unique_ptr<FrameEncoder> NewEncoder() const override {
    auto encoder = codec_->NewEncoder();
    if (point_) static_cast<void>(encoder->SetPoint(*point_));  // AtPoint tried it
    return encoder;
  }
  std::unique_ptr<FrameDecoder> NewDecoder() const override { return codec_->NewDecoder(); }

 private:
  std::shared_ptr<const PackCodec> codec_;
  std::optional<int> point_;
};

/// A pack's path and the operating point behind it, if there is one.
struct PackSpec {
  std::string path;
  std::optional<int> point;
};

/// Empty when `spec` names no file, with or without a point.
std::optional<PackSpec> ParsePackSpec(const std::string& spec) {
  std::error_code error;
  if (std::filesystem::is_regular_file(spec, error)) return PackSpec{spec, std::nullopt};
  const size_t at = spec.rfind('@');
  if (at == std::string::npos) return std::nullopt;
  int point = 0;
  const char* end = spec.data() + spec.size();
  const auto parsed = std::from_chars(spec.data() + at + 1, end, point);
  const std::string path = spec.substr(0, at);
  if (parsed.ec != std::errc() || parsed.ptr != end || !std::filesystem::is_regular_file(path, error)) {
    return std::nullopt;
  }
  return PackSpec{path, point};
}

Status CheckPackPlace(const PackInfo& info, const LinkPlace& place) {
  const auto differs = [](std::string_view what, std::string_view pack, std::string_view link) {
    return Mismatch(fmt::format("the pack was made for {} {}, this link has {}", what, pack, link));
  };
  if ((info.flags & kSideTokens) != 0)
    return Unsupported("the pack needs token ids on both ends (--side tokens), and a link carries none");
  if (info.width != place.width) return differs("width", std::to_string(info.width), std::to_string(place.width));
  if (info.model_hash == Sha256Digest{}) return OkStatus();
  if (info.model_hash != place.model) {
    return differs("model", ToHex(info.model_hash).substr(0, 16), ToHex(place.model).substr(0, 16));
  }
  if (place.cut >= 0 && info.cut != place.cut)
    return differs("cut", std::to_string(info.cut), std::to_string(place.cut));
  return OkStatus();
}

LinkFrame StoredFrame(MatrixView<const float> hidden) {
  LinkFrame frame{.tokens = static_cast<uint32_t>(hidden.rows()), .stored = true, .payload = {}};
  frame.payload.resize(hidden.size() * sizeof(float) + sizeof(uint32_t));
  std::memcpy(frame.payload.data(), hidden.data(), hidden.size() * sizeof(float));
  const std::span<const uint8_t> values(frame.payload.data(), hidden.size() * sizeof(float));
  StoreLe(Checksum32(values), frame.payload.data() + values.size());
  return frame;
}

}  // namespace

Result<PointVerdicts> LinkCodec::Judge(const Requirement&) const {
  return Mismatch(fmt::format("codec {} has none, and one is required", name()));
}

Result<std::unique_ptr<LinkCodec>> LinkCodec::AtPoint(int point) const {
  return InvalidArgument(fmt::format("operating point {}: codec {} has one only", point, name()));
}

bool IsPackSpec(const std::string& spec) { return ParsePackSpec(spec).has_value(); }

Result<std::unique_ptr<LinkCodec>> OpenLinkCodec(const std::string& spec, const LinkPlace& place) {
  const auto pack = ParsePackSpec(spec);
  if (!pack) {
    SLUICE_ASSIGN_OR_RETURN(auto codec, MakePlainCodec(spec));
    return std::unique_ptr<LinkCodec>(new PlainLinkCodec(std::move(codec), place));
  }
  SLUICE_ASSIGN_OR_RETURN(auto codec, PackCodec::Open(pack->path));
  const Status fits = CheckPackPlace(codec->pack().info(), place);
  if (!fits.ok()) return fits.WithContext(pack->path);
  auto linked = std::make_unique<PackLinkCodec>(std::move(codec));
  if (!pack->point) return std::unique_ptr<LinkCodec>(std::move(linked));
  auto chosen = linked->AtPoint(*pack->point);
  if (!chosen.ok()) return chosen.status().WithContext(spec);
  return chosen;
}

Result<LinkSender> LinkSender::Make(const LinkCodec& codec) {
  SLUICE_ASSIGN_OR_RETURN(StreamWriter writer, StreamWriter::ToMemory(codec.Header()));
  return LinkSender(codec.NewEncoder(), std::move(writer), codec.longest_chunk());
}

Result<LinkFrame> LinkSender::Push(MatrixView<const float> hidden) {
  if (hidden.rows() == 0 || hidden.rows() > longest_) {
    return InvalidArgument(fmt::format("a chunk of {} tokens, expected 1 to {}", hidden.rows(), longest_));
  }
  const Status status = encoder_->Push(hidden, 1, writer_);
  if (status.code() == StatusCode::kInvalidArgument) return StoredFrame(hidden);
  SLUICE_RETURN_IF_ERROR(status);
  return LinkFrame{.tokens = static_cast<uint32_t>(hidden.rows()), .stored = false, .payload = writer_.Take()};
}

Status LinkReceiver::Open(std::span<const uint8_t> payload) {
  SLUICE_ASSIGN_OR_RETURN(StreamReader reader, StreamReader::FromBytes(payload));
  SLUICE_RETURN_IF_ERROR(codec_->CheckHeader(reader.header()));
  reader_.emplace(std::move(reader));
  return OkStatus();
}

Result<Matrix<float>> LinkReceiver::ReadStored(const LinkFrame& frame) const {
  const uint32_t width = codec_->Header().width;
  const size_t bytes = size_t{frame.tokens} * width * sizeof(float);
  if (frame.payload.size() != bytes + sizeof(uint32_t)) {
    return Corrupt(fmt::format("a stored frame of {} bytes, expected {} for {} tokens of width {}",
                               frame.payload.size(), bytes + sizeof(uint32_t), frame.tokens, width));
  }
  const auto expected = LoadLe<uint32_t>(frame.payload.data() + bytes);
  const uint32_t got = Checksum32({frame.payload.data(), bytes});
  if (got != expected) return Corrupt(fmt::format("a stored frame: checksum {:#x}, expected {:#x}", got, expected));
  Matrix<float> values(frame.tokens, width);
  std::memcpy(values.data(), frame.payload.data(), bytes);
  return values;
}

Result<Matrix<float>> LinkReceiver::Pull(const LinkFrame& frame) {
  if (frame.tokens == 0 || frame.tokens > codec_->longest_chunk()) {
    return Corrupt(fmt::format("a frame of {} tokens, expected 1 to {}", frame.tokens, codec_->longest_chunk()));
  }
  if (frame.stored) return ReadStored(frame);
  bytes_ = frame.payload;
  if (reader_) reader_->Continue(bytes_);
  if (!reader_) SLUICE_RETURN_IF_ERROR(Open(bytes_));
  SLUICE_ASSIGN_OR_RETURN(const std::optional<Frame> read, reader_->Next());
  if (!read || read->batch != 1 || read->tokens != frame.tokens) {
    return Corrupt(fmt::format("a frame of {} rows of {} tokens, expected one row of {}", read ? read->batch : 0,
                               read ? read->tokens : 0, frame.tokens));
  }
  SLUICE_ASSIGN_OR_RETURN(Matrix<float> values, decoder_->Pull(*read, *reader_));
  SLUICE_RETURN_IF_ERROR(VerdictOn(verdicts_, decoder_->point()).WithContext("certificate"));
  if (reader_->unread() != 0) return Corrupt(fmt::format("{} bytes behind a frame", reader_->unread()));
  return values;
}

}  // namespace sluice
