// The float side and the integer side of codec "context" put together into the two ends of a stream: what is rounded,
// at which operating point, and with which ids, is decided here, and nothing of it is needed to read the bytes.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "codec/context_frames.h"

namespace sluice {
namespace {

Status AsDamage(const Status& status) {
  return status.code() == StatusCode::kInvalidArgument ? Corrupt(status.message()) : status;
}

Status AfterAnError(std::string_view end) {
  return InvalidArgument(fmt::format("the {} met an error before: its stream cannot go on", end));
}

class ContextPackCodec final : public PackCodec {
 public:
  ContextPackCodec(Pack pack, ContextParts parts, ContextFloats floats)
      : PackCodec(std::move(pack)), parts_(std::move(parts)), floats_(std::move(floats)) {}

  CodecCost MultiplyAdds() const override {
    const uint64_t network = parts_.weights.shape.MultiplyAdds();
    return {floats_.EncodeMultiplyAdds() + network, floats_.DecodeMultiplyAdds() + network};
  }
  std::unique_ptr<FrameEncoder> NewEncoder() const override;
  std::unique_ptr<FrameDecoder> NewDecoder() const override;

  const ContextParts& parts() const { return parts_; }
  const ContextFloats& floats() const { return floats_; }
  const ContextShape& shape() const { return parts_.weights.shape; }

  Status CheckTokens(std::span<const int32_t> ids) const {
    if (shape().names != TokenNames::kTokens) return OkStatus();
    for (size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] < 0 || static_cast<size_t>(ids[i]) >= shape().ids) {
        return InvalidArgument(fmt::format("token {} has id {}, expected 0 to {}", i, ids[i], shape().ids - 1));
      }
    }
    return OkStatus();
  }
  bool CarriesIds(const StreamHeader& header) const {
    return shape().names == TokenNames::kTokens && (header.flags & kIdsInStream) != 0;
  }
  Status CheckTokenCount(size_t got, size_t expected) const {
    if (shape().names != TokenNames::kTokens || got == expected) return OkStatus();
    return InvalidArgument(fmt::format("the codec needs the ids of {} tokens, got {}", expected, got));
  }

 private:
  ContextParts parts_;
  ContextFloats floats_;
};

// Of one end of the codec whose parts these are.
class ContextCheckpoint final : public CodecCheckpoint {
 public:
  ContextCheckpoint(const ContextParts& parts, bool encoder, ContextEnd::Memory memory)
      : parts_(parts), encoder_(encoder), memory_(std::move(memory)) {}

  static Status Restore(const CodecCheckpoint& checkpoint, const ContextParts& parts, bool encoder, ContextEnd& end) {
    const auto* const own = dynamic_cast<const ContextCheckpoint*>(&checkpoint);
    if (own == nullptr || &own->parts_ != &parts) return InvalidArgument("a checkpoint of another codec");
    if (own->encoder_ != encoder) {
      return InvalidArgument(fmt::format("a checkpoint of the {} end", encoder ? "receiving" : "sending"));
    }
    end.Return(own->memory_);
    return OkStatus();
  }

 private:
  const ContextParts& parts_;
  bool encoder_;
  ContextEnd::Memory memory_;
};

class ContextEncoder final : public FrameEncoder {
 public:
  explicit ContextEncoder(const ContextPackCodec& codec) : codec_(codec), end_(codec.parts()) {}

  Status SetPoint(int point) override {
    if (point < 0 || static_cast<size_t>(point) >= codec_.shape().points) {
      return InvalidArgument(fmt::format("operating point {}: expected 0 to {}", point, codec_.shape().points - 1));
    }
    point_ = point;
    target_ = 0;
    return OkStatus();
  }
  Status SetTarget(double bits_per_token, std::span<const int> points) override;
  Status SetTokens(std::span<const int32_t> ids) override {
    SLUICE_RETURN_IF_ERROR(codec_.CheckTokens(ids));
    if (codec_.shape().names == TokenNames::kTokens) tokens_.assign(ids.begin(), ids.end());
    return OkStatus();
  }
  Status Trim(size_t tokens) override { return end_.Trim(tokens); }
  std::unique_ptr<CodecCheckpoint> Checkpoint() const override {
    return std::make_unique<ContextCheckpoint>(codec_.parts(), true, end_.Remember());
  }
  Status Restore(const CodecCheckpoint& checkpoint) override {
    if (failed_) return AfterAnError("encoder");
    return ContextCheckpoint::Restore(checkpoint, codec_.parts(), true, end_);
  }
  Status Push(MatrixView<const float> hidden, uint32_t batch, StreamWriter& writer) override;

 private:
  Status Quantize(MatrixView<const float> hidden, int point);
  Result<int> ChoosePoint(MatrixView<const float> hidden, uint32_t batch, const StreamWriter& writer);
  Status Write(uint32_t batch, int point, StreamWriter& writer);

  const ContextPackCodec& codec_;
  ContextEnd end_;
  ContextIntegers integers_;
  std::vector<int32_t> tokens_;  // of the next frame
  ContextFloats::Work work_;
  std::vector<uint8_t> payload_;
  TokenPayload token_;
  int point_ = 0;
  double target_ = 0;         // bits a token; 0: none
  std::vector<int> choices_;  // points that the target may use, rising
  bool failed_ = false;
};

class ContextDecoder final : public FrameDecoder {
 public:
  explicit ContextDecoder(const ContextPackCodec& codec) : codec_(codec), end_(codec.parts()) {}

  Status SetTokens(std::span<const int32_t> ids) override {
    SLUICE_RETURN_IF_ERROR(codec_.CheckTokens(ids));
    if (codec_.shape().names == TokenNames::kTokens) tokens_.assign(ids.begin(), ids.end());
    return OkStatus();
  }
  Status Trim(size_t tokens) override { return end_.Trim(tokens); }
  std::unique_ptr<CodecCheckpoint> Checkpoint() const override {
    return std::make_unique<ContextCheckpoint>(codec_.parts(), false, end_.Remember());
  }
  Status Restore(const CodecCheckpoint& checkpoint) override {
    if (failed_) return AfterAnError("decoder");
    return ContextCheckpoint::Restore(checkpoint, codec_.parts(), false, end_);
  }
  Result<Matrix<float>> Pull(const Frame& frame, StreamReader& reader) override;
  int point() const override { return end_.point(); }
  std::span<const int32_t> tokens() const override {
    return carried_ ? std::span<const int32_t>(integers_.classes) : std::span<const int32_t>();
  }

 private:
  Status Decode(const Frame& frame, StreamReader& reader);

  const ContextPackCodec& codec_;
  ContextEnd end_;
  ContextIntegers integers_;
  ContextFloats::Work work_;
  std::vector<int32_t> tokens_;  // of the next frame
  bool carried_ = false;         // by the stream
  bool failed_ = false;
};

std::unique_ptr<FrameEncoder> ContextPackCodec::NewEncoder() const { return std::make_unique<ContextEncoder>(*this); }
std::unique_ptr<FrameDecoder> ContextPackCodec::NewDecoder() const { return std::make_unique<ContextDecoder>(*this); }

Status ContextEncoder::Quantize(MatrixView<const float> hidden, int point) {
  integers_.latents.resize(hidden.size());
  const bool classes = codec_.shape().names == TokenNames::kClasses;
  if (classes) integers_.classes.resize(hidden.rows());
  const std::span<int32_t> none;
  return codec_.floats().Quantize(hidden, point, integers_.latents, classes ? integers_.classes : none, work_);
}

Status ContextEncoder::SetTarget(double bits_per_token, std::span<const int> points) {
  const auto count = static_cast<int>(codec_.shape().points);
  if (count < 2) return FrameEncoder::SetTarget(bits_per_token, points);
  if (!(bits_per_token > 0)) return InvalidArgument(fmt::format("a target of {} bits a token", bits_per_token));
  std::vector<int> choices(points.begin(), points.end());
  for (int p = 0; points.empty() && p < count; ++p) choices.push_back(p);
  for (size_t i = 0; i < choices.size(); ++i) {
    if (choices[i] < 0 || choices[i] >= count || (i > 0 && choices[i] <= choices[i - 1])) {
      return InvalidArgument(fmt::format("operating point {}: expected rising ones of 0 to {}", choices[i], count - 1));
    }
  }
  const auto nearest = std::lower_bound(choices.begin(), choices.end(), point_);
  point_ = nearest == choices.end() ? choices.back() : *nearest;
  choices_ = std::move(choices);
  target_ = bits_per_token;
  return OkStatus();
}

// Walks from the last point towards the target as long as that brings the stream's average nearer.
Result<int> ContextEncoder::ChoosePoint(MatrixView<const float> hidden, uint32_t batch, const StreamWriter& writer) {
  constexpr size_t kFrameBytes = 12;  // about what a frame takes besides its payload
  const double wanted = target_ * static_cast<double>(writer.tokens_written() + hidden.rows());
  const bool fresh = (writer.header().flags & (kFreshFrames | kSingle)) != 0;
  const ContextEnd::Memory memory = end_.Remember();
  int best = point_, step = 0;
  double least = HUGE_VAL;
  const auto last = static_cast<ptrdiff_t>(choices_.size()) - 1;
  for (auto at = std::find(choices_.begin(), choices_.end(), point_) - choices_.begin(); at >= 0 && at <= last;
       at += step) {
    const int point = choices_[static_cast<size_t>(at)];
    SLUICE_RETURN_IF_ERROR(Quantize(hidden, point));
    SLUICE_RETURN_IF_ERROR(end_.BeginFrame(batch, fresh));
    SLUICE_RETURN_IF_ERROR(end_.EncodeChunk(integers_, point, payload_));
    end_.Return(memory);
    const double over = 8.0 * static_cast<double>(writer.bytes_written() + payload_.size() + kFrameBytes) - wanted;
    if (std::fabs(over) >= least) break;
    least = std::fabs(over);
    best = point;
    const int towards = over > 0 ? 1 : -1;
    if (step == -towards) break;
    step = towards;
  }
  return best;
}

Status ContextEncoder::Write(uint32_t batch, int point, StreamWriter& writer) {
  const bool fresh = (writer.header().flags & (kFreshFrames | kSingle)) != 0;
  SLUICE_RETURN_IF_ERROR(end_.BeginFrame(batch, fresh));
  const size_t count = integers_.latents.size() / codec_.shape().width;
  if (count == 1 && writer.TakesTokens()) {
    end_.EncodeToken(integers_, point, writer.rolling(), token_);
    return writer.AddToken(token_.bits, token_.bytes, {integers_.classes, integers_.latents});
  }
  SLUICE_RETURN_IF_ERROR(end_.EncodeChunk(integers_, point, payload_));
  const std::span<const uint8_t> section = payload_;
  return writer.AddChunk(batch, static_cast<uint32_t>(count / batch), {&section, 1},
                         {integers_.classes, integers_.latents});
}

Status ContextEncoder::Push(MatrixView<const float> hidden, uint32_t batch, StreamWriter& writer) {
  if (failed_) return AfterAnError("encoder");
  if (batch == 0 || hidden.rows() == 0 || hidden.rows() % batch != 0) {
    return InvalidArgument(fmt::format("{} tokens in {} rows of equal length", hidden.rows(), batch));
  }
  SLUICE_RETURN_IF_ERROR(codec_.CheckTokenCount(tokens_.size(), hidden.rows()));
  integers_.tokens.clear();
  integers_.classes.clear();
  (codec_.CarriesIds(writer.header()) ? integers_.classes : integers_.tokens) = tokens_;
  if (target_ > 0) {
    SLUICE_ASSIGN_OR_RETURN(point_, ChoosePoint(hidden, batch, writer));
  }
  SLUICE_RETURN_IF_ERROR(Quantize(hidden, point_));
  const Status written = Write(batch, point_, writer);
  failed_ = !written.ok();
  tokens_.clear();  // they were this frame's
  return written;
}

Status ContextDecoder::Decode(const Frame& frame, StreamReader& reader) {
  const size_t count = size_t{frame.batch} * frame.tokens;
  carried_ = codec_.CarriesIds(reader.header());
  if (!carried_) SLUICE_RETURN_IF_ERROR(codec_.CheckTokenCount(tokens_.size(), count));
  integers_.tokens.assign(tokens_.begin(), carried_ ? tokens_.begin() : tokens_.end());
  integers_.classes.resize(carried_ || codec_.shape().names == TokenNames::kClasses ? count : 0);
  integers_.latents.resize(count * codec_.shape().width);
  const bool fresh = (reader.header().flags & (kFreshFrames | kSingle)) != 0;
  SLUICE_RETURN_IF_ERROR(AsDamage(end_.BeginFrame(frame.batch, fresh)));
  if (frame.type == FrameType::kToken) {
    SLUICE_ASSIGN_OR_RETURN(const size_t bytes, end_.DecodeToken(frame, integers_));
    return reader.Consume(bytes, {integers_.classes, integers_.latents});
  }
  if (frame.type != FrameType::kChunk || frame.sections.size() != 1) {
    return Corrupt(fmt::format("a frame of {} sections, expected a chunk of 1", frame.sections.size()));
  }
  const Status decoded = end_.DecodeChunk(frame.sections[0], integers_);
  // The frame is whole, so more bytes cannot help.
  if (decoded.code() == StatusCode::kTruncated) return Corrupt(decoded.message());
  SLUICE_RETURN_IF_ERROR(decoded);
  return frame.Verify({integers_.classes, integers_.latents});
}

Result<Matrix<float>> ContextDecoder::Pull(const Frame& frame, StreamReader& reader) {
  if (failed_) return AfterAnError("decoder");
  const Status decoded = Decode(frame, reader);
  if (!decoded.ok()) {
    failed_ = decoded.code() != StatusCode::kTruncated && decoded.code() != StatusCode::kInvalidArgument;
    return decoded.WithContext(fmt::format("frame at byte {}", frame.offset));
  }
  tokens_.clear();  // they were this frame's
  Matrix<float> hidden(size_t{frame.batch} * frame.tokens, codec_.shape().width);
  codec_.floats().Restore(integers_.latents, end_.mean_q4(), end_.scales(), end_.point(), work_, hidden.View());
  return hidden;
}

}  // namespace

Result<std::unique_ptr<PackCodec>> MakeContextCodec(Pack pack) {
  SLUICE_ASSIGN_OR_RETURN(ContextParts parts, ContextParts::FromPack(pack));
  const size_t classes = parts.weights.shape.names == TokenNames::kClasses ? parts.weights.shape.ids : 0;
  SLUICE_ASSIGN_OR_RETURN(ContextFloats floats, ContextFloats::FromPack(pack, classes));
  return std::unique_ptr<PackCodec>(
      std::make_unique<ContextPackCodec>(std::move(pack), std::move(parts), std::move(floats)));
}

}  // namespace sluice
