#ifndef SLUICE_CODEC_CONTEXT_FRAMES_H_
#define SLUICE_CODEC_CONTEXT_FRAMES_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "codec/context_floats.h"
#include "codec/gaussian_arrays.h"
#include "codec/pack_codec.h"
#include "codec/token_coder.h"
#include "nets/context_engine.h"
#include "prob/id_tables.h"

namespace sluice {

inline constexpr const char* kContextCodecName = "context";

/// What both ends of codec "context" share. Threads: immutable, any number of ends.
struct ContextParts {
  ContextWeights weights;
  GaussianArrayTables tables;
  IdTables classes;  ///< of classes, or of ids that streams carry, by the one before; may be empty

  /// Errors: Corrupt.
  static Result<ContextParts> FromPack(const Pack& pack);
};

/// The integers of a frame.
struct ContextIntegers {
  std::vector<int32_t> tokens;   ///< ids that both ends know, row after row; with side tokens
  std::vector<int32_t> classes;  ///< that frames carry: classes, or the ids of tokens
  std::vector<int32_t> latents;  ///< [rows * tokens, d]

  std::span<const int32_t> ids() const { return tokens.empty() ? classes : tokens; }
};

/// The integer side of one end of a stream: turns a frame's integers into payloads and back, and keeps the state of its
/// rows. Both directions follow docs/format.md, section 8.
/// Threads: one at a time. Cost: buffers are kept, so that after the largest frame nothing is allocated but what is
/// handed out.
class ContextEnd {
 public:
  /// Borrows the parts. `kernels` are for tests.
  explicit ContextEnd(const ContextParts& parts, const IntegerKernels& kernels = BestIntegerKernels(),
                      const RansKernels& rans = BestRansKernels());

  /// Before each frame. `fresh`: its rows begin new sequences; else they continue those of the frame before.
  /// Errors: InvalidArgument when the number of rows changes in a stream that continues.
  Status BeginFrame(uint32_t rows, bool fresh);

  /// The payload of a chunk frame. Needs: BeginFrame; ids and latents of the right sizes.
  Status EncodeChunk(const ContextIntegers& integers, int point, std::vector<uint8_t>& payload);
  /// The payload of a token frame of one row. `rolling`: of the stream before it.
  void EncodeToken(const ContextIntegers& integers, int point, uint32_t rolling, TokenPayload& payload);
  /// Some tokens of a frame and the Gaussians that they were decoded by. Data: all [n, d].
  struct Decoded {
    std::span<const int32_t> latents, mean_q4;
    std::span<const uint8_t> scales;
  };
  /// Is shown tokens as they are decoded, before it is known whether the frame is sound; `token`: the first of them.
  using Take = std::function<void(size_t token, const Decoded& part)>;
  /// Inverse. `integers`: sizes are set, and the token ids when they are known; the rest is filled in.
  /// Errors: Truncated, Corrupt.
  Status DecodeChunk(std::span<const uint8_t> payload, ContextIntegers& integers, const Take& take = {});
  /// Gives how many bytes the payload has. After Truncated the state is as before.
  Result<size_t> DecodeToken(const Frame& frame, ContextIntegers& integers, const Take& take = {});

  /// Of the last frame.
  int point() const { return point_; }

  Status Trim(size_t tokens);
  /// A copy of what the next frame depends on, and back: for trying things out.
  struct Memory {
    std::vector<ContextState> rows;
    int point;
  };
  Memory Remember() const { return {states_, point_}; }
  void Return(const Memory& memory);

 private:
  Interval PointInterval(bool same) const;
  template <bool kBackwards, typename Sink>
  void PutClass(int32_t previous, int32_t id, Sink& sink) const;
  template <typename Source>
  int32_t TakeClass(int32_t previous, Source& source);
  /// Nothing where the stream says a point that there is none of.
  template <typename Source>
  bool TakePoint(Source& source);
  Status PrependRow(std::span<const int32_t> latents);
  ContextState& Row(size_t row) { return states_[fresh_ ? 0 : row]; }
  Status DecodeBlock(size_t at, size_t count, ContextState& state, ContextIntegers& integers,
                     GaussianArrayDecoder& decoder);
  Decoded Block(size_t at, size_t count, const ContextIntegers& integers) const;
  /// Token `at` of a block. `read(mean_q4, scales, latents)` decodes a group of its latents.
  template <typename Read>
  Status DecodeLatents(size_t at, int32_t id, ContextState& state, std::span<int32_t> latents, Read&& read);
  void Resize(size_t elements);

  const ContextParts& parts_;
  ContextEngine engine_;
  GaussianArrayEncoder encoder_;
  TokenEncoder token_encoder_;
  const RansKernels& rans_;
  std::vector<ContextState> states_;
  std::vector<int32_t> mean_q4_;
  std::vector<uint8_t> scales_;
  uint32_t rows_ = 1;
  int point_ = 0;  // of the frame before
  bool fresh_ = false;
  bool bad_class_ = false;  // the frame names an id that there is none of
};

/// The codec of a pack whose codec is "context". Errors: Corrupt.
Result<std::unique_ptr<PackCodec>> MakeContextCodec(Pack pack);

}  // namespace sluice

#endif  // SLUICE_CODEC_CONTEXT_FRAMES_H_
