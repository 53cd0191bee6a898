// What a speculative decoder does with a stream: tokens are sent as a guess, some are taken back, and a prompt that
// many answers share is coded once. Both ends do the same between the same frames. 04_take_tokens_back FILE.pack
#include <cmath>
#include <cstdio>

#include "sluice/codec.h"

namespace {

using namespace sluice::api;

Hidden Tokens(uint64_t first, uint64_t count, uint32_t width) {
  Hidden hidden;
  hidden.tokens = count;
  hidden.width = width;
  for (size_t i = 0; i < count * width; ++i) {
    hidden.values.push_back(std::sin(0.3f * static_cast<float>(first * width + i)));
  }
  return hidden;
}

// From one end to the other.
bool Send(Encoder& encoder, Decoder& decoder, const Hidden& hidden, Hidden& got) {
  auto bytes = encoder.Push(hidden);
  if (!bytes) return std::fprintf(stderr, "push: %s\n", bytes.message.c_str()), false;
  decoder.Feed(*bytes);
  auto frame = decoder.Pull();
  if (!frame) return std::fprintf(stderr, "pull: %s\n", frame.message.c_str()), false;
  got = *frame;
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  auto codec = Codec::Open(argc > 1 ? argv[1] : "fp16");
  if (!codec) return std::fprintf(stderr, "%s\n", codec.message.c_str()), 1;
  const uint32_t width = codec->width() == 0 ? 64 : codec->width();
  auto encoder = codec->NewEncoder(width);
  auto decoder = codec->NewDecoder();
  if (!encoder || !decoder) return 1;

  Hidden prompt, guess, once, again;
  if (!Send(*encoder, *decoder, Tokens(0, 32, width), prompt)) return 1;
  auto sent = encoder->Keep();
  auto received = decoder->Keep();
  if (!sent || !received) return 1;

  for (uint64_t t = 32; t < 36; ++t) {
    if (!Send(*encoder, *decoder, Tokens(t, 1, width), guess)) return 1;
  }
  if (encoder->Trim(3) != SLUICE_OK || decoder->Trim(3) != SLUICE_OK) return 1;  // one guess of four was right
  if (!Send(*encoder, *decoder, Tokens(50, 1, width), once)) return 1;

  // Another answer to the same prompt.
  if (encoder->Restore(*sent) != SLUICE_OK || decoder->Restore(*received) != SLUICE_OK) return 1;
  if (!Send(*encoder, *decoder, Tokens(32, 1, width), again)) return 1;
  if (!Send(*encoder, *decoder, Tokens(50, 1, width), again)) return 1;
  std::printf("%s\n", once.values == again.values ? "the same, by either way" : "the ways differ");
  return once.values == again.values ? 0 : 1;
}
