// What context_coder.h declares of files. The folder looks like that of a float codec, codec.json naming the hash of
// codec.safetensors, but the weights in it are the deployed integers, not what training moves.
#include <fmt/format.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "backbone/torch_setup.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/json_depth.h"
#include "neural/context_coder.h"
#include "neural/tensor_io.h"

namespace sluice {
namespace {

using nlohmann::ordered_json;

constexpr const char* kDescription = "codec.json";
constexpr const char* kTensors = "codec.safetensors";
constexpr const char* kFormat = "sluice-context-codec";
constexpr int kVersion = 1;
constexpr uint64_t kMostDescriptionBytes = 1 << 20;

// Every list of integers with its name, for writing and for reading.
template <typename Network, typename Visit>
void VisitLists(Network& network, Visit&& visit) {
  if (network.config.latents) visit("input.weights", network.input.values);
  if (network.config.latents) visit("input.shifts", network.input.shifts);
  visit("past.weights", network.past.values);
  visit("past.shifts", network.past.shifts);
  visit("output.weights", network.output.values);
  visit("output.shifts", network.output.shifts);
  visit("base_bias", network.base_bias);
  visit("feature_bias", network.feature_bias);
  visit("point_bias", network.point_bias);
  visit("output_bias", network.output_bias);
  visit("channel_exponent", network.channel_exponent);
  if (network.config.ids == ContextIds::kNone) return;
  visit("table.now", network.now);
  visit("table.previous", network.previous);
  visit("table.before", network.before);
  visit("table.feature_now", network.feature_now);
  visit("table.feature_previous", network.feature_previous);
  if (network.config.pair_bits > 0) visit("table.pair", network.pair);
  if (network.config.direct > 0) visit("table.direct_now", network.direct_now);
  if (network.config.direct > 1) visit("table.direct_previous", network.direct_previous);
}

template <typename Int>
torch::Tensor TensorOf(const std::vector<Int>& list) {
  const auto type = sizeof(Int) == 1 ? torch::kInt8 : torch::kInt32;
  auto tensor = torch::empty({static_cast<int64_t>(list.size())}, type);
  if (!list.empty()) std::memcpy(tensor.data_ptr(), list.data(), list.size() * sizeof(Int));
  return tensor;
}

template <typename Int>
Status ReadList(const SafetensorsFile& file, const char* name, std::vector<Int>& list) {
  const auto view = file.Find(name);
  const DType type = sizeof(Int) == 1 ? DType::kI8 : DType::kI32;
  if (!view.ok() || view->dtype != type) return Corrupt(fmt::format("tensor '{}' is missing or not integers", name));
  list.resize(view->elements());
  if (!list.empty()) std::memcpy(list.data(), view->bytes.data(), view->bytes.size());
  return OkStatus();
}

// Tables of these numbers of symbols, one after another.
Result<std::vector<StaticTable>> ReadTables(const SafetensorsFile& file, const char* name,
                                            const std::vector<size_t>& symbols, int precision) {
  std::vector<int32_t> all;
  SLUICE_RETURN_IF_ERROR(ReadList(file, name, all));
  std::vector<StaticTable> tables;
  size_t at = 0;
  for (const size_t count : symbols) {
    if (all.size() - at < count) break;
    const std::vector<uint32_t> row(all.begin() + static_cast<int64_t>(at),
                                    all.begin() + static_cast<int64_t>(at + count));
    SLUICE_ASSIGN_OR_RETURN(StaticTable table, StaticTable::FromFrequencies(0, row, true, precision));
    tables.push_back(std::move(table));
    at += count;
  }
  if (tables.size() == symbols.size() && at == all.size()) return tables;
  return Corrupt(fmt::format("tensor '{}' has another size than the classes need", name));
}

Status ReadClasses(const SafetensorsFile& file, StoredContext& stored) {
  const ContextConfig& config = stored.network.config;
  const bool optional = config.ids == ContextIds::kTokens && !file.Contains("classes.frequencies");
  if (config.ids == ContextIds::kNone || optional) return OkStatus();
  const auto n = static_cast<size_t>(config.id_count), groups = static_cast<size_t>(config.class_groups);
  SLUICE_ASSIGN_OR_RETURN(auto first,
                          ReadTables(file, "classes.frequencies", std::vector<size_t>(n + 1, groups > 0 ? groups : n),
                                     config.precision_bits));
  if (groups == 0) {
    SLUICE_ASSIGN_OR_RETURN(stored.classes, IdTables::Flat(first));
    return OkStatus();
  }
  std::vector<uint32_t> sizes;
  std::vector<size_t> symbols;
  const auto* const size = stored.transform.class_sizes.data_ptr<int64_t>();
  for (size_t g = 0; g < groups; ++g) {
    if (size[g] < 2 || size[g] > config.id_count) return Corrupt(fmt::format("a group of {} classes", size[g]));
    sizes.push_back(static_cast<uint32_t>(size[g]));
    symbols.insert(symbols.end(), groups + 1, static_cast<size_t>(size[g]));
  }
  SLUICE_ASSIGN_OR_RETURN(auto places, ReadTables(file, "classes.places", symbols, config.precision_bits));
  SLUICE_ASSIGN_OR_RETURN(stored.classes, IdTables::Grouped(std::move(sizes), first, places));
  return OkStatus();
}

torch::Tensor FrequenciesOf(std::span<const StaticTable> tables) {
  std::vector<int32_t> all;
  for (const StaticTable& table : tables) {
    for (uint32_t frequency : table.Frequencies()) all.push_back(static_cast<int32_t>(frequency));
  }
  return TensorOf(all);
}

struct TransformSizes {
  explicit TransformSizes(const ContextConfig& config)
      : d(config.width),
        block(config.block > 0 ? config.block : d),
        classes(config.ids == ContextIds::kClasses ? config.id_count : 0) {}

  int64_t d, block, classes;
};

// Float tensors of the shapes that the configuration asks for.
ContextTransform EmptyTransform(const ContextConfig& config) {
  const auto [d, block, classes] = TransformSizes(config);
  return {torch::zeros({d}),
          torch::zeros({d / block, block, block}),
          torch::zeros({d}, torch::kInt64),
          torch::zeros({d}),
          torch::zeros({d}),
          torch::zeros({config.class_width, d}),
          torch::zeros({classes, config.class_width}),
          torch::zeros({config.class_groups}, torch::kInt64)};
}

Status CheckTransform(const ContextTransform& transform, int64_t width) {
  const auto sorted = std::get<0>(transform.order.sort());
  if (!torch::equal(sorted, torch::arange(width))) return Corrupt("tensor 'transform.order' is no permutation");
  return OkStatus();
}

Result<StoredContext> Load(const std::filesystem::path& folder) {
  SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(folder / kDescription, kMostDescriptionBytes));
  SLUICE_RETURN_IF_ERROR(CheckJsonDepth(text).WithContext(kDescription));
  const auto json = ordered_json::parse(text, nullptr, false);
  if (!json.is_object() || json.value("format", "") != kFormat || !json.contains("config")) {
    return Corrupt("codec.json is not the description of a context codec");
  }
  if (json.value("version", 0) != kVersion) {
    return Unsupported(
        fmt::format("codec.json has version {}, this build reads {}", json.value("version", 0), kVersion));
  }
  SLUICE_ASSIGN_OR_RETURN(const MappedFile tensors, MappedFile::Open(folder / kTensors));
  SLUICE_ASSIGN_OR_RETURN(const Sha256Digest expected, DigestField(json, "tensors_sha256"));
  if (Sha256::Of(tensors.bytes()) != expected) return Corrupt("codec.safetensors does not have the hash in codec.json");
  const auto config = ContextConfig::FromJson(json["config"]);
  if (!config.ok()) {
    const bool damaged = config.status().code() == StatusCode::kInvalidArgument;
    return damaged ? Corrupt(config.status().message()) : config.status();
  }
  // Nothing is made for a description that asks for more than its file holds.
  const auto [d, block, classes] = TransformSizes(*config);
  const int64_t described = d * block + config->class_width * (d + classes);
  if (static_cast<uint64_t>(described) * sizeof(float) > tensors.bytes().size())
    return Corrupt(fmt::format("codec.json describes {} floats, more than codec.safetensors holds", described));
  SLUICE_ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::FromBytes(tensors.bytes()));
  StoredContext stored;
  stored.network.config = *config;
  Status status = OkStatus();
  VisitLists(stored.network, [&](const char* name, auto& list) {
    if (status.ok()) status = ReadList(file, name, list);
  });
  SLUICE_RETURN_IF_ERROR(status);
  for (auto* matrix : {&stored.network.input, &stored.network.past, &stored.network.output}) {
    matrix->rows = static_cast<int64_t>(matrix->shifts.size());
    matrix->columns = matrix->rows > 0 ? static_cast<int64_t>(matrix->values.size()) / matrix->rows : 0;
  }
  const Status fits = stored.network.Check();
  if (!fits.ok()) return Corrupt(fits.message());
  stored.transform = EmptyTransform(*config);
  std::vector<NamedTensor> floats;
  for (auto& [name, tensor] : stored.transform.Tensors()) floats.emplace_back(name, *tensor);
  SLUICE_RETURN_IF_ERROR(RestoreTensors(file, floats));
  SLUICE_RETURN_IF_ERROR(CheckTransform(stored.transform, config->width));
  SLUICE_RETURN_IF_ERROR(ReadClasses(file, stored));
  SLUICE_ASSIGN_OR_RETURN(stored.origin.model, DigestField(json, "model_sha256"));
  stored.origin.cut = json.value("cut", int64_t{-1});
  stored.origin.lambda = json.value("lambda", 0.0);
  if (stored.origin.cut < 0) return Corrupt("codec.json has no cut");
  stored.digest = Sha256::Of(AsBytes(text));
  return stored;
}

}  // namespace

Status SaveContext(const StoredContext& given, const std::filesystem::path& folder) {
  SLUICE_RETURN_IF_ERROR(given.network.Check());
  SLUICE_RETURN_IF_ERROR(MakeFolder(folder));
  StoredContext stored = given;
  std::vector<NamedTensor> tensors;
  VisitLists(stored.network, [&](const char* name, auto& list) { tensors.emplace_back(name, TensorOf(list)); });
  for (auto& [name, tensor] : stored.transform.Tensors()) tensors.emplace_back(name, *tensor);
  if (!stored.classes.empty()) tensors.emplace_back("classes.frequencies", FrequenciesOf(stored.classes.first()));
  if (!stored.classes.places().empty()) tensors.emplace_back("classes.places", FrequenciesOf(stored.classes.places()));
  SLUICE_RETURN_IF_ERROR(SaveTensors(folder / kTensors, tensors, {}));
  SLUICE_ASSIGN_OR_RETURN(const MappedFile written, MappedFile::Open(folder / kTensors));
  const ordered_json json = {{"format", kFormat},
                             {"version", kVersion},
                             {"model_sha256", ToHex(stored.origin.model)},
                             {"cut", stored.origin.cut},
                             {"lambda", stored.origin.lambda},
                             {"config", stored.network.config.ToJson()},
                             {"tensors_sha256", ToHex(Sha256::Of(written.bytes()))}};
  return WriteFileAtomic(folder / kDescription, json.dump(2) + "\n");
}

Result<StoredContext> LoadContext(const std::filesystem::path& folder) {
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

bool IsContextFolder(const std::filesystem::path& folder) {
  const auto text = ReadFile(folder / kDescription, kMostDescriptionBytes);
  if (!text.ok() || !CheckJsonDepth(*text).ok()) return false;
  const auto json = ordered_json::parse(*text, nullptr, false);
  return json.is_object() && json.contains("format") && json["format"] == kFormat;
}

}  // namespace sluice
