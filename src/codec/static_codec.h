#ifndef SLUICE_CODEC_STATIC_CODEC_H_
#define SLUICE_CODEC_STATIC_CODEC_H_

#include <memory>

#include "codec/pack_codec.h"

namespace sluice {

inline constexpr const char* kStaticCodecName = "static";
/// The codec of a pack whose codec is "static". Errors: Corrupt.
Result<std::unique_ptr<PackCodec>> MakeStaticCodec(Pack pack);

}  // namespace sluice

#endif  // SLUICE_CODEC_STATIC_CODEC_H_
