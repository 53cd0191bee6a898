#ifndef SLUICE_STUDY_TORCH_TENSOR_CODEC_H_
#define SLUICE_STUDY_TORCH_TENSOR_CODEC_H_

#include <torch/torch.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/status.h"
#include "format/stream.h"

namespace sluice {

/// The cut that a codec serves.
struct CutContext {
  Sha256Digest model{};
  int64_t layers = 0;
  int64_t width = 0;
  int64_t cut = -1;  ///< -1: the codec's own, or the middle when it has none
};

/// What a trained codec was made for; a model of zeros is any.
struct TrainedFor {
  Sha256Digest model{};
  int64_t cut = 0;
  int64_t width = 0;
};
/// Errors: Mismatch, naming what differs.
Status CheckOrigin(const TrainedFor& origin, const CutContext& context);

/// Where the bits of a chunk went. Plain codecs fill in nothing.
struct ChunkBits {
  double estimated = 0;  ///< ideal bits under the trained densities
  double hyper = 0;      ///< ideal bits under the integer tables
  double latent = 0;
  std::vector<double> channels;   ///< latent bits by channel, summed over tokens
  std::vector<int32_t> integers;  ///< latents, row-major [B * T, d], for baselines on the same integers
};

/// Any codec, learned or not, between hidden states as tensors and frames of a stream.
/// Threads: one user at a time.
class TensorCodec {
 public:
  virtual ~TensorCodec() = default;

  virtual std::string name() const = 0;
  virtual bool learned() const = 0;
  virtual int64_t cut() const = 0;
  /// Most tokens of a row in one frame.
  virtual int64_t longest_chunk() const = 0;
  /// Of encoding and decoding together; 0 where it has no network.
  virtual double multiply_adds_per_token() const { return 0; }
  /// Header of the streams it writes.
  virtual StreamHeader Header() const = 0;

  /// Token ids of the rows that are coded next, for codecs whose two ends know them. Data: int64 [B, T].
  virtual void SetTokens(const torch::Tensor&) {}
  /// The streams that it writes carry those ids. Errors: InvalidArgument for a codec that needs none.
  virtual Status SendTokens();
  /// Chooses an operating point for encoding. Errors: InvalidArgument for one that the codec does not have.
  virtual Status SetPoint(int point);

  /// Appends one frame. Data: x float [B, T, d]. `bits` may be null.
  virtual Status Encode(const torch::Tensor& x, StreamWriter& writer, ChunkBits* bits) = 0;
  /// Decodes and verifies the frame that `reader` gave last. Data: -> float [B, T, d].
  virtual Result<torch::Tensor> Decode(const Frame& frame, StreamReader& reader) = 0;
  /// The operating point of the frame that was decoded last.
  virtual int point() const { return 0; }

  /// Whether a stream with this header is ours to decode. Errors: Mismatch naming what differs, expected and got.
  virtual Status Accepts(const StreamHeader& header) const = 0;
};

/// Opens `spec`: a folder that holds a trained codec, a pack, or the name of a plain codec ("fp16", "zstd:3").
/// Errors: Mismatch when a trained codec belongs to another model, cut or width; InvalidArgument for an unknown name.
Result<std::unique_ptr<TensorCodec>> OpenTensorCodec(const std::string& spec, const CutContext& context);

}  // namespace sluice

#endif  // SLUICE_STUDY_TORCH_TENSOR_CODEC_H_
