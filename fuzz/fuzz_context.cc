// Frames of codec "context": with no names, with classes, with token ids that the reader knows and with ids that the
// stream carries, in tables or as they are. Data: which of them and what to do, then either bytes of frames, which are
// put behind a sound header and read as they are and with counts and checksums mended (those of chunks to what the
// codec decodes, so that nonsense gets as far as an attacker can bring it), or decisions, ids and hidden states.
// Proves: damaged frames are refused or decoded without leaving the bytes or the limits, and only by blaming the input;
// ids that come out of a stream are ids; any hidden states and ids survive the way there and back, and cut into tokens
// they decode to the same as in one chunk; a stream with a byte changed is refused or gives exactly what was sent; when
// tokens are taken back on both ends, what follows decodes as if they had never been.
#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <vector>

#include "codec/context_frames.h"
#include "codec/pack_stream.h"
#include "fix_checksums.h"
#include "frame_codec.h"
#include "fuzz_input.h"

namespace sluice {
namespace {

constexpr uint64_t kMaxElements = uint64_t{1} << 14;
// Of all that a stream may hold; rows of up to three have the same ones.
constexpr size_t kKnownIds = 3000;
static_assert(kKnownIds * kFuzzFrameWidth > kMaxElements && kKnownIds % (3 * 2 * 5) == 0);

uint16_t FlagsOf(const FuzzContext& context) { return context.carried ? kIdsInStream : 0; }

Result<HiddenStates> Decode(const FuzzContext& context, std::span<const uint8_t> stream, StreamIds& ids) {
  return DecodeHidden(context.codec, stream, kMaxElements, {}, context.ids > 0 ? &ids : nullptr);
}

void TryFrames(const FuzzContext& context, std::span<const uint8_t> stream) {
  StreamIds ids;
  for (size_t i = 0; i < kKnownIds && !context.carried; ++i) ids.ids.push_back(static_cast<int32_t>(i % 5));
  const Result<HiddenStates> hidden = Decode(context, stream, ids);
  RequireInputFault(hidden.status());
  if (!hidden.ok()) return;
  FUZZ_REQUIRE(hidden->values.cols() == kFuzzFrameWidth);
  FUZZ_REQUIRE(hidden->values.rows() == hidden->batch * hidden->tokens);
  if (!context.carried) return;
  FUZZ_REQUIRE(ids.carried && ids.ids.size() == hidden->values.rows());
  const auto least = static_cast<int32_t>(context.ids);
  FUZZ_REQUIRE(std::ranges::all_of(ids.ids, [&](int32_t id) { return id >= 0 && id < least; }));
}

/// Made once: the tables take longer than a stream.
const ContextParts& PartsOf(const PackCodec& codec) {
  static std::map<const PackCodec*, ContextParts> made;
  const auto found = made.find(&codec);
  return found != made.end() ? found->second
                             : made.emplace(&codec, *ContextParts::FromPack(codec.pack())).first->second;
}

/// The checksums of chunks, over what the codec makes of them.
class MendedChunks {
 public:
  MendedChunks(const FuzzContext& context, bool fresh)
      : context_(context), fresh_(fresh), parts_(PartsOf(context.codec)), end_(parts_) {}

  uint32_t operator()(uint64_t batch, uint64_t tokens, std::span<const uint8_t> sections, uint32_t before) {
    if (batch == 0 || tokens == 0 || batch > kMaxFrameBatch || tokens > kMaxElements / kFuzzFrameWidth / batch)
      return 0;
    ContextIntegers integers;
    const bool carried = context_.carried || parts_.weights.shape.names == TokenNames::kClasses;
    for (size_t i = 0; i < batch * tokens && context_.ids > 0 && !carried; ++i) {
      integers.tokens.push_back(static_cast<int32_t>((first_ + i % tokens) % 5));
    }
    integers.classes.resize(carried ? batch * tokens : 0);
    integers.latents.resize(batch * tokens * kFuzzFrameWidth);
    if (!end_.BeginFrame(static_cast<uint32_t>(batch), fresh_).ok()) return 0;
    (void)end_.DecodeChunk(sections, integers);
    first_ += tokens;
    return RollingChecksum(before, {integers.classes, integers.latents});
  }

 private:
  const FuzzContext& context_;
  bool fresh_;
  const ContextParts& parts_;
  ContextEnd end_;
  size_t first_ = 0;
};

std::vector<uint8_t> Encode(const FuzzContext& context, const HiddenStates& hidden, std::span<const int32_t> ids,
                            uint32_t chunk, int point, uint16_t flags) {
  Result<StreamWriter> writer = StreamWriter::ToMemory(context.codec.Header(DType::kF32, flags | FlagsOf(context)));
  FUZZ_REQUIRE(writer.ok());
  FUZZ_REQUIRE(EncodeHidden(context.codec, hidden, chunk, *writer, {.point = point}, ids).ok());
  FUZZ_REQUIRE(writer->Finish().ok());
  return writer->Take();
}

bool Same(MatrixView<const float> a, MatrixView<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), 4 * a.size()) == 0;
}

std::vector<int32_t> TakeIds(const FuzzContext& context, FuzzInput& input, uint64_t count) {
  std::vector<int32_t> ids;
  for (uint64_t i = 0; i < count && context.ids > 0; ++i) {
    ids.push_back(static_cast<int32_t>(input.InRange(0, context.ids - 1)));
  }
  return ids;
}

void TryRoundTrip(const FuzzContext& context, FuzzInput& input) {
  const uint64_t batch = input.InRange(1, 3);
  const uint64_t tokens = input.InRange(1, 40);
  const uint32_t chunk = input.InRange(1, 50);
  const auto point = static_cast<int>(input.InRange(0, kFuzzContextPoints - 1));
  const uint32_t where = input.Word();
  const auto change = static_cast<uint8_t>(input.InRange(1, 255));
  const std::vector<int32_t> ids = TakeIds(context, input, batch * tokens);
  const HiddenStates hidden = FuzzHidden(input.Rest(), batch, tokens);
  const auto decoded = [&](std::span<const uint8_t> stream) {
    StreamIds got{context.carried ? std::vector<int32_t>() : ids, false};
    Result<HiddenStates> back = Decode(context, stream, got);
    if (back.ok() && context.ids > 0) FUZZ_REQUIRE(got.ids == ids);
    return back;
  };
  const HiddenStates whole = *decoded(Encode(context, hidden, ids, static_cast<uint32_t>(tokens), point, 0));
  std::vector<uint8_t> stream = Encode(context, hidden, ids, chunk, point, 0);
  FUZZ_REQUIRE(Same(decoded(stream)->values.View(), whole.values.View()));
  const auto single = Encode(context, hidden, ids, static_cast<uint32_t>(tokens), point, kSingle);
  FUZZ_REQUIRE(Same(decoded(single)->values.View(), whole.values.View()));
  stream[where % stream.size()] ^= change;
  const Result<HiddenStates> damaged = decoded(stream);
  RequireInputFault(damaged.status());
  if (damaged.ok()) FUZZ_REQUIRE(Same(damaged->values.View(), whole.values.View()));
}

/// Both ends of a stream, in step.
class Link {
 public:
  explicit Link(const FuzzContext& context)
      : context_(context),
        writer_(*StreamWriter::ToMemory(context.codec.Header(DType::kF32, FlagsOf(context)))),
        bytes_(writer_.Take()),
        reader_(*StreamReader::FromBytes(bytes_)),
        encoder_(context.codec.NewEncoder()),
        decoder_(context.codec.NewDecoder()) {}

  Matrix<float> Send(MatrixView<const float> hidden, std::span<const int32_t> ids, int point) {
    FUZZ_REQUIRE(encoder_->SetPoint(point).ok() && encoder_->SetTokens(ids).ok());
    FUZZ_REQUIRE(encoder_->Push(hidden, 1, writer_).ok());
    bytes_ = writer_.Take();
    reader_.Continue(bytes_);
    const Result<std::optional<Frame>> frame = reader_.Next();
    FUZZ_REQUIRE(frame.ok() && frame->has_value());
    if (!context_.carried) FUZZ_REQUIRE(decoder_->SetTokens(ids).ok());
    Result<Matrix<float>> back = decoder_->Pull(**frame, reader_);
    FUZZ_REQUIRE(back.ok() && decoder_->point() == point);
    if (context_.carried) FUZZ_REQUIRE(std::ranges::equal(decoder_->tokens(), ids));
    return std::move(*back);
  }
  void TakeBack(size_t tokens) { FUZZ_REQUIRE(encoder_->Trim(tokens).ok() && decoder_->Trim(tokens).ok()); }

 private:
  const FuzzContext& context_;
  StreamWriter writer_;
  std::vector<uint8_t> bytes_;
  StreamReader reader_;
  std::unique_ptr<FrameEncoder> encoder_;
  std::unique_ptr<FrameDecoder> decoder_;
};

void TrySteps(const FuzzContext& context, FuzzInput& input) {
  constexpr size_t kMostTokens = 60;
  struct Token {
    std::vector<float> hidden, back;
    std::vector<int32_t> ids;
    int point;
  };
  std::vector<Token> kept;
  Link link(context);
  while (!input.empty() && kept.size() < kMostTokens) {
    if (!kept.empty() && input.Byte() % 4 == 0) {
      const size_t taken = input.InRange(1, static_cast<uint32_t>(kept.size()));
      link.TakeBack(taken);
      kept.resize(kept.size() - taken);
    }
    const uint32_t tokens = input.InRange(1, 4);
    const auto point = static_cast<int>(input.InRange(0, kFuzzContextPoints - 1));
    const std::vector<int32_t> ids = TakeIds(context, input, tokens);
    const HiddenStates hidden = FuzzHidden(input.Bytes(tokens * kFuzzFrameWidth), 1, tokens);
    const Matrix<float> back = link.Send(hidden.values.View(), ids, point);
    for (size_t t = 0; t < tokens; ++t) {
      const auto row = hidden.values.row(t);
      kept.push_back({{row.begin(), row.end()}, {back.row(t).begin(), back.row(t).end()}, {}, point});
      if (!ids.empty()) kept.back().ids = {ids[t]};
    }
  }
  Link straight(context);
  for (const Token& token : kept) {
    const Matrix<float> back = straight.Send({token.hidden.data(), 1, kFuzzFrameWidth}, token.ids, token.point);
    FUZZ_REQUIRE(Same(back.View(), {token.back.data(), 1, kFuzzFrameWidth}));
  }
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  FuzzInput input(data, size);
  const uint8_t kind = input.Byte(), mode = kind / kFuzzContexts % 5;
  const FuzzContext context = FuzzContextOf(kind % kFuzzContexts);
  if (mode == 0) {
    TryRoundTrip(context, input);
    return 0;
  }
  if (mode == 1) {
    TrySteps(context, input);
    return 0;
  }
  const uint16_t flags = mode == 2 ? 0 : mode == 3 ? kFreshFrames : kSingle;
  Result<StreamWriter> writer = StreamWriter::ToMemory(context.codec.Header(DType::kF16, flags | FlagsOf(context)));
  FUZZ_REQUIRE(writer.ok());
  std::vector<uint8_t> stream = writer->Take();
  const std::span<const uint8_t> frames = input.Rest();
  stream.insert(stream.end(), frames.begin(), frames.end());
  TryFrames(context, stream);
  MendedChunks mended(context, flags != 0);
  TryFrames(context, RepairStreamWith(std::ref(mended), stream));
  return 0;
}
