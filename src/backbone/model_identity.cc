// Two folders hold the same model when they hold the same tensors, whatever the files are called and however they are
// split. So the identity is a hash of hashes: each tensor by itself, then all of them in the order of their names. The
// manifest keeps the inner hashes: a node that maps a tenth of a large model can name the whole without reading it.
#include "backbone/model_identity.h"

#include <fmt/format.h>

#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>

#include "base/bytes.h"
#include "base/file.h"
#include "base/json_depth.h"
#include "format/checkpoint_files.h"

namespace sluice {
namespace {

using Json = nlohmann::json;
using Digests = std::map<std::string, Sha256Digest>;

constexpr char kManifest[] = "sluice.manifest.json";
constexpr uint64_t kMaxManifestBytes = 64 << 20;
constexpr int kManifestVersion = 1;

struct FileStamp {
  uint64_t size = 0;
  std::filesystem::file_time_type written;

  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};
using Stamps = std::map<std::string, FileStamp>;

std::optional<FileStamp> StampOf(const std::filesystem::path& path) {
  std::error_code size_error, time_error;
  const uint64_t size = std::filesystem::file_size(path, size_error);
  const auto written = std::filesystem::last_write_time(path, time_error);
  if (size_error || time_error) return std::nullopt;
  return FileStamp{size, written};
}

Stamps StampsOf(const std::filesystem::path& folder, const std::vector<std::string>& files) {
  Stamps stamps;
  for (const std::string& file : files) {
    if (const auto stamp = StampOf(folder / file)) stamps.emplace(file, *stamp);
  }
  return stamps;
}

Sha256Digest HashTensor(const TensorView& tensor) {
  ByteWriter header;
  header.PutVarint(tensor.name.size());
  header.PutString(tensor.name);
  const std::string_view type = DTypeName(tensor.dtype);
  header.PutVarint(type.size());
  header.PutString(type);
  header.PutVarint(tensor.shape.size());
  for (const uint64_t size : tensor.shape) header.PutVarint(size);
  Sha256 hash;
  hash.Update(header.bytes());
  hash.Update(tensor.bytes);
  return hash.Finish();
}

Result<Digests> HashTensors(CheckpointFiles& files) {
  Digests digests;
  for (const std::string& name : files.Names()) {
    SLUICE_ASSIGN_OR_RETURN(const TensorView tensor, files.Find(name));
    digests.emplace(name, HashTensor(tensor));
  }
  return digests;
}

Sha256Digest Combine(const Digests& digests) {
  Sha256 hash;
  for (const auto& [name, digest] : digests) hash.Update(digest);
  return hash.Finish();
}

/// Whether the manifest's list of files still describes those that are there.
bool FilesAgree(const std::filesystem::path& folder, const Json& files) {
  const auto manifest = StampOf(folder / kManifest);
  if (!manifest || !files.is_object() || files.empty()) return false;
  for (const auto& [file, size] : files.items()) {
    const auto stamp = StampOf(folder / file);
    if (!stamp) continue;
    if (!size.is_number_unsigned() || size.get<uint64_t>() != stamp->size) return false;
    if (stamp->written > manifest->written) return false;
  }
  return true;
}

/// The manifest's answer; nothing when there is none, or it is stale or damaged: then the tensors themselves are asked.
std::optional<Sha256Digest> FromManifest(const std::filesystem::path& folder) {
  std::error_code error;
  if (!std::filesystem::exists(folder / kManifest, error)) return std::nullopt;
  const Result<std::string> text = ReadFile(folder / kManifest, kMaxManifestBytes);
  if (!text.ok() || !CheckJsonDepth(*text).ok()) return std::nullopt;
  const Json json = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || json.value("version", Json()) != kManifestVersion) return std::nullopt;
  if (!FilesAgree(folder, json.value("files", Json()))) return std::nullopt;
  const Json tensors = json.value("tensors", Json());
  if (!tensors.is_object() || tensors.empty()) return std::nullopt;
  Digests digests;
  for (const auto& [name, hex] : tensors.items()) {
    const auto digest = hex.is_string() ? DigestFromHex(hex.get<std::string>()) : std::nullopt;
    if (!digest) return std::nullopt;
    digests.emplace(name, *digest);
  }
  return Combine(digests);
}

/// Identities this process has computed, each good for as long as the files keep their stamps.
class Remembered {
 public:
  std::optional<Sha256Digest> Find(const std::string& folder, const Stamps& stamps) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = known_.find(folder);
    if (found == known_.end() || found->second.first != stamps) return std::nullopt;
    return found->second.second;
  }
  void Keep(const std::string& folder, Stamps stamps, const Sha256Digest& digest) {
    const std::lock_guard<std::mutex> lock(mutex_);
    known_[folder] = {std::move(stamps), digest};
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::pair<Stamps, Sha256Digest>> known_;
};

Remembered& Memory() {
  static Remembered memory;
  return memory;
}

}  // namespace

Result<Sha256Digest> ModelIdentity(const std::filesystem::path& folder) {
  if (const auto digest = FromManifest(folder)) return *digest;
  SLUICE_ASSIGN_OR_RETURN(CheckpointFiles files, CheckpointFiles::Open(folder));
  const Stamps stamps = StampsOf(folder, files.Files());
  std::error_code error;
  const std::string key = std::filesystem::weakly_canonical(folder, error).string();
  if (const auto digest = Memory().Find(key, stamps)) return *digest;
  SLUICE_ASSIGN_OR_RETURN(const Digests digests, HashTensors(files));
  const Sha256Digest digest = Combine(digests);
  Memory().Keep(key, stamps, digest);
  return digest;
}

Status WriteModelManifest(const std::filesystem::path& folder) {
  SLUICE_ASSIGN_OR_RETURN(CheckpointFiles files, CheckpointFiles::Open(folder));
  SLUICE_ASSIGN_OR_RETURN(const Digests digests, HashTensors(files));
  Json json = {{"version", kManifestVersion}, {"identity", ToHex(Combine(digests))}};
  for (const auto& [file, stamp] : StampsOf(folder, files.Files())) json["files"][file] = stamp.size;
  for (const auto& [name, digest] : digests) json["tensors"][name] = ToHex(digest);
  return WriteFileAtomic(folder / kManifest, std::string_view(json.dump(1) + "\n"));
}

}  // namespace sluice
