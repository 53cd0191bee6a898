#ifndef SLUICE_NEURAL_CODEC_FILES_H_
#define SLUICE_NEURAL_CODEC_FILES_H_

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "base/hash.h"
#include "neural/learned_codec.h"
#include "prob/static_table.h"

namespace sluice {

/// What a codec was trained for.
struct CodecOrigin {
  Sha256Digest model{};  ///< identity of the model it cuts
  int64_t cut = 0;       ///< layers before the cut
  double lambda = 0;
};

/// A codec as it was saved.
struct StoredCodec {
  LearnedCodec codec{nullptr};
  std::vector<StaticTable> hyper_tables;
  CodecOrigin origin;
  Sha256Digest digest{};  ///< identity of the codec: of codec.json, which names the hash of codec.safetensors
};

/// Writes `folder`/codec.json and `folder`/codec.safetensors (weights and integer tables). Errors: Io; Internal when
/// the density has diverged.
Status SaveCodec(LearnedCodec codec, const CodecOrigin& origin, const std::filesystem::path& folder);

/// Errors: Io when files are missing; Corrupt for damaged ones (hashes are checked), Unsupported for a newer version.
Result<StoredCodec> LoadCodec(const std::filesystem::path& folder);

/// A SHA-256 in hexadecimal in a description. Errors: Corrupt.
Result<Sha256Digest> DigestField(const nlohmann::ordered_json& object, const char* field);

/// Whether a folder holds a codec.
bool IsCodecFolder(const std::filesystem::path& folder);

}  // namespace sluice

#endif  // SLUICE_NEURAL_CODEC_FILES_H_
