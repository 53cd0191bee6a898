// Frames of a learned codec: chunks, token frames, self-contained frames. Data: a mode, then either bytes of frames,
// which are put behind a sound header and read as they are and with counts and checksums mended, or hidden states.
// Proves: damaged frames are refused or decoded without leaving the bytes or the limits, and only by blaming the input;
// any hidden states survive the way there and back, and cut into tokens they decode to the same as in one chunk; a
// stream with a byte changed is refused or gives exactly what was sent.
#include <algorithm>
#include <cstring>
#include <vector>

#include "codec/pack_stream.h"
#include "fix_checksums.h"
#include "frame_codec.h"
#include "fuzz_input.h"

namespace sluice {
namespace {

constexpr uint64_t kMaxElements = uint64_t{1} << 16;
constexpr size_t kHeader = kStreamHeaderSize;

void TryFrames(std::span<const uint8_t> stream) {
  const Result<HiddenStates> hidden = DecodeHidden(FuzzFrameCodec(), stream, kMaxElements);
  RequireInputFault(hidden.status());
  if (!hidden.ok()) return;
  FUZZ_REQUIRE(hidden->values.cols() == kFuzzFrameWidth);
  FUZZ_REQUIRE(hidden->values.rows() == hidden->batch * hidden->tokens);
}

std::vector<uint8_t> Encode(const HiddenStates& hidden, uint32_t chunk, uint16_t flags) {
  Result<StreamWriter> writer = StreamWriter::ToMemory(FuzzFrameCodec().Header(DType::kF32, flags));
  FUZZ_REQUIRE(writer.ok());
  FUZZ_REQUIRE(EncodeHidden(FuzzFrameCodec(), hidden, chunk, *writer).ok() && writer->Finish().ok());
  return writer->Take();
}

HiddenStates Decode(std::span<const uint8_t> stream) {
  Result<HiddenStates> hidden = DecodeHidden(FuzzFrameCodec(), stream, kMaxElements);
  FUZZ_REQUIRE(hidden.ok());
  return std::move(*hidden);
}

bool Same(const HiddenStates& a, const HiddenStates& b) {
  return a.values.View().size() == b.values.View().size() &&
         std::memcmp(a.values.data(), b.values.data(), 4 * a.values.View().size()) == 0;
}

void TryRoundTrip(FuzzInput& input) {
  const uint64_t batch = input.InRange(1, 3);
  const uint64_t tokens = input.InRange(1, 40);
  const uint32_t chunk = input.InRange(1, 50);
  const uint32_t where = input.Word();
  const auto change = static_cast<uint8_t>(input.InRange(1, 255));
  const HiddenStates hidden = FuzzHidden(input.Rest(), batch, tokens);
  const HiddenStates whole = Decode(Encode(hidden, static_cast<uint32_t>(tokens), 0));
  std::vector<uint8_t> stream = Encode(hidden, chunk, 0);
  FUZZ_REQUIRE(Same(Decode(stream), whole));
  FUZZ_REQUIRE(Same(Decode(Encode(hidden, static_cast<uint32_t>(tokens), kSingle)), whole));
  stream[where % stream.size()] ^= change;
  const Result<HiddenStates> damaged = DecodeHidden(FuzzFrameCodec(), stream, kMaxElements);
  RequireInputFault(damaged.status());
  if (damaged.ok()) FUZZ_REQUIRE(Same(*damaged, whole));
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  FuzzInput input(data, size);
  const uint8_t mode = input.Byte();
  if (mode % 4 == 0) {
    TryRoundTrip(input);
    return 0;
  }
  const uint16_t flags = mode % 4 == 1 ? 0 : mode % 4 == 2 ? kFreshFrames : kSingle;
  Result<StreamWriter> writer = StreamWriter::ToMemory(FuzzFrameCodec().Header(DType::kF16, flags));
  std::vector<uint8_t> stream = writer->Take();
  const std::span<const uint8_t> frames = input.Rest();
  stream.insert(stream.end(), frames.begin(), frames.end());
  FUZZ_REQUIRE(stream.size() == kHeader + frames.size());
  TryFrames(stream);
  TryFrames(RepairStream(stream));
  return 0;
}
