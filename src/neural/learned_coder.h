#ifndef SLUICE_NEURAL_LEARNED_CODER_H_
#define SLUICE_NEURAL_LEARNED_CODER_H_

#include <torch/torch.h>

#include <cstdint>
#include <span>
#include <vector>

#include "neural/codec_files.h"
#include "prob/gaussian_tables.h"

namespace sluice {

/// A chunk as bytes, with the integers its frame's checksum covers and where its bits went.
struct CodedChunk {
  std::vector<uint8_t> payload;
  std::vector<int32_t> hyper;        ///< z, row-major [B, T, h]
  std::vector<int32_t> latent;       ///< y or s, row-major [B, T, d]
  double estimated_hyper_bits = 0;   ///< ideal bits under the trained density
  double estimated_latent_bits = 0;  ///< ideal bits under the trained Gaussian
  double hyper_bits = 0;             ///< ideal bits under the integer tables
  double latent_bits = 0;
  std::vector<double> channel_bits;  ///< latent bits of each channel [d], summed over tokens
};

struct DecodedChunk {
  torch::Tensor hidden;  ///< [B, T, d] float
  std::vector<int32_t> hyper;
  std::vector<int32_t> latent;
};

/// Turns hidden states into bytes and back with a float codec.
///
/// Both ends run the synthesis on the same integers in the same shape [B, T, h]; float sums depend on shape, threads
/// and build, so a stream records all three and a decoder that differs refuses it.
/// Threads: one user at a time (libtorch's thread count is global).
class LearnedCoder {
 public:
  /// Errors: InvalidArgument when the tables cannot be made.
  static Result<LearnedCoder> Create(StoredCodec stored);

  /// Data: x [B, T, d] float, T at most the codec's context. Errors: InvalidArgument for another shape, or for a value
  /// that is not finite or beyond what is coded, naming row, token and channel.
  /// `measure`: also fill in where the bits went, which costs more than the coding itself.
  Result<CodedChunk> Encode(const torch::Tensor& x, bool measure = true);

  /// Errors: Truncated or Corrupt when the payload does not decode; the caller still compares the frame's checksum.
  Result<DecodedChunk> Decode(std::span<const uint8_t> payload, int64_t batch, int64_t tokens);

  const StoredCodec& stored() const { return stored_; }

 private:
  // One stream for the chunk. With direct access fills in output.parameters, which are known only then.
  Status EncodeAtOnce(EncoderOutput& output, CodedChunk& chunk);
  // A stream for z and one for y of every token, as the paper codes them.
  Status EncodeByToken(const EncoderOutput& output, CodedChunk& chunk);
  Status Measure(const EncoderOutput& output, CodedChunk& chunk);

  // Fill in the integers of a chunk of `batch` rows, whose sizes say how many.
  Result<EntropyParameters> DecodeAtOnce(std::span<const uint8_t> payload, int64_t batch, DecodedChunk& chunk);
  Result<EntropyParameters> DecodeByToken(std::span<const uint8_t> payload, int64_t batch, DecodedChunk& chunk);
  torch::Tensor HyperTensor(const DecodedChunk& chunk, int64_t batch) const;

  LearnedCoder(StoredCodec stored, GaussianTables tables) : stored_(std::move(stored)), tables_(std::move(tables)) {}

  StoredCodec stored_;
  GaussianTables tables_;
};

}  // namespace sluice

#endif  // SLUICE_NEURAL_LEARNED_CODER_H_
