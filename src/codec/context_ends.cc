// The float side and the integer side of codec "context" put together into the two ends of a stream: what is rounded,
// at which operating point, and with which ids, is decided here, and nothing of it is needed to read the bytes.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "codec/context_frames.h"

namespace sluice {
namespace {

template <typename Base>
constexpr bool kSends = std::is_same_v<Base, FrameEncoder>;

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
struct ContextCheckpoint final : CodecCheckpoint {
  ContextCheckpoint(const ContextParts& of, bool sending, ContextEnd::Memory kept)
      : parts(of), sends(sending), memory(std::move(kept)) {}

  const ContextParts& parts;
  bool sends;
  ContextEnd::Memory memory;
};

// What both ends do alike. Base: FrameEncoder or FrameDecoder.
template <typename Base>
class ContextSide : public Base {
 public:
  Status SetTokens(std::span<const int32_t> ids) final {
    SLUICE_RETURN_IF_ERROR(codec_.CheckTokens(ids));
    if (codec_.shape().names == TokenNames::kTokens) tokens_.assign(ids.begin(), ids.end());
    return OkStatus();
  }
  Status Trim(size_t tokens) final { return end_.Trim(tokens); }
  std::unique_ptr<CodecCheckpoint> Checkpoint() const final {
    return std::make_unique<ContextCheckpoint>(codec_.parts(), kSends<Base>, end_.Remember());
  }
  Status Restore(const CodecCheckpoint& checkpoint) final {
    SLUICE_RETURN_IF_ERROR(CheckAlive());
    const auto* const own = dynamic_cast<const ContextCheckpoint*>(&checkpoint);
    if (own == nullptr || &own->parts != &codec_.parts()) return InvalidArgument("a checkpoint of another codec");
    if (own->sends != kSends<Base>) {
      return InvalidArgument(fmt::format("a checkpoint of the {} end", own->sends ? "sending" : "receiving"));
    }
    end_.Return(own->memory);
    return OkStatus();
  }

 protected:
  explicit ContextSide(const ContextPackCodec& codec) : codec_(codec), end_(codec.parts()) {}

  Status CheckAlive() const {
    if (!failed_) return OkStatus();
    return InvalidArgument(
        fmt::format("the {} met an error before: its stream cannot go on", kSends<Base> ? "encoder" : "decoder"));
  }

  const ContextPackCodec& codec_;
  ContextEnd end_;
  ContextIntegers integers_;
  ContextFloats::Work work_;
  std::vector<int32_t> tokens_;  // of the next frame
  bool failed_ = false;
};

class ContextEncoder final : public ContextSide<FrameEncoder> {
 public:
  explicit ContextEncoder(const ContextPackCodec& codec) : ContextSide(codec) {}

  Status SetPoint(int point) override {
    if (point < 0 || static_cast<size_t>(point) >= codec_.shape().points) {
      return InvalidArgument(fmt::format("operating point {}: expected 0 to {}", point, codec_.shape().points - 1));
    }
    point_ = point;
    target_ = 0;
    return OkStatus();
  }
  Status SetTarget(double bits_per_token, std::span<const int> points) override;
  Status Push(MatrixView<const float> hidden, uint32_t batch, StreamWriter& writer) override;

 private:
  Status Quantize(MatrixView<const float> hidden, int point);
  Result<int> ChoosePoint(MatrixView<const float> hidden, uint32_t batch, const StreamWriter& writer);
  Status Write(uint32_t batch, int point, StreamWriter& writer);

  std::vector<uint8_t> payload_;
  TokenPayload token_;
  int point_ = 0;
  double target_ = 0;         // bits a token; 0: none
  std::vector<int> choices_;  // points that the target may use, rising
};

class ContextDecoder final : public ContextSide<FrameDecoder> {
 public:
  explicit ContextDecoder(const ContextPackCodec& codec) : ContextSide(codec) {}

  Result<Matrix<float>> Pull(const Frame& frame, StreamReader& reader) override {
    Matrix<float> hidden;
    SLUICE_RETURN_IF_ERROR(PullInto(frame, reader, hidden));
    return hidden;
  }
  Status PullInto(const Frame& frame, StreamReader& reader, Matrix<float>& hidden) override;
  int point() const override { return end_.point(); }
  std::span<const int32_t> tokens() const override {
    return carried_ ? std::span<const int32_t>(integers_.classes) : std::span<const int32_t>();
  }

 private:
  Status Decode(const Frame& frame, StreamReader& reader, const ContextEnd::Take& take);

  bool carried_ = false;  // the ids, by the stream
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
  const bool fresh = writer.header().BeginsAnew();
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
  SLUICE_RETURN_IF_ERROR(end_.BeginFrame(batch, writer.header().BeginsAnew()));
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
  SLUICE_RETURN_IF_ERROR(CheckAlive());
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

Status ContextDecoder::Decode(const Frame& frame, StreamReader& reader, const ContextEnd::Take& take) {
  const size_t count = size_t{frame.batch} * frame.tokens;
  carried_ = codec_.CarriesIds(reader.header());
  if (!carried_) SLUICE_RETURN_IF_ERROR(codec_.CheckTokenCount(tokens_.size(), count));
  integers_.tokens.assign(tokens_.begin(), carried_ ? tokens_.begin() : tokens_.end());
  integers_.classes.resize(carried_ || codec_.shape().names == TokenNames::kClasses ? count : 0);
  integers_.latents.resize(count * codec_.shape().width);
  SLUICE_RETURN_IF_ERROR(
      AsCorrupt(end_.BeginFrame(frame.batch, reader.header().BeginsAnew()), StatusCode::kInvalidArgument));
  if (frame.type == FrameType::kToken) {
    SLUICE_ASSIGN_OR_RETURN(const size_t bytes, end_.DecodeToken(frame, integers_, take));
    return reader.Consume(bytes, {integers_.classes, integers_.latents});
  }
  if (frame.type != FrameType::kChunk || frame.sections.size() != 1) {
    return Corrupt(fmt::format("a frame of {} sections, expected a chunk of 1", frame.sections.size()));
  }
  // The frame is whole, so more bytes cannot help.
  SLUICE_RETURN_IF_ERROR(AsCorrupt(end_.DecodeChunk(frame.sections[0], integers_, take), StatusCode::kTruncated));
  return frame.Verify({integers_.classes, integers_.latents});
}

// Hidden states are made while their latents are at hand, and shown only when the frame's checksum has been met.
Status ContextDecoder::PullInto(const Frame& frame, StreamReader& reader, Matrix<float>& hidden) {
  SLUICE_RETURN_IF_ERROR(CheckAlive());
  hidden.Resize(size_t{frame.batch} * frame.tokens, codec_.shape().width);
  const Status decoded = Decode(frame, reader, [&](size_t token, const ContextEnd::Decoded& part) {
    const size_t count = part.latents.size() / codec_.shape().width;
    codec_.floats().Restore(part.latents, part.mean_q4, part.scales, end_.point(), work_,
                            hidden.View().Rows(token, token + count));
  });
  if (!decoded.ok()) {
    failed_ = decoded.code() != StatusCode::kTruncated && decoded.code() != StatusCode::kInvalidArgument;
    return decoded.WithContext(fmt::format("frame at byte {}", frame.offset));
  }
  tokens_.clear();  // they were this frame's
  return OkStatus();
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
