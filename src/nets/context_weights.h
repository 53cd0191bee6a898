#ifndef SLUICE_NETS_CONTEXT_WEIGHTS_H_
#define SLUICE_NETS_CONTEXT_WEIGHTS_H_

#include <array>
#include <cstdint>
#include <vector>

#include "base/status.h"
#include "format/pack.h"
#include "simd/integer_kernels.h"

namespace sluice {

/// What a token is known as before its latents are decoded. Values are those of the format.
enum class TokenNames : int32_t { kNone = 0, kTokens = 1, kClasses = 2 };

/// Sizes of a context network.
struct ContextShape {
  size_t width = 0;   ///< d
  size_t hidden = 0;  ///< m
  size_t groups = 0;  ///< in which the channels of a token are coded
  size_t points = 0;  ///< operating points
  TokenNames names = TokenNames::kNone;
  size_t ids = 0;          ///< different ids; id `ids` stands for what was before the sequence
  int pair_bits = 0;       ///< log2 of the buckets of the table of id pairs; 0: none
  size_t direct = 0;       ///< ids, from the token's own backwards, that add a row of means and one of scales
  bool latents = true;     ///< the network sees what was decoded before; off: ids alone, and one group
  size_t scale_units = 0;  ///< hidden units that predict scales

  /// First channel of a group; of `groups`, the width.
  size_t GroupBegin(size_t group) const { return group * width / groups; }
  size_t GroupSize(size_t group) const { return GroupBegin(group + 1) - GroupBegin(group); }
  /// Of one end: every weight once.
  uint64_t MultiplyAdds() const {
    return uint64_t{width} * ((latents ? 2 : 1) * hidden + scale_units) + 2 * uint64_t{hidden} * hidden;
  }
};

/// How many classes each group of a pack has. Errors: Corrupt for another shape than that of a list, more than 256
/// groups, or groups of less than two classes or more than 2^18.
Result<std::vector<uint32_t>> ReadClassSizes(const Pack& pack);

inline constexpr int32_t kLargestActivation = 2047;  ///< of a hidden unit, and of a latent as the network sees it
inline constexpr int kIndexBits = 20;                ///< fraction of a scale's index before it is rounded

/// How sums become numbers of another unit: (sum + half) >> shift, each with its own.
struct RowRounding {
  std::vector<int32_t> half, shift;

  void Add(int bits) {
    shift.push_back(bits);
    half.push_back(bits > 0 ? 1 << (bits - 1) : 0);
  }
};

/// What a network knows of an id: a row of each of several tables, side by side, since ids come as they like and every
/// one of them is a look into far memory.
class IdRows {
 public:
  /// In the order in which a token and the two after it need them: rows of m for the hidden layer, then of 2 d.
  enum Part : size_t { kNow, kFeatureNow, kPrevious, kFeaturePrevious, kBefore, kDirectNow, kDirectPrevious, kParts };

  /// Errors: Corrupt. Needs: a shape with names.
  static Result<IdRows> FromPack(const Pack& pack, const ContextShape& shape);

  /// Needs: the shape has the part.
  const int8_t* At(size_t id, Part part) const { return values_.data() + id * stride_ + begin_[part]; }
  /// Bytes of all parts, from At(id, kNow) on, and of those of the hidden layer.
  size_t RowSize() const { return stride_; }
  size_t NamesSize() const { return begin_[kDirectNow]; }

 private:
  size_t stride_ = 0;
  std::array<size_t, kParts + 1> begin_{};
  std::vector<int8_t> values_;  // [ids + 1] rows
};

/// The integers of a context network in the order in which they are used. Source: docs/numerics.md.
/// Threads: immutable, any number of engines.
class ContextWeights {
 public:
  /// Reads the integer tensors of a pack of codec "context" (docs/format.md, section 8).
  /// Errors: Corrupt for a tensor that is missing or has another shape, a number outside its range, or weights whose
  /// sums could leave 32 bits.
  static Result<ContextWeights> FromPack(const Pack& pack);

  ContextShape shape;
  std::vector<PackedWeights> input;  ///< by group, [m, channels]; none without latents
  PackedWeights past;                ///< [m, 2 m]
  RowRounding input_rounding, past_rounding;
  /// Rows of means or of scales. By group: [channels, hidden units].
  struct Outputs {
    std::vector<PackedWeights> weights;
    RowRounding rounding;       ///< [d]
    std::vector<int32_t> bias;  ///< [d]
  };
  Outputs means, scales;
  std::vector<int32_t> base_bias, feature_bias;  ///< [m]
  std::vector<int32_t> point_bias;               ///< [points, m]
  IdRows id_rows;                                ///< empty without names
  std::vector<int8_t> pair;                      ///< [2^pair_bits, m], or empty
  RowRounding mean_rounding;  ///< [d]: 10 bits of an output and 8 of a point's scale become 4 of a mean

  /// What depends on the operating point.
  struct Point {
    int32_t mean_factor = 0;
    std::vector<int32_t> scale_offset;  ///< [d], rounding included
    std::vector<int32_t> seen_limit;    ///< [d]: a latent beyond is seen as the largest anyway
    std::vector<int32_t> seen_factor;   ///< [d]
  };
  std::vector<Point> points;
  RowRounding seen_rounding;  ///< [d]: latents as the network sees them

 private:
  Status ReadShape(const Pack& pack);
  Status ReadMatrices(const Pack& pack);
  Status ReadOutputs(const Pack& pack);
  Status ReadLists(const Pack& pack);
  void PreparePoints(const std::vector<int32_t>& exponents);
};

}  // namespace sluice

#endif  // SLUICE_NETS_CONTEXT_WEIGHTS_H_
