#include "neural/codec_files.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "backbone/torch_setup.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/json_depth.h"
#include "neural/codec_shape.h"
#include "neural/hyper_tables.h"
#include "neural/tensor_io.h"

namespace sluice {
namespace {

using nlohmann::ordered_json;

constexpr const char* kDescription = "codec.json";
constexpr const char* kTensors = "codec.safetensors";
constexpr int kVersion = 1;
constexpr uint64_t kMostDescriptionBytes = 1 << 20;

std::string TableName(size_t channel) { return fmt::format("table.hyper.{}", channel); }

Result<std::vector<StaticTable>> ReadTables(const SafetensorsFile& file, const CodecConfig& config) {
  std::vector<StaticTable> tables;
  for (int64_t c = 0; c < config.SideSymbols(); ++c) {
    const auto view = file.Find(TableName(static_cast<size_t>(c)));
    if (!view.ok() || view->dtype != DType::kI32 || view->shape.size() != 1) {
      return Corrupt(fmt::format("tensor '{}' is missing or not a list of int32", TableName(static_cast<size_t>(c))));
    }
    auto tensor = torch::empty({static_cast<int64_t>(view->elements())}, torch::kInt32);
    std::memcpy(tensor.data_ptr(), view->bytes.data(), view->bytes.size());
    SLUICE_ASSIGN_OR_RETURN(StaticTable table, TableFromTensor(tensor, config.precision_bits));
    tables.push_back(std::move(table));
  }
  return tables;
}

Result<StoredCodec> Load(const std::filesystem::path& folder) {
  SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(folder / kDescription, kMostDescriptionBytes));
  SLUICE_RETURN_IF_ERROR(CheckJsonDepth(text).WithContext(kDescription));
  const auto json = ordered_json::parse(text, nullptr, false);
  if (!json.is_object() || json.value("format", "") != "sluice-codec" || !json.contains("config")) {
    return Corrupt("codec.json is not the description of a codec");
  }
  if (json.value("version", 0) != kVersion) {
    return Unsupported(
        fmt::format("codec.json has version {}, this build reads {}", json.value("version", 0), kVersion));
  }
  SLUICE_ASSIGN_OR_RETURN(const MappedFile tensors, MappedFile::Open(folder / kTensors));
  SLUICE_ASSIGN_OR_RETURN(const Sha256Digest expected, DigestField(json, "tensors_sha256"));
  if (Sha256::Of(tensors.bytes()) != expected) return Corrupt("codec.safetensors does not have the hash in codec.json");
  const auto config = CodecConfig::FromJson(json["config"]);
  if (!config.ok()) {
    const bool damaged = config.status().code() == StatusCode::kInvalidArgument;
    return damaged ? Corrupt(config.status().message()) : config.status();
  }
  SLUICE_ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::FromBytes(tensors.bytes()));

  const bool fixed = config->mode == CodecMode::kFrozen && config->transform == TransformKind::kFixed;
  const int64_t stored_floats = ParameterCount(*config) + (fixed ? config->width * config->width : 0);
  if (static_cast<uint64_t>(stored_floats) * sizeof(float) > tensors.bytes().size()) {
    return Corrupt(fmt::format("codec.json describes {} parameters, more than codec.safetensors holds", stored_floats));
  }
  StoredCodec stored;
  stored.codec = LearnedCodec(*config);
  SLUICE_RETURN_IF_ERROR(RestoreTensors(file, NamedState(*stored.codec, "")));
  for (auto& parameter : stored.codec->parameters()) parameter.set_requires_grad(false);
  stored.codec->eval();
  SLUICE_ASSIGN_OR_RETURN(stored.hyper_tables, ReadTables(file, *config));
  SLUICE_ASSIGN_OR_RETURN(stored.origin.model, DigestField(json, "model_sha256"));
  stored.origin.cut = json.value("cut", int64_t{-1});
  stored.origin.lambda = json.value("lambda", 0.0);
  if (stored.origin.cut < 0) return Corrupt("codec.json has no cut");
  stored.digest = Sha256::Of(AsBytes(text));
  return stored;
}

}  // namespace

Result<Sha256Digest> DigestField(const nlohmann::ordered_json& object, const char* field) {
  const auto digest = DigestFromHex(object.value(field, ""));
  if (!digest.has_value()) return Corrupt(fmt::format("field '{}' is not a SHA-256 in hexadecimal", field));
  return *digest;
}

Status SaveCodec(LearnedCodec codec, const CodecOrigin& origin, const std::filesystem::path& folder) {
  SLUICE_RETURN_IF_ERROR(MakeFolder(folder));
  SLUICE_ASSIGN_OR_RETURN(const auto tables, MakeSideTables(*codec));
  std::vector<NamedTensor> tensors = NamedState(*codec, "");
  for (size_t c = 0; c < tables.size(); ++c) tensors.emplace_back(TableName(c), TableToTensor(tables[c]));
  SLUICE_RETURN_IF_ERROR(SaveTensors(folder / kTensors, tensors, {}));
  SLUICE_ASSIGN_OR_RETURN(const MappedFile written, MappedFile::Open(folder / kTensors));
  const ordered_json json = {{"format", "sluice-codec"},
                             {"version", kVersion},
                             {"model_sha256", ToHex(origin.model)},
                             {"cut", origin.cut},
                             {"lambda", origin.lambda},
                             {"config", codec->config().ToJson()},
                             {"tensors_sha256", ToHex(Sha256::Of(written.bytes()))}};
  return WriteFileAtomic(folder / kDescription, json.dump(2) + "\n");
}

Result<StoredCodec> LoadCodec(const std::filesystem::path& folder) {
  try {
    auto stored = Load(folder);
    if (!stored.ok()) return stored.status().WithContext(folder.string());
    return stored;
  } catch (const nlohmann::json::exception& error) {
    return Corrupt(fmt::format("codec.json: {}", error.what())).WithContext(folder.string());
  } catch (...) {
    return StatusOfCurrentException().WithContext(folder.string());
  }
}

bool IsCodecFolder(const std::filesystem::path& folder) { return std::filesystem::exists(folder / kDescription); }

}  // namespace sluice
