#ifndef SLUICE_PLAIN_PLAIN_CODEC_H_
#define SLUICE_PLAIN_PLAIN_CODEC_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"
#include "codec/hidden_codec.h"

namespace sluice {

/// One line of the list of codecs that are not learned.
struct PlainCodecInfo {
  std::string_view spec;  ///< as MakePlainCodec takes it, with its default level, block length or rank
  std::string_view description;
};

/// All plain codecs, from the most bits to the fewest.
std::span<const PlainCodecInfo> ListPlainCodecs();

/// Their specifications in one line, for help and messages.
std::string PlainCodecSpecs();

/// Makes a codec from `name` or `name:number`. Payloads are described in docs/format.md, part "Plain codecs".
/// Errors: InvalidArgument for an unknown name (the message lists the known ones) or number.
Result<std::unique_ptr<HiddenCodec>> MakePlainCodec(std::string_view spec);

/// The codec id of a stream header: the name under which the payload is decoded, at most 8 ASCII letters and digits,
/// padded with zero bytes. "deflate:6" and "libdeflate:12" both give "deflate".
uint64_t PlainCodecId(const HiddenCodec& codec);
/// The name that such an id spells, whether this build knows it or not.
std::string PlainCodecName(uint64_t id);
/// The codec that decodes streams with this id. Errors: Unsupported for an id that this build does not know.
Result<std::unique_ptr<HiddenCodec>> PlainCodecOfId(uint64_t id);

}  // namespace sluice

#endif  // SLUICE_PLAIN_PLAIN_CODEC_H_
