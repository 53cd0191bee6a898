#ifndef SLUICE_NEURAL_CONTEXT_CODER_H_
#define SLUICE_NEURAL_CONTEXT_CODER_H_

#include <torch/torch.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "base/hash.h"
#include "neural/codec_files.h"
#include "neural/context_codec.h"
#include "prob/gaussian_tables.h"
#include "prob/id_tables.h"

namespace sluice {

/// A trained context codec: integers for what both ends must agree on, floats for the rest.
struct StoredContext {
  ContextNetwork network;
  ContextTransform transform;
  /// Of classes, or of the token ids that a stream may carry, by the one before; the last for a chunk's first token.
  /// Empty with neither, or where the ids are too many.
  IdTables classes;
  CodecOrigin origin;
  Sha256Digest digest{};
};

/// Whether ids of so many kinds get tables of their own.
inline bool HasIdTables(const ContextConfig& config) {
  return config.id_count >= 2 &&
         config.id_count <= std::min<int64_t>(1 << 11, int64_t{1} << (config.precision_bits - 1));
}

/// Tables of a class or id given the one before, from a sample. Data: int64 [windows, T]; sizes as class_sizes of the
/// transform. Errors: InvalidArgument as the tables.
Result<IdTables> FitClassTables(const torch::Tensor& classes, const ContextConfig& config, const torch::Tensor& sizes);

/// Writes `folder`/codec.json and `folder`/codec.safetensors: int8, int16 and int32 tensors of docs/numerics.md and the
/// float transform. Errors: Io; as ContextNetwork::Check.
Status SaveContext(const StoredContext& stored, const std::filesystem::path& folder);
/// Errors: Io; Corrupt for damaged files (hashes are checked), Unsupported for a newer version.
Result<StoredContext> LoadContext(const std::filesystem::path& folder);
/// Whether a folder holds a context codec.
bool IsContextFolder(const std::filesystem::path& folder);

/// A chunk as bytes, with the integers a frame's checksum covers and where its bits went.
struct ContextChunk {
  std::vector<uint8_t> payload;
  std::vector<int32_t> ids;     ///< classes, row-major [B, T]; empty without classes
  std::vector<int32_t> latent;  ///< y, row-major [B, T, d]
  double id_bits = 0;           ///< ideal bits under the integer tables
  double latent_bits = 0;
  double estimated_bits = 0;  ///< ideal bits under the Gaussians that the tables stand for
  std::vector<double> channel_bits;
};

/// Turns hidden states into bytes and back. The bytes depend on integers alone: any build decodes them.
class ContextCoder {
 public:
  /// Errors: InvalidArgument when the network fails its check or tables cannot be made.
  static Result<ContextCoder> Create(StoredContext stored);

  /// Data: x float [B, T, d]; tokens int64 [B, T], needed with ContextIds::kTokens alone.
  /// Errors: InvalidArgument for another shape, a value that is not finite or beyond what is coded (naming row, token
  /// and channel), missing tokens, or a point out of range. `measure`: also fill in where the bits went.
  Result<ContextChunk> Encode(const torch::Tensor& x, const torch::Tensor& tokens, int point,
                              bool measure = true) const;
  /// Gives the hidden states and, in `chunk`, the integers. Errors: Truncated, Corrupt; InvalidArgument as Encode.
  Result<torch::Tensor> Decode(std::span<const uint8_t> payload, int64_t batch, int64_t tokens_per_row,
                               const torch::Tensor& tokens, ContextChunk& chunk) const;

  const StoredContext& stored() const { return stored_; }

 private:
  ContextCoder(StoredContext stored, GaussianTables tables) : stored_(std::move(stored)), tables_(std::move(tables)) {}
  Status CheckTokens(const torch::Tensor& tokens, int64_t batch, int64_t count) const;

  StoredContext stored_;
  GaussianTables tables_;
};

}  // namespace sluice

#endif  // SLUICE_NEURAL_CONTEXT_CODER_H_
