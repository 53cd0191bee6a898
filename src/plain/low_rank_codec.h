#ifndef SLUICE_PLAIN_LOW_RANK_CODEC_H_
#define SLUICE_PLAIN_LOW_RANK_CODEC_H_

#include <memory>

#include "codec/hidden_codec.h"

namespace sluice {

inline constexpr int kMaxLowRank = 1024;
inline constexpr int kDefaultLowRank = 32;

/// lowrank: the chunk as a product of int8 factors of rank at most `rank`, the leading singular vectors of the chunk
/// (not centred: a mean is a component like any other and costs less as one).
/// Data: u16 r; for each component a gain f32 and d i8 v; for each token a scale f16 and r i8 u. A value is the sum
/// over the components, in their order, of ((scale * gain) * u) * v, every operation rounded to f32. Range: r <=
/// min(tokens, width, 1024), smaller where the chunk has no more to say; 0 for a chunk of zeros. Needs: min(tokens,
/// width) <= 2048 to encode. Cost: O(T d min(T, d)) to encode, O(T d r) to decode. Errors: InvalidArgument for a rank
/// outside 1 to 1024, a larger chunk, a magnitude beyond 2^72. Source: truncated singular value decomposition is the
/// best approximation of its rank (Eckart and Young 1936).
Result<std::unique_ptr<HiddenCodec>> MakeLowRankCodec(int rank);

}  // namespace sluice

#endif  // SLUICE_PLAIN_LOW_RANK_CODEC_H_
