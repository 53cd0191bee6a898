// Codec "context". An encoder predicts all tokens of a row with a few matrix products and then encodes everything from
// the last element to the first; a decoder must go token by token and group by group, since what it decodes is what the
// next group's parameters are made of. Classes come before all latents of a frame, so that the latents are one array.
#include "codec/context_frames.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "rans/rans_layout.h"

namespace sluice {
namespace {

constexpr int kMeanOffsets = 16;
constexpr int kPointBits = 4;

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
    if (codec_.shape().names == TokenNames::kTokens) integers_.tokens.assign(ids.begin(), ids.end());
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
    if (codec_.shape().names == TokenNames::kTokens) integers_.tokens.assign(ids.begin(), ids.end());
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

 private:
  Status Decode(const Frame& frame, StreamReader& reader);

  const ContextPackCodec& codec_;
  ContextEnd end_;
  ContextIntegers integers_;
  ContextFloats::Work work_;
  bool failed_ = false;
};

std::unique_ptr<FrameEncoder> ContextPackCodec::NewEncoder() const { return std::make_unique<ContextEncoder>(*this); }
std::unique_ptr<FrameDecoder> ContextPackCodec::NewDecoder() const { return std::make_unique<ContextDecoder>(*this); }

Status ContextEncoder::Quantize(MatrixView<const float> hidden, int point) {
  integers_.latents.resize(hidden.size());
  integers_.classes.resize(codec_.shape().names == TokenNames::kClasses ? hidden.rows() : 0);
  return codec_.floats().Quantize(hidden, point, integers_.latents, integers_.classes, work_);
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
  SLUICE_RETURN_IF_ERROR(codec_.CheckTokenCount(integers_.tokens.size(), hidden.rows()));
  if (target_ > 0) {
    SLUICE_ASSIGN_OR_RETURN(point_, ChoosePoint(hidden, batch, writer));
  }
  SLUICE_RETURN_IF_ERROR(Quantize(hidden, point_));
  const Status written = Write(batch, point_, writer);
  failed_ = !written.ok();
  integers_.tokens.clear();  // they were this frame's
  return written;
}

Status ContextDecoder::Decode(const Frame& frame, StreamReader& reader) {
  const size_t count = size_t{frame.batch} * frame.tokens;
  SLUICE_RETURN_IF_ERROR(codec_.CheckTokenCount(integers_.tokens.size(), count));
  integers_.classes.resize(codec_.shape().names == TokenNames::kClasses ? count : 0);
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
  integers_.tokens.clear();
  Matrix<float> hidden(size_t{frame.batch} * frame.tokens, codec_.shape().width);
  codec_.floats().Restore(integers_.latents, end_.mean_q4(), end_.scales(), end_.point(), work_, hidden.View());
  return hidden;
}

}  // namespace

Result<ContextParts> ContextParts::FromPack(const Pack& pack) {
  SLUICE_ASSIGN_OR_RETURN(ContextWeights weights, ContextWeights::FromPack(pack));
  const PackInfo& info = pack.info();
  const bool side = weights.shape.names == TokenNames::kTokens;
  if (info.hyper_channels != 0 || info.flags != (side ? kSideTokens : 0)) {
    return Corrupt("pack: hyper channels or flags that are not those of codec context");
  }
  auto tables = GaussianArrayTables::Create(info.precision_bits, kMeanOffsets);
  if (!tables.ok()) return AsDamage(tables.status());
  ContextParts parts{std::move(weights), std::move(*tables), {}};
  const ContextShape& shape = parts.weights.shape;
  if (shape.names != TokenNames::kClasses) return parts;
  SLUICE_ASSIGN_OR_RETURN(const auto stored, pack.Tables("classes", shape.ids + 1));
  for (const PackTable& one : stored) {
    if (!one.closed || one.first != 0 || one.frequencies.size() != shape.ids) {
      return Corrupt("pack: a table of classes is not closed, or not one of all classes");
    }
    auto table = StaticTable::FromFrequencies(0, one.frequencies, true, info.precision_bits);
    if (!table.ok()) return AsDamage(table.status()).WithContext("pack: tables of classes");
    parts.classes.push_back(std::move(*table));
  }
  return parts;
}

ContextEnd::ContextEnd(const ContextParts& parts, const IntegerKernels& kernels, const RansKernels& rans)
    : parts_(parts),
      engine_(parts.weights, kernels),
      encoder_(parts.tables, rans),
      token_encoder_(*TokenEncoder::Create(parts.tables.precision())),
      rans_(rans) {}

Status ContextEnd::BeginFrame(uint32_t rows, bool fresh) {
  if (!fresh && !states_.empty() && rows != rows_) {
    return InvalidArgument(fmt::format("{} rows in a stream that continues, {} in the frames before", rows, rows_));
  }
  fresh_ = fresh;
  rows_ = rows;
  if (fresh) point_ = 0;
  const size_t kept = fresh ? 1 : rows;
  if (states_.size() != kept) states_.assign(kept, ContextState(parts_.weights.shape, kept == 1 ? kMostTrim : 0));
  return OkStatus();
}

Status ContextEnd::Trim(size_t tokens) {
  if (rows_ != 1 || fresh_ || states_.empty()) return InvalidArgument("only a stream of one row can take tokens back");
  return states_[0].Trim(tokens);
}

void ContextEnd::Return(const Memory& memory) {
  states_ = memory.rows;
  point_ = memory.point;
  if (!fresh_ && !states_.empty()) rows_ = static_cast<uint32_t>(states_.size());
}

void ContextEnd::Resize(size_t elements) {
  mean_q4_.resize(elements);
  scales_.resize(elements);
}

// One in 64 frames may change the point at no loss; to stay costs 0.02 bits.
Interval ContextEnd::PointInterval(bool same) const {
  const uint32_t total = 1u << parts_.tables.precision(), changed = total >> 6;
  return same ? Interval{0, total - changed} : Interval{total - changed, changed};
}

template <typename Source>
bool ContextEnd::TakePoint(Source& source) {
  if (parts_.weights.shape.points == 1) return true;
  const bool same = source.Peek() < PointInterval(true).freq;
  source.Advance(PointInterval(same));
  if (same) return true;
  const uint32_t point = source.PopBits(kPointBits);
  point_ = static_cast<int>(point % parts_.weights.shape.points);
  return point < parts_.weights.shape.points;
}

Status ContextEnd::EncodeChunk(const ContextIntegers& integers, int point, std::vector<uint8_t>& payload) {
  const ContextShape& shape = parts_.weights.shape;
  const size_t elements = integers.latents.size(), count = elements / shape.width, length = count / rows_;
  const auto ids = integers.ids();
  Resize(elements);
  SLUICE_RETURN_IF_ERROR(encoder_.Begin(LanesFor(elements)));
  std::vector<int32_t> before(rows_);
  for (size_t row = 0; row < rows_; ++row) {
    ContextState& state = Row(row);
    if (fresh_) state.Begin();
    before[row] = state.last_id();
    const size_t from = row * length * shape.width, size = length * shape.width;
    engine_.Predict(point, ids.empty() ? ids : ids.subspan(row * length, length),
                    std::span(integers.latents).subspan(from, size), state, std::span(mean_q4_).subspan(from, size),
                    std::span(scales_).subspan(from, size));
  }
  SLUICE_RETURN_IF_ERROR(encoder_.Prepend(integers.latents, {scales_, mean_q4_}));
  RansStack& stack = encoder_.stack();
  for (size_t i = integers.classes.size(); i-- > 0;) {
    const int32_t previous = i % length == 0 ? before[i / length] : integers.classes[i - 1];
    const StaticTable& table = parts_.classes[static_cast<size_t>(previous)];
    stack.Push(table.frequency_table().At(static_cast<size_t>(integers.classes[i])));
  }
  if (shape.points > 1) {
    if (point != point_) stack.PushBits(static_cast<uint32_t>(point), kPointBits);
    stack.Push(PointInterval(point == point_));
  }
  point_ = point;
  payload.clear();
  encoder_.Finish(payload);
  return OkStatus();
}

void ContextEnd::EncodeToken(const ContextIntegers& integers, int point, uint32_t rolling, TokenPayload& payload) {
  const ContextShape& shape = parts_.weights.shape;
  Resize(shape.width);
  if (shape.points > 1) {
    token_encoder_.Push(PointInterval(point == point_));
    if (point != point_) token_encoder_.PushBits(static_cast<uint32_t>(point), kPointBits);
  }
  point_ = point;
  ContextState& state = Row(0);
  if (!integers.classes.empty()) {
    EncodeStatic(parts_.classes[static_cast<size_t>(state.last_id())], integers.classes[0], token_encoder_);
  }
  engine_.Predict(point, integers.ids(), integers.latents, state, mean_q4_, scales_);
  for (size_t j = 0; j < shape.width; ++j) {
    EncodeGaussian(parts_.tables.tables(), integers.latents[j], mean_q4_[j], scales_[j], token_encoder_);
  }
  token_encoder_.Finish(RollingChecksum(rolling, {integers.classes, integers.latents}), payload);
}

template <typename Take>
void ContextEnd::DecodeLatents(size_t at, int32_t id, ContextState& state, std::span<int32_t> latents, Take&& take) {
  const ContextShape& shape = parts_.weights.shape;
  engine_.BeginToken(point_, id, state);
  for (size_t g = 0; g < shape.groups; ++g) {
    const size_t from = at * shape.width + shape.GroupBegin(g), size = shape.GroupSize(g);
    const auto mean = std::span(mean_q4_).subspan(from, size);
    const auto scale = std::span(scales_).subspan(from, size);
    engine_.Parameters(g, mean, scale);
    take(mean, scale, latents.subspan(from, size));
    engine_.Absorb(g, latents.subspan(from, size));
  }
  engine_.EndToken(state);
}

Status ContextEnd::DecodeChunk(std::span<const uint8_t> payload, ContextIntegers& integers) {
  const ContextShape& shape = parts_.weights.shape;
  const size_t elements = integers.latents.size(), count = elements / shape.width, length = count / rows_;
  Resize(elements);
  SLUICE_ASSIGN_OR_RETURN(GaussianArrayDecoder decoder,
                          GaussianArrayDecoder::Create(parts_.tables, payload, LanesFor(elements), rans_));
  if (!TakePoint(decoder.decoder())) return Corrupt("an operating point that the codec does not have");
  for (size_t i = 0; i < integers.classes.size(); ++i) {
    const bool first = i % length == 0;
    const auto none = static_cast<int32_t>(shape.ids);
    const int32_t previous = !first ? integers.classes[i - 1] : fresh_ ? none : Row(i / length).last_id();
    const StaticTable& table = parts_.classes[static_cast<size_t>(previous)];
    integers.classes[i] = static_cast<int32_t>(DecodeStatic(table, decoder.decoder()));
  }
  const auto ids = integers.ids();
  Status status;
  for (size_t t = 0; t < count && status.ok(); ++t) {
    ContextState& state = Row(t / length);
    if (fresh_ && t % length == 0) state.Begin();
    DecodeLatents(t, ids.empty() ? 0 : ids[t], state, integers.latents,
                  [&](std::span<const int32_t> mean, std::span<const uint8_t> scale, std::span<int32_t> latents) {
                    if (status.ok()) status = decoder.Decode({scale, mean}, latents);
                  });
  }
  SLUICE_RETURN_IF_ERROR(status);
  return decoder.Finish();
}

Result<size_t> ContextEnd::DecodeToken(const Frame& frame, ContextIntegers& integers) {
  Resize(integers.latents.size());
  SLUICE_ASSIGN_OR_RETURN(TokenDecoder decoder,
                          TokenDecoder::Create(frame.token_bits, frame.sections[0], parts_.tables.precision()));
  const int point_before = point_;
  const bool known = TakePoint(decoder);
  ContextState& state = Row(0);
  if (!integers.classes.empty()) {
    const StaticTable& table = parts_.classes[static_cast<size_t>(state.last_id())];
    integers.classes[0] = static_cast<int32_t>(DecodeStatic(table, decoder));
  }
  const auto ids = integers.ids();
  DecodeLatents(0, ids.empty() ? 0 : ids[0], state, integers.latents,
                [&](std::span<const int32_t> mean, std::span<const uint8_t> scale, std::span<int32_t> latents) {
                  for (size_t j = 0; j < latents.size(); ++j) {
                    latents[j] = DecodeGaussian(parts_.tables.tables(), mean[j], scale[j], decoder);
                  }
                });
  const Result<size_t> bytes = decoder.Finish(RollingChecksum(frame.rolling, {integers.classes, integers.latents}));
  if (!bytes.ok()) {
    SLUICE_RETURN_IF_ERROR(state.Trim(1));
    point_ = point_before;
    return bytes;
  }
  if (!known) return Corrupt("an operating point that the codec does not have");
  return bytes;
}

Result<std::unique_ptr<PackCodec>> MakeContextCodec(Pack pack) {
  SLUICE_ASSIGN_OR_RETURN(ContextParts parts, ContextParts::FromPack(pack));
  const size_t classes = parts.weights.shape.names == TokenNames::kClasses ? parts.weights.shape.ids : 0;
  SLUICE_ASSIGN_OR_RETURN(ContextFloats floats, ContextFloats::FromPack(pack, classes));
  return std::unique_ptr<PackCodec>(
      std::make_unique<ContextPackCodec>(std::move(pack), std::move(parts), std::move(floats)));
}

}  // namespace sluice
