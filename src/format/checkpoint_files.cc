// Hugging Face model folders hold one model.safetensors, or shards and an index whose "weight_map" says which shard
// holds which tensor. The index comes from the network like the rest, so its file names are held to the folder.
#include "format/checkpoint_files.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "base/file.h"
#include "base/json_depth.h"

namespace sluice {
namespace {

constexpr char kSingleFile[] = "model.safetensors";
constexpr char kIndexFile[] = "model.safetensors.index.json";
constexpr uint64_t kMaxIndexBytes = 100'000'000;

// A relative path whose parts are plain names stays inside the folder it is joined to.
bool StaysInside(const std::string& file) {
  const std::filesystem::path path(file);
  if (file.empty() || path.is_absolute() || file.find('\0') != std::string::npos) return false;
  for (const auto& part : path) {
    if (part.empty() || part == ".." || part == ".") return false;
  }
  return true;
}

}  // namespace

Result<CheckpointFiles> CheckpointFiles::Open(const std::filesystem::path& folder) {
  CheckpointFiles files;
  files.folder_ = folder;
  std::error_code error;
  if (std::filesystem::exists(folder / kSingleFile, error)) {
    SLUICE_ASSIGN_OR_RETURN(const SafetensorsFile* file, files.Shard(kSingleFile));
    for (const auto& [name, tensor] : file->tensors()) files.shard_of_.emplace(name, kSingleFile);
    return files;
  }
  if (std::filesystem::exists(folder / kIndexFile, error)) {
    SLUICE_RETURN_IF_ERROR(files.ReadIndex(folder / kIndexFile).WithContext((folder / kIndexFile).string()));
    return files;
  }
  return IoError(fmt::format("{}: neither {} nor {} is there", folder.string(), kSingleFile, kIndexFile));
}

Status CheckpointFiles::ReadIndex(const std::filesystem::path& index) {
  SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(index, kMaxIndexBytes));
  SLUICE_RETURN_IF_ERROR(CheckJsonDepth(text));
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return Corrupt("not a JSON object");
  const auto map = json.find("weight_map");
  if (map == json.end() || !map->is_object()) return Corrupt("no object \"weight_map\"");
  for (const auto& [name, file] : map->items()) {
    if (!file.is_string()) return Corrupt(fmt::format("weight_map \"{}\" is not a file name", name));
    const auto& shard = file.get_ref<const std::string&>();
    if (!StaysInside(shard)) {
      return Corrupt(fmt::format("weight_map \"{}\": \"{}\" is not a file inside the folder", name, shard));
    }
    shard_of_.emplace(name, shard);
  }
  return OkStatus();
}

Result<const SafetensorsFile*> CheckpointFiles::Shard(const std::string& file) {
  auto found = open_.find(file);
  if (found == open_.end()) {
    SLUICE_ASSIGN_OR_RETURN(SafetensorsFile opened, SafetensorsFile::Open(folder_ / file));
    found = open_.emplace(file, std::move(opened)).first;
  }
  return &found->second;
}

Result<TensorView> CheckpointFiles::Find(std::string_view name) {
  const auto found = shard_of_.find(name);
  if (found == shard_of_.end()) {
    return InvalidArgument(fmt::format("{}: no tensor \"{}\"", folder_.string(), name));
  }
  SLUICE_ASSIGN_OR_RETURN(const SafetensorsFile* shard, Shard(found->second));
  if (!shard->Contains(name)) {
    return Corrupt(
        fmt::format("{}: the index says that it holds \"{}\", it does not", (folder_ / found->second).string(), name));
  }
  return shard->Find(name);
}

std::vector<std::string> CheckpointFiles::Names() const {
  std::vector<std::string> names;
  names.reserve(shard_of_.size());
  for (const auto& [name, shard] : shard_of_) names.push_back(name);
  return names;
}

std::vector<std::string> CheckpointFiles::Files() const {
  std::set<std::string> files;
  for (const auto& [name, shard] : shard_of_) files.insert(shard);
  return {files.begin(), files.end()};
}

}  // namespace sluice
