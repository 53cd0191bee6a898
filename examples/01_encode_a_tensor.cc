// Hidden states through a plain codec and back, in one self-contained frame.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "sluice/codec.h"

int main() {
  using namespace sluice::api;
  Hidden hidden;
  hidden.tokens = 8;
  hidden.width = 96;
  for (size_t i = 0; i < hidden.tokens * hidden.width; ++i) {
    hidden.values.push_back(std::sin(0.1f * static_cast<float>(i)));
  }
  auto codec = Codec::Open("q80");
  if (!codec) return std::fprintf(stderr, "%s\n", codec.message.c_str()), 1;
  auto frame = codec->Encode(hidden);
  if (!frame) return std::fprintf(stderr, "%s\n", frame.message.c_str()), 1;
  auto decoded = codec->Decode(*frame);
  if (!decoded) return std::fprintf(stderr, "%s\n", decoded.message.c_str()), 1;

  float worst = 0;
  for (size_t i = 0; i < hidden.values.size(); ++i) {
    worst = std::max(worst, std::fabs(decoded->values[i] - hidden.values[i]));
  }
  std::printf("%zu floats, %zu bytes, largest error %.4f\n", hidden.values.size(), frame->size(), worst);

  frame->back() ^= 1;  // damage is always noticed
  const auto damaged = codec->Decode(*frame);
  std::printf("damaged: %s\n", sluice_status_name(damaged.status));
  return worst < 0.01f && damaged.status == SLUICE_CORRUPT ? 0 : 1;
}
