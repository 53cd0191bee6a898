// Streams of frames. Proves, for every input and for the same with its checksums mended: the reader stays inside the
// bytes and its limits, fails only by blaming the input, fails the same way twice; a stream that it takes is the one
// that a writer makes of its frames, and no prefix of it is taken; every plain codec decodes or refuses every payload
// without memory beyond what tokens times width explain; what a raw codec decoded, it encodes to the same payload.
#include <algorithm>
#include <optional>
#include <vector>

#include "fix_checksums.h"
#include "format/stream.h"
#include "fuzz_input.h"
#include "plain/hidden_stream.h"
#include "plain/plain_codec.h"

namespace sluice {
namespace {

constexpr uint64_t kMaxElements = uint64_t{1} << 16;

void CheckFrame(const StreamHeader& header, const Frame& frame, uint64_t tokens, std::span<const uint8_t> bytes) {
  const uint64_t frame_tokens = uint64_t{frame.batch} * frame.tokens;
  FUZZ_REQUIRE(frame.first_token == tokens);
  FUZZ_REQUIRE(frame.batch >= 1 && frame.batch <= kMaxFrameBatch && frame.tokens >= 1);
  FUZZ_REQUIRE(frame_tokens <= kMaxFrameTokens && frame_tokens * header.width <= kMaxFrameElements);
  FUZZ_REQUIRE(!frame.sections.empty() && frame.sections.size() <= kMaxFrameSections);
  for (const std::span<const uint8_t> section : frame.sections) {
    FUZZ_REQUIRE(section.data() >= bytes.data() && section.data() + section.size() <= bytes.data() + bytes.size());
  }
}

void DecodePayload(std::span<const uint8_t> payload, size_t tokens, size_t width) {
  static const auto codecs = [] {
    std::vector<std::unique_ptr<HiddenCodec>> made;
    for (const PlainCodecInfo& info : ListPlainCodecs()) made.push_back(std::move(*MakePlainCodec(info.spec)));
    return made;
  }();
  for (const auto& codec : codecs) {
    const Result<Matrix<float>> hidden = codec->Decode(payload, tokens, width);
    RequireInputFault(hidden.status());
    if (!hidden.ok()) continue;
    FUZZ_REQUIRE(hidden->rows() == tokens && hidden->cols() == width);
    if (codec->name() != "fp32") continue;
    const Result<std::vector<uint8_t>> again = codec->Encode(hidden->View());
    FUZZ_REQUIRE(again.ok() && std::ranges::equal(*again, payload));
  }
}

/// A token frame of the size that the repair assumes, its payload taken for its integers.
void TakeToken(const Frame& frame, StreamReader& reader, StreamWriter& writer) {
  FUZZ_REQUIRE(frame.token_bits <= kTokenBits);
  FUZZ_REQUIRE(reader.Next().status().code() == StatusCode::kInvalidArgument);
  FUZZ_REQUIRE(!reader.Consume(frame.sections[0].size() + 1, {}).ok());
  const std::span<const uint8_t> payload = frame.sections[0].first(TokenPayloadSize(frame.sections[0]));
  const std::vector<int32_t> integers(payload.begin(), payload.end());
  FUZZ_REQUIRE(reader.Consume(payload.size(), {integers}).ok());
  FUZZ_REQUIRE(writer.AddToken(frame.token_bits, payload, {integers}).ok());
}

/// Adds the frame to the writer; false when its checksum is not that of its bytes taken for integers.
bool TakeFrame(const StreamHeader& header, const Frame& frame, StreamReader& reader, StreamWriter& writer) {
  const uint64_t tokens = uint64_t{frame.batch} * frame.tokens;
  if (frame.type == FrameType::kToken) {
    TakeToken(frame, reader, writer);
    return true;
  }
  if (frame.type == FrameType::kStored) {
    if (tokens * header.width <= kMaxElements) DecodePayload(frame.sections[0], tokens, header.width);
    FUZZ_REQUIRE(writer.AddStored(frame.batch, frame.tokens, frame.sections[0]).ok());
    return true;
  }
  std::vector<int32_t> integers;
  for (const auto& section : frame.sections) integers.insert(integers.end(), section.begin(), section.end());
  const Status verified = frame.Verify({integers});
  RequireInputFault(verified);
  FUZZ_REQUIRE(writer.AddChunk(frame.batch, frame.tokens, frame.sections, {integers}).ok());
  return verified.ok();
}

/// Whether a stream was read to its end.
bool ReadAll(std::span<const uint8_t> bytes) {
  Result<StreamReader> reader = StreamReader::FromBytes(bytes);
  RequireInputFault(reader.status());
  if (!reader.ok()) return false;
  const StreamHeader header = reader->header();
  Result<StreamWriter> writer = StreamWriter::ToMemory(header);
  FUZZ_REQUIRE(writer.ok());
  bool verified = true;
  for (uint64_t tokens = 0;;) {
    const Result<std::optional<Frame>> frame = reader->Next();
    RequireInputFault(frame.status());
    if (!frame.ok()) {
      FUZZ_REQUIRE(reader->Next().status().code() == frame.status().code());
      return false;
    }
    if (!frame->has_value()) break;
    CheckFrame(header, **frame, tokens, bytes);
    // From a frame on whose checksum does not match, the writer's rolling checksum is another.
    if (verified) FUZZ_REQUIRE((*frame)->rolling == writer->rolling());
    tokens += uint64_t{(*frame)->batch} * (*frame)->tokens;
    verified &= TakeFrame(header, **frame, *reader, *writer);
  }
  FUZZ_REQUIRE(writer->Finish().ok());
  if (verified) FUZZ_REQUIRE(std::ranges::equal(writer->Take(), bytes));
  return true;
}

void TryStream(std::span<const uint8_t> bytes) {
  const bool whole = ReadAll(bytes);
  const Result<HiddenStates> hidden = DecodeHidden(bytes, kMaxElements);
  RequireInputFault(hidden.status());
  if (hidden.ok()) FUZZ_REQUIRE(whole && hidden->values.rows() == hidden->batch * hidden->tokens);
  if (!whole) return;
  const Result<HiddenStates> cut = DecodeHidden(bytes.first(bytes.size() * 3 / 4), kMaxElements);
  FUZZ_REQUIRE(!cut.ok());
  RequireInputFault(cut.status());
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return sluice::TryAsItIsAndMended(data, size, sluice::TryStream, sluice::RepairStream);
}
