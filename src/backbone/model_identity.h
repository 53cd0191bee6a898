#ifndef SLUICE_BACKBONE_MODEL_IDENTITY_H_
#define SLUICE_BACKBONE_MODEL_IDENTITY_H_

#include <filesystem>

#include "base/hash.h"
#include "base/status.h"

namespace sluice {

/// The identity of the weights in a model folder: SHA-256 over the per-tensor SHA-256 digests (name, type, shape,
/// bytes) in the order of the names. It does not depend on how the tensors are spread over files. A
/// `sluice.manifest.json` that is not older than the weight files beside it and agrees with their sizes answers without
/// reading them (weight files that are not there are not missed: a node may hold only its own shards). Else every
/// tensor is read and hashed once, and the answer is remembered by this process until a file changes. Nothing is
/// written. Errors: Io, Truncated, Corrupt from the files. Threads: any.
Result<Sha256Digest> ModelIdentity(const std::filesystem::path& folder);

/// Hashes every tensor of the folder and writes its manifest. Errors: as ModelIdentity.
Status WriteModelManifest(const std::filesystem::path& folder);

}  // namespace sluice

#endif  // SLUICE_BACKBONE_MODEL_IDENTITY_H_
