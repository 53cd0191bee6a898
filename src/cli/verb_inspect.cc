#include <fmt/format.h>

#include <filesystem>
#include <map>

#include "base/file.h"
#include "cli/light_verbs.h"
#include "cli/verb.h"
#include "format/checkpoint_files.h"
#include "format/safetensors.h"
#include "format/stream.h"
#include "plain/plain_codec.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

std::string KindName(CodecKind kind) {
  switch (kind) {
    case CodecKind::kPlain:
      return "plain";
    case CodecKind::kFloat:
      return "learned, float";
    case CodecKind::kInteger:
      return "learned, integer";
  }
  return "unknown";
}

std::string CodecIdText(const StreamHeader& header) {
  if (header.kind != CodecKind::kPlain) return fmt::format("{:016x}", header.codec_id);
  return PlainCodecName(header.codec_id);
}

Result<ordered_json> InspectStream(const fs::path& path) {
  SLUICE_ASSIGN_OR_RETURN(StreamReader reader, StreamReader::Open(path));
  const StreamHeader& header = reader.header();
  uint64_t payload = 0;
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const auto frame, reader.Next());
    if (!frame.has_value()) break;
    for (const auto& section : frame->sections) payload += section.size();
  }
  const uint64_t bytes = fs::file_size(path);
  const auto tokens = static_cast<double>(std::max<uint64_t>(1, reader.tokens()));
  return ordered_json{{"what", "stream"},
                      {"version", kStreamVersion},
                      {"codec_kind", KindName(header.kind)},
                      {"codec", CodecIdText(header)},
                      {"model", fmt::format("{:016x}", header.model_id)},
                      {"cut", header.cut},
                      {"width", header.width},
                      {"threads", header.threads},
                      {"frames", reader.frames()},
                      {"tokens", reader.tokens()},
                      {"bytes", bytes},
                      {"header_bytes", bytes - payload},
                      {"bits_per_token", 8.0 * static_cast<double>(bytes) / tokens}};
}

ordered_json SummarizeTensors(const std::map<std::string, TensorView, std::less<>>& tensors) {
  uint64_t elements = 0;
  ordered_json list = ordered_json::array();
  for (const auto& [name, view] : tensors) {
    elements += view.elements();
    list.push_back({{"name", name}, {"type", DTypeName(view.dtype)}, {"shape", view.shape}});
  }
  return {{"tensors", tensors.size()}, {"elements", elements}, {"list", list}};
}

Result<ordered_json> ReadJson(const fs::path& path) {
  SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, 1 << 24));
  auto json = ordered_json::parse(text, nullptr, false);
  if (!json.is_object()) return Corrupt(path.string() + ": not a JSON object");
  return json;
}

Result<ordered_json> InspectCodec(const fs::path& folder) {
  SLUICE_ASSIGN_OR_RETURN(const ordered_json description, ReadJson(folder / "codec.json"));
  SLUICE_ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(folder / "codec.safetensors"));
  uint64_t parameters = 0, table_entries = 0;
  for (const auto& [name, view] : file.tensors()) {
    (name.starts_with("table.") ? table_entries : parameters) += view.elements();
  }
  ordered_json result = {{"what", "trained codec"}, {"parameters", parameters}, {"table_entries", table_entries}};
  result.update(description);
  return result;
}

Result<ordered_json> InspectModel(const fs::path& folder) {
  SLUICE_ASSIGN_OR_RETURN(const ordered_json config, ReadJson(folder / "config.json"));
  SLUICE_ASSIGN_OR_RETURN(CheckpointFiles files, CheckpointFiles::Open(folder));
  uint64_t parameters = 0;
  for (const std::string& name : files.Names()) {
    SLUICE_ASSIGN_OR_RETURN(const TensorView view, files.Find(name));
    parameters += view.elements();
  }
  return ordered_json{
      {"what", "model"}, {"parameters", parameters}, {"tensors", files.Names().size()}, {"config", config}};
}

Result<ordered_json> Inspect(const fs::path& path) {
  if (!fs::exists(path)) return IoError(path.string() + ": no such file or folder");
  if (fs::is_directory(path)) {
    if (fs::exists(path / "codec.json")) return InspectCodec(path);
    if (fs::exists(path / "config.json")) return InspectModel(path);
    return InvalidArgument(path.string() + ": a folder with neither codec.json nor config.json");
  }
  if (path.extension() == ".safetensors") {
    SLUICE_ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(path));
    ordered_json result = {{"what", "safetensors"}};
    result.update(SummarizeTensors(file.tensors()));
    return result;
  }
  return InspectStream(path);
}

std::string ToText(const ordered_json& result) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (const auto& [key, value] : result.items()) {
    if (value.is_object()) {
      for (const auto& [inner, inner_value] : value.items()) rows.emplace_back(key + "." + inner, inner_value.dump());
    } else if (value.is_array() && !value.empty() && value.front().is_object()) {
      for (const auto& item : value)
        rows.emplace_back(item.value("name", ""),
                          item.value("type", "") + " " + item.value("shape", ordered_json()).dump());
    } else {
      rows.emplace_back(key, value.is_string() ? value.get<std::string>() : value.dump());
    }
  }
  return KeyValueTable(rows);
}

}  // namespace

int RunInspect(int argc, char** argv) {
  Verb verb("inspect", "Show what a stream, a trained codec, a model or a safetensors file holds.",
            "  sluice inspect book.slc\n  sluice inspect runs/a --json\n  sluice inspect models/default\n");
  fs::path path;
  verb.app().add_option("path", path, "A file or folder")->required();
  return verb.Run(argc, argv, [&]() -> Status {
    SLUICE_ASSIGN_OR_RETURN(const ordered_json result, Inspect(path));
    verb.Print(result, ToText(result));
    return OkStatus();
  });
}

}  // namespace sluice
