#ifndef SLUICE_FUZZ_FRAME_CODEC_H_
#define SLUICE_FUZZ_FRAME_CODEC_H_

#include <cstdint>

#include "codec/pack_codec.h"
#include "format/hidden_file.h"

namespace sluice {

/// The width of FuzzFrameCodec.
inline constexpr size_t kFuzzFrameWidth = 6;

/// A codec of a pack that was fitted to generated numbers, made once: for frames that only a learned codec can read.
const PackCodec& FuzzFrameCodec();

/// Hidden states of that width. Data: one byte an element; elements beyond `bytes` are 0.
HiddenStates FuzzHidden(std::span<const uint8_t> bytes, uint64_t batch, uint64_t tokens);

}  // namespace sluice

#endif  // SLUICE_FUZZ_FRAME_CODEC_H_
