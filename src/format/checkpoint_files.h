#ifndef SLUICE_FORMAT_CHECKPOINT_FILES_H_
#define SLUICE_FORMAT_CHECKPOINT_FILES_H_

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "format/safetensors.h"

namespace sluice {

/// The tensors of a model folder: `model.safetensors`, or the shards named by `model.safetensors.index.json`. A shard
/// is opened when the first of its tensors is asked for, so that a node that runs some layers maps only their files.
/// Threads: one at a time.
class CheckpointFiles {
 public:
  /// Errors: Io when neither file is there; Corrupt for an index that is not one, or that names a file outside the
  /// folder.
  static Result<CheckpointFiles> Open(const std::filesystem::path& folder);

  /// The view lives as long as this object. Errors: InvalidArgument when no shard is said to hold `name`; Corrupt when
  /// the shard that should hold it does not; the errors of SafetensorsFile::Open.
  Result<TensorView> Find(std::string_view name);
  bool Contains(std::string_view name) const { return shard_of_.contains(name); }
  /// Names of all tensors, sorted.
  std::vector<std::string> Names() const;
  /// Names, relative to the folder, of the files that hold them, sorted.
  std::vector<std::string> Files() const;
  /// Files opened so far.
  size_t open_shards() const { return open_.size(); }

 private:
  Status ReadIndex(const std::filesystem::path& index);
  Result<const SafetensorsFile*> Shard(const std::string& file);

  std::filesystem::path folder_;
  std::map<std::string, std::string, std::less<>> shard_of_;
  std::map<std::string, SafetensorsFile> open_;
};

}  // namespace sluice

#endif  // SLUICE_FORMAT_CHECKPOINT_FILES_H_
