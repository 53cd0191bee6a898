// Codec "context". An encoder predicts all tokens of a row with a few matrix products and then encodes everything from
// the last element to the first; a decoder must go token by token and group by group, since what it decodes is what the
// next group's parameters are made of. Classes come before all latents of a frame, so that the latents are one array.
#include "codec/context_frames.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "rans/rans_layout.h"

namespace sluice {
namespace {

constexpr int kMeanOffsets = 16;
constexpr int kPointBits = 4;

// Tables of a section as they are coded with. Their symbols are checked where they are put together.
Result<std::vector<StaticTable>> ReadTables(const Pack& pack, const char* name, size_t count) {
  SLUICE_ASSIGN_OR_RETURN(const auto stored, pack.Tables(name, count));
  std::vector<StaticTable> tables;
  for (const PackTable& one : stored) {
    auto table = StaticTable::FromFrequencies(one.first, one.frequencies, one.closed, pack.info().precision_bits);
    if (!table.ok())
      return AsCorrupt(table.status(), StatusCode::kInvalidArgument).WithContext("pack: tables of classes or ids");
    tables.push_back(std::move(*table));
  }
  return tables;
}

Result<IdTables> ReadIdTables(const Pack& pack, bool classes, size_t ids) {
  SLUICE_ASSIGN_OR_RETURN(auto first, ReadTables(pack, classes ? "classes" : "ids", ids + 1));
  if (!classes || !pack.tensors().contains("class_sizes")) {
    SLUICE_ASSIGN_OR_RETURN(IdTables tables, IdTables::Flat(first));
    if (tables.ids() != ids) return Corrupt("pack: a table of classes or ids is not one of all");
    return tables;
  }
  SLUICE_ASSIGN_OR_RETURN(const std::vector<uint32_t> sizes, ReadClassSizes(pack));
  SLUICE_ASSIGN_OR_RETURN(auto places, ReadTables(pack, "class_places", sizes.size() * (sizes.size() + 1)));
  return IdTables::Grouped(sizes, first, places);
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
  if (!tables.ok()) return AsCorrupt(tables.status(), StatusCode::kInvalidArgument);
  ContextParts parts{std::move(weights), std::move(*tables), {}};
  const bool classes = parts.weights.shape.names == TokenNames::kClasses;
  if (classes || (side && pack.tables().contains("ids"))) {
    SLUICE_ASSIGN_OR_RETURN(parts.classes, ReadIdTables(pack, classes, parts.weights.shape.ids));
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
  bad_class_ = false;
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

// Without tables, ids go as they are.
template <bool kBackwards, typename Sink>
void ContextEnd::PutClass(int32_t previous, int32_t id, Sink& sink) const {
  if (parts_.classes.empty()) {
    sink.PushBits(static_cast<uint32_t>(id), std::bit_width(parts_.weights.shape.ids - 1));
  } else {
    parts_.classes.Encode<kBackwards>(previous, id, sink);
  }
}

template <typename Source>
int32_t ContextEnd::TakeClass(int32_t previous, Source& source) {
  if (!parts_.classes.empty()) return parts_.classes.Decode(previous, source);
  const uint32_t id = source.PopBits(std::bit_width(parts_.weights.shape.ids - 1));
  if (id < parts_.weights.shape.ids) return static_cast<int32_t>(id);
  bad_class_ = true;
  return 0;
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

// The latents of one row, whose tokens are prepared, from its last block of tokens to its first.
Status ContextEnd::PrependRow(std::span<const int32_t> latents) {
  const size_t d = parts_.weights.shape.width;
  for (size_t end = latents.size() / d; end > 0;) {
    const size_t count = (end - 1) % ContextEngine::kBlock + 1;
    end -= count;
    const auto mean = std::span(mean_q4_).first(count * d);
    const auto scale = std::span(scales_).first(count * d);
    engine_.Parameters(end, mean, scale);
    SLUICE_RETURN_IF_ERROR(encoder_.Prepend(latents.subspan(end * d, count * d), {scale, mean}));
  }
  return OkStatus();
}

Status ContextEnd::EncodeChunk(const ContextIntegers& integers, int point, std::vector<uint8_t>& payload) {
  const ContextShape& shape = parts_.weights.shape;
  const size_t elements = integers.latents.size(), count = elements / shape.width, length = count / rows_;
  const auto ids = integers.ids();
  Resize(std::min(length, ContextEngine::kBlock) * shape.width);
  SLUICE_RETURN_IF_ERROR(encoder_.Begin(LanesFor(elements)));
  std::vector<int32_t> before(rows_);
  for (size_t row = rows_; row-- > 0;) {
    ContextState& state = Row(row);
    if (fresh_) state.Begin();
    before[row] = state.last_id();
    const auto latents = std::span(integers.latents).subspan(row * length * shape.width, length * shape.width);
    engine_.Prepare(point, length, ids.empty() ? ids : ids.subspan(row * length, length), latents, state);
    SLUICE_RETURN_IF_ERROR(PrependRow(latents));
  }
  RansStack& stack = encoder_.stack();
  for (size_t i = integers.classes.size(); i-- > 0;) {
    const int32_t previous = i % length == 0 ? before[i / length] : integers.classes[i - 1];
    PutClass<true>(previous, integers.classes[i], stack);
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
    PutClass<false>(state.last_id(), integers.classes[0], token_encoder_);
  }
  engine_.Predict(point, integers.ids(), integers.latents, state, mean_q4_, scales_);
  for (size_t j = 0; j < shape.width; ++j) {
    EncodeGaussian(parts_.tables.tables(), integers.latents[j], mean_q4_[j], scales_[j], token_encoder_);
  }
  token_encoder_.Finish(RollingChecksum(rolling, {integers.classes, integers.latents}), payload);
}

template <typename Read>
Status ContextEnd::DecodeLatents(size_t at, int32_t id, ContextState& state, std::span<int32_t> latents, Read&& read) {
  const ContextShape& shape = parts_.weights.shape;
  engine_.BeginToken(point_, id, state);
  for (size_t g = 0; g < shape.groups; ++g) {
    const size_t begin = shape.GroupBegin(g), from = at * shape.width + begin, size = shape.GroupSize(g);
    const auto mean = std::span(mean_q4_).subspan(from, size);
    const auto scale = std::span(scales_).subspan(from, size);
    engine_.ParametersOf(g, mean, scale);
    SLUICE_RETURN_IF_ERROR(read(mean, scale, latents.subspan(begin, size)));
    engine_.Absorb(g, latents.subspan(begin, size));
  }
  engine_.EndToken(state);
  return OkStatus();
}

Status ContextEnd::DecodeChunk(std::span<const uint8_t> payload, ContextIntegers& integers, const Take& take) {
  const ContextShape& shape = parts_.weights.shape;
  const size_t elements = integers.latents.size(), count = elements / shape.width, length = count / rows_;
  Resize(std::min(length, ContextEngine::kBlock) * shape.width);
  SLUICE_ASSIGN_OR_RETURN(GaussianArrayDecoder decoder,
                          GaussianArrayDecoder::Create(parts_.tables, payload, LanesFor(elements), rans_));
  if (!TakePoint(decoder.decoder())) return Corrupt("an operating point that the codec does not have");
  for (size_t i = 0; i < integers.classes.size(); ++i) {
    const bool first = i % length == 0;
    const auto none = static_cast<int32_t>(shape.ids);
    const int32_t previous = !first ? integers.classes[i - 1] : fresh_ ? none : Row(i / length).last_id();
    integers.classes[i] = TakeClass(previous, decoder.decoder());
  }
  if (bad_class_) return Corrupt("a token id that the codec does not have");
  for (size_t row = 0; row < rows_; ++row) {
    if (fresh_) Row(row).Begin();
    for (size_t t = 0; t < length; t += ContextEngine::kBlock) {
      const size_t at = row * length + t, size = std::min(ContextEngine::kBlock, length - t);
      SLUICE_RETURN_IF_ERROR(DecodeBlock(at, size, Row(row), integers, decoder));
      if (take) take(at, Block(at, size, integers));
    }
  }
  return decoder.Finish();
}

ContextEnd::Decoded ContextEnd::Block(size_t at, size_t count, const ContextIntegers& integers) const {
  const size_t d = parts_.weights.shape.width;
  return {std::span(integers.latents).subspan(at * d, count * d), std::span(mean_q4_).first(count * d),
          std::span(scales_).first(count * d)};
}

// Tokens [at, at + count) of the frame, all of one row. Where no latent says anything of another they are predicted all
// at once, as an encoder does.
Status ContextEnd::DecodeBlock(size_t at, size_t count, ContextState& state, ContextIntegers& integers,
                               GaussianArrayDecoder& decoder) {
  const size_t d = parts_.weights.shape.width;
  const auto ids = integers.ids().empty() ? integers.ids() : integers.ids().subspan(at, count);
  const auto latents = std::span(integers.latents).subspan(at * d, count * d);
  const auto read = [&](std::span<const int32_t> mean, std::span<const uint8_t> scale, std::span<int32_t> part) {
    return decoder.Decode({scale, mean}, part);
  };
  if (!parts_.weights.shape.latents) {
    const auto mean = std::span(mean_q4_).first(count * d);
    const auto scale = std::span(scales_).first(count * d);
    engine_.Predict(point_, ids, latents, state, mean, scale);
    return read(mean, scale, latents);
  }
  for (size_t t = 0; t < count; ++t) {
    SLUICE_RETURN_IF_ERROR(DecodeLatents(t, ids.empty() ? 0 : ids[t], state, latents.subspan(t * d, d), read));
  }
  return OkStatus();
}

Result<size_t> ContextEnd::DecodeToken(const Frame& frame, ContextIntegers& integers, const Take& take) {
  Resize(integers.latents.size());
  SLUICE_ASSIGN_OR_RETURN(TokenDecoder decoder,
                          TokenDecoder::Create(frame.token_bits, frame.sections[0], parts_.tables.precision()));
  const int point_before = point_;
  const bool known = TakePoint(decoder);
  ContextState& state = Row(0);
  if (!integers.classes.empty()) {
    integers.classes[0] = TakeClass(state.last_id(), decoder);
  }
  const auto ids = integers.ids();
  const auto decode = [&](std::span<const int32_t> mean, std::span<const uint8_t> scale, std::span<int32_t> latents) {
    for (size_t j = 0; j < latents.size(); ++j) {
      latents[j] = DecodeGaussian(parts_.tables.tables(), mean[j], scale[j], decoder);
    }
    return OkStatus();
  };
  SLUICE_RETURN_IF_ERROR(DecodeLatents(0, ids.empty() ? 0 : ids[0], state, integers.latents, decode));
  const Result<size_t> bytes = decoder.Finish(RollingChecksum(frame.rolling, {integers.classes, integers.latents}));
  if (!bytes.ok()) {
    SLUICE_RETURN_IF_ERROR(state.Trim(1));
    point_ = point_before;
    return bytes;
  }
  if (!known) return Corrupt("an operating point that the codec does not have");
  if (bad_class_) return Corrupt("a token id that the codec does not have");
  if (take) take(0, Block(0, 1, integers));
  return bytes;
}

}  // namespace sluice
