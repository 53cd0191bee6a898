// Streams of frames. Proves, for every input and for the same with its checksums mended: the reader stays inside the
// bytes and its limits, fails only by blaming the input, fails the same way twice; a stream that it takes is the one
// that a writer makes of its frames, and no prefix of it is taken; every plain codec decodes or refuses every payload
// without memory beyond what tokens times width explain; what a raw codec decoded, it encodes to the same payload.
#include <algorithm>
#include <array>
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

/// A chunk frame needs its learned codec; its checksum can be tried with any integers.
void VerifyChunk(const Frame& frame) {
  std::vector<int32_t> integers(frame.sections[0].begin(), frame.sections[0].end());
  RequireInputFault(frame.Verify({integers}));
}

Status AddAgain(const Frame& frame, StreamWriter& writer) {
  if (frame.type == FrameType::kStored) return writer.AddStored(frame.batch, frame.tokens, frame.sections[0]);
  return writer.AddChunk(frame.batch, frame.tokens, frame.sections, {});
}

/// The stream that a writer makes of the frames read; nothing where the reader stopped with an error.
std::optional<std::vector<uint8_t>> ReadAll(std::span<const uint8_t> bytes) {
  Result<StreamReader> reader = StreamReader::FromBytes(bytes);
  RequireInputFault(reader.status());
  if (!reader.ok()) return std::nullopt;
  const StreamHeader header = reader->header();
  Result<StreamWriter> writer = StreamWriter::ToMemory(header);
  FUZZ_REQUIRE(writer.ok());
  for (uint64_t tokens = 0;;) {
    const Result<std::optional<Frame>> frame = reader->Next();
    RequireInputFault(frame.status());
    if (!frame.ok()) {
      FUZZ_REQUIRE(reader->Next().status().code() == frame.status().code());
      return std::nullopt;
    }
    if (!frame->has_value()) break;
    CheckFrame(header, **frame, tokens, bytes);
    const uint64_t frame_tokens = uint64_t{(*frame)->batch} * (*frame)->tokens;
    tokens += frame_tokens;
    if ((*frame)->type == FrameType::kChunk)
      VerifyChunk(**frame);
    else if (frame_tokens * header.width <= kMaxElements)
      DecodePayload((*frame)->sections[0], frame_tokens, header.width);
    FUZZ_REQUIRE(AddAgain(**frame, *writer).ok());
  }
  FUZZ_REQUIRE(writer->Finish().ok());
  return writer->Take();
}

void RefusesPrefix(std::span<const uint8_t> bytes) {
  const std::span<const uint8_t> prefix = bytes.first(bytes.size() * 3 / 4);
  const Result<HiddenStates> hidden = DecodeHidden(prefix, kMaxElements);
  FUZZ_REQUIRE(!hidden.ok());
  RequireInputFault(hidden.status());
}

void TryStream(std::span<const uint8_t> bytes) {
  const std::optional<std::vector<uint8_t>> again = ReadAll(bytes);
  const Result<HiddenStates> hidden = DecodeHidden(bytes, kMaxElements);
  RequireInputFault(hidden.status());
  if (hidden.ok()) {
    FUZZ_REQUIRE(again.has_value() && std::ranges::equal(*again, bytes));
    FUZZ_REQUIRE(hidden->values.rows() == hidden->batch * hidden->tokens);
  }
  if (again.has_value()) RefusesPrefix(bytes);
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const uint8_t> bytes(data, size);
  sluice::TryStream(bytes);
  sluice::TryStream(sluice::RepairStream(bytes));
  return 0;
}
