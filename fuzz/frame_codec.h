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

/// A codec "context" of that width, and what its streams do with token ids.
struct FuzzContext {
  const PackCodec& codec;
  uint32_t ids;  ///< how many token ids it needs to know; 0: none
  bool carried;  ///< by the stream
};

/// 0 no names, 1 classes, 2 and 3 token ids with tables, 4 and 5 without: known (2, 4), carried (3, 5); 6 and 7 classes
/// in groups with direct rows, 7 without latents. Made once.
inline constexpr uint8_t kFuzzContexts = 8;
inline constexpr uint32_t kFuzzContextPoints = 3;
FuzzContext FuzzContextOf(uint8_t kind);

/// Hidden states of that width. Data: one byte an element; elements beyond `bytes` are 0.
HiddenStates FuzzHidden(std::span<const uint8_t> bytes, uint64_t batch, uint64_t tokens);

}  // namespace sluice

#endif  // SLUICE_FUZZ_FRAME_CODEC_H_
