// Codec "static": the simplest complete codec that a pack can hold. Every latent has the table of its channel, whatever
// its neighbours are; what the tables did not expect escapes and is exact all the same. Nothing is kept between frames.
#include "codec/static_codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "codec/static_transform.h"
#include "codec/token_coder.h"
#include "prob/static_table.h"
#include "rans/rans_decoder.h"
#include "rans/rans_encoder.h"

namespace sluice {
namespace {

class StaticCodec final : public PackCodec {
 public:
  StaticCodec(Pack pack, StaticTransform transform, std::vector<StaticTable> tables)
      : PackCodec(std::move(pack)), transform_(std::move(transform)), tables_(std::move(tables)) {}

  std::unique_ptr<FrameEncoder> NewEncoder() const override;
  std::unique_ptr<FrameDecoder> NewDecoder() const override;

  const StaticTransform& transform() const { return transform_; }
  size_t width() const { return tables_.size(); }
  int precision() const { return pack().info().precision_bits; }

  Status PushChunk(const std::vector<int32_t>& latents, uint32_t batch, StreamWriter& writer) const;
  Status PushToken(const std::vector<int32_t>& latents, StreamWriter& writer) const;
  Result<std::vector<int32_t>> PullChunk(const Frame& frame) const;
  Result<std::vector<int32_t>> PullToken(const Frame& frame, StreamReader& reader) const;

 private:
  StaticTransform transform_;
  std::vector<StaticTable> tables_;
};

class StaticEncoder final : public FrameEncoder {
 public:
  explicit StaticEncoder(const StaticCodec& codec) : codec_(codec) {}

  Status Push(MatrixView<const float> hidden, uint32_t batch, StreamWriter& writer) override {
    if (batch == 0 || hidden.rows() == 0 || hidden.rows() % batch != 0) {
      return InvalidArgument(fmt::format("{} tokens in {} rows of equal length", hidden.rows(), batch));
    }
    SLUICE_ASSIGN_OR_RETURN(const std::vector<int32_t> latents, codec_.transform().Quantize(hidden));
    if (hidden.rows() == 1 && writer.TakesTokens()) return codec_.PushToken(latents, writer);
    return codec_.PushChunk(latents, batch, writer);
  }

 private:
  const StaticCodec& codec_;
};

class StaticDecoder final : public FrameDecoder {
 public:
  explicit StaticDecoder(const StaticCodec& codec) : codec_(codec) {}

  Result<Matrix<float>> Pull(const Frame& frame, StreamReader& reader) override {
    const bool token = frame.type == FrameType::kToken;
    const auto latents = token ? codec_.PullToken(frame, reader) : codec_.PullChunk(frame);
    if (!latents.ok()) return latents.status().WithContext(fmt::format("frame at byte {}", frame.offset));
    return codec_.transform().Invert(*latents);
  }

 private:
  const StaticCodec& codec_;
};

std::unique_ptr<FrameEncoder> StaticCodec::NewEncoder() const { return std::make_unique<StaticEncoder>(*this); }
std::unique_ptr<FrameDecoder> StaticCodec::NewDecoder() const { return std::make_unique<StaticDecoder>(*this); }

Status StaticCodec::PushChunk(const std::vector<int32_t>& latents, uint32_t batch, StreamWriter& writer) const {
  const auto tokens = static_cast<uint32_t>(latents.size() / width() / batch);
  SLUICE_ASSIGN_OR_RETURN(RansEncoder encoder, RansEncoder::Create(LanesFor(latents.size()), precision()));
  for (size_t i = 0; i < latents.size(); ++i) EncodeStatic(tables_[i % width()], latents[i], encoder);
  const std::vector<uint8_t> payload = encoder.Finish();
  const std::array<std::span<const uint8_t>, 1> sections = {payload};
  return writer.AddChunk(batch, tokens, sections, {latents});
}

Status StaticCodec::PushToken(const std::vector<int32_t>& latents, StreamWriter& writer) const {
  SLUICE_ASSIGN_OR_RETURN(TokenEncoder encoder, TokenEncoder::Create(precision()));
  for (size_t i = 0; i < latents.size(); ++i) EncodeStatic(tables_[i], latents[i], encoder);
  const TokenPayload payload = encoder.Finish(RollingChecksum(writer.rolling(), {latents}));
  return writer.AddToken(payload.bits, payload.bytes, {latents});
}

Result<std::vector<int32_t>> StaticCodec::PullChunk(const Frame& frame) const {
  if (frame.type != FrameType::kChunk || frame.sections.size() != 1) {
    return Corrupt(fmt::format("a frame of {} sections, expected a chunk of 1", frame.sections.size()));
  }
  std::vector<int32_t> latents(uint64_t{frame.batch} * frame.tokens * width());
  SLUICE_ASSIGN_OR_RETURN(RansDecoder decoder,
                          RansDecoder::Create(frame.sections[0], LanesFor(latents.size()), precision()));
  for (size_t i = 0; i < latents.size(); ++i) {
    latents[i] = SaturateToInt32(DecodeStatic(tables_[i % width()], decoder));
  }
  SLUICE_RETURN_IF_ERROR(decoder.Finish());
  SLUICE_RETURN_IF_ERROR(frame.Verify({latents}));
  return latents;
}

Result<std::vector<int32_t>> StaticCodec::PullToken(const Frame& frame, StreamReader& reader) const {
  std::vector<int32_t> latents(width());
  SLUICE_ASSIGN_OR_RETURN(TokenDecoder decoder, TokenDecoder::Create(frame.token_bits, frame.sections[0], precision()));
  for (size_t i = 0; i < latents.size(); ++i) latents[i] = SaturateToInt32(DecodeStatic(tables_[i], decoder));
  SLUICE_ASSIGN_OR_RETURN(const size_t bytes, decoder.Finish(RollingChecksum(frame.rolling, {latents})));
  SLUICE_RETURN_IF_ERROR(reader.Consume(bytes, {latents}));
  return latents;
}

}  // namespace

Result<std::unique_ptr<PackCodec>> MakeStaticCodec(Pack pack) {
  SLUICE_ASSIGN_OR_RETURN(StaticTransform transform, StaticTransform::FromPack(pack));
  const PackInfo& info = pack.info();
  if (info.hyper_channels != 0 || info.flags != 0) return Corrupt("pack: hyper channels or flags of a static codec");
  SLUICE_ASSIGN_OR_RETURN(const auto stored, pack.Tables("latent", info.width));
  std::vector<StaticTable> tables;
  for (size_t i = 0; i < stored.size(); ++i) {
    if (stored[i].closed) return Corrupt(fmt::format("pack: table {} has no escape", i));
    Result<StaticTable> table =
        StaticTable::FromFrequencies(stored[i].first, stored[i].frequencies, false, info.precision_bits);
    if (!table.ok())
      return AsCorrupt(table.status(), StatusCode::kInvalidArgument).WithContext(fmt::format("pack: table {}", i));
    tables.push_back(std::move(*table));
  }
  return std::unique_ptr<PackCodec>(
      std::make_unique<StaticCodec>(std::move(pack), std::move(transform), std::move(tables)));
}

}  // namespace sluice
