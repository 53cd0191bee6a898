#ifndef SLUICE_WIRE_CODEC_CHOICE_H_
#define SLUICE_WIRE_CODEC_CHOICE_H_

#include <cstdint>
#include <span>
#include <string>

#include "wire/link_codec.h"

namespace sluice {

struct LinkSpeed {
  double bits_per_second = 0;
  double round_trip_seconds = 0;
};

/// What a codec costs, measured on hidden states of the session's own prompt. Each for one token.
struct CodecTrial {
  std::string name;
  double bits = 0;  ///< with the frame's header
  double encode_seconds = 0;
  double decode_seconds = 0;  ///< measured here, for a device like this one
};

/// What a prompt costs besides its codec.
struct RatePlan {
  LinkSpeed link;
  uint64_t tokens = 1;
  uint32_t chunk_tokens = 1;
  double head_seconds = 0;  ///< of one token in the layers before the link
  double tail_seconds = 0;  ///< and behind it
};

enum class RateGoal { kFastest, kFirstToken, kBitsPerToken };
struct RateTarget {
  RateGoal goal = RateGoal::kFastest;
  double value = 0;  ///< seconds or bits
};

struct CodecChoice {
  size_t index = 0;
  bool met = true;                 ///< whether the target is met; else this one comes nearest
  double first_token_seconds = 0;  ///< predicted
  std::string bypass;              ///< why the first codec was taken although there are others; else empty
};

/// Encodes and decodes a chunk. Needs: what both ends would, so a codec that works here.
/// Errors: those of LinkSender and LinkReceiver.
Result<CodecTrial> TryCodec(const LinkCodec& codec, MatrixView<const float> hidden);

/// The stages of a chain work on different chunks at the same time: the slowest one counts for every chunk, the others
/// once. Data: seconds from the prompt to the first token.
double FirstTokenSeconds(const CodecTrial& codec, const RatePlan& plan);

/// Above this speed of the link `codec` makes a prompt slower than `reference` does. Infinite when it never does, 0
/// when it always does.
double BreakEvenBitsPerSecond(const CodecTrial& codec, const CodecTrial& reference);

/// Chooses among codecs in falling order of quality, the first of which is the reference that a bypass uses.
/// kFastest takes the shortest time to the first token; kFirstToken and kBitsPerToken the first that meets the target.
/// Needs: at least one codec.
CodecChoice ChooseCodec(std::span<const CodecTrial> codecs, const RatePlan& plan, const RateTarget& target);

}  // namespace sluice

#endif  // SLUICE_WIRE_CODEC_CHOICE_H_
