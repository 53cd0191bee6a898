#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

#include "base/file.h"
#include "base/json_depth.h"
#include "cli/light_verbs.h"
#include "cli/verb.h"
#include "codec/pack_codec.h"
#include "format/archive.h"
#include "format/checkpoint_files.h"
#include "format/pack.h"
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

ordered_json HeaderFields(const StreamHeader& header) {
  ordered_json fields = {{"what", (header.flags & kSingle) != 0 ? "self-contained frame" : "stream"},
                         {"version", kStreamVersion},
                         {"codec_kind", KindName(header.kind)},
                         {"codec", CodecIdText(header)},
                         {"model", fmt::format("{:016x}", header.model_id)},
                         {"cut", header.cut},
                         {"width", header.width},
                         {"threads", header.threads}};
  if ((header.flags & kSideTokens) != 0) {
    fields["token_ids"] = (header.flags & kIdsInStream) != 0 ? "in the stream" : "known to the reader";
  }
  return fields;
}

// Where a token frame ends only its codec knows, so the walk stops at the first.
ordered_json InspectTokens(const StreamReader& reader, const fs::path& path) {
  ordered_json result = HeaderFields(reader.header());
  result.update({{"frames_before_the_first_token_frame", reader.frames() - 1},
                 {"tokens_before_the_first_token_frame", reader.tokens() - 1},
                 {"bytes", fs::file_size(path)}});
  return result;
}

Result<ordered_json> InspectStream(const fs::path& path) {
  SLUICE_ASSIGN_OR_RETURN(StreamReader reader, StreamReader::Open(path));
  const StreamHeader& header = reader.header();
  uint64_t payload = 0;
  while (true) {
    const auto frame = reader.Next();
    if (!frame.ok()) return frame.status().WithContext(path.string());
    if (!frame->has_value()) break;
    if ((*frame)->type == FrameType::kToken) return InspectTokens(reader, path);
    for (const auto& section : (*frame)->sections) payload += section.size();
  }
  const uint64_t bytes = fs::file_size(path);
  const auto tokens = static_cast<double>(std::max<uint64_t>(1, reader.tokens()));
  ordered_json result = HeaderFields(header);
  result.update({{"frames", reader.frames()},
                 {"tokens", reader.tokens()},
                 {"bytes", bytes},
                 {"header_bytes", bytes - payload},
                 {"bits_per_token", 8.0 * static_cast<double>(bytes) / tokens}});
  return result;
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

ordered_json ParsedOrNull(std::string_view json) {
  return json.empty() ? ordered_json() : ordered_json::parse(json, nullptr, false);
}

Result<ordered_json> InspectPack(const fs::path& path) {
  SLUICE_ASSIGN_OR_RETURN(const Pack pack, Pack::Open(path));
  // A pack of a codec that this build does not know can still be looked at.
  const auto codec = PackCodec::Open(path);
  const CodecCost cost = codec.ok() ? (*codec)->MultiplyAdds() : CodecCost();
  const PackInfo& info = pack.info();
  uint64_t tables = 0, entries = 0;
  for (const auto& [name, list] : pack.tables()) {
    tables += list.size();
    for (const PackTable& table : list) entries += table.frequencies.size();
  }
  ordered_json points = ordered_json::array();
  for (const OperatingPoint& point : pack.operating_points()) {
    points.push_back({{"index", points.size()},
                      {"point", point.name},
                      {"lambda", point.lambda},
                      {"bits_per_token", point.bits_per_token}});
  }
  ordered_json result = {{"what", "pack"},
                         {"version", kPackVersion},
                         {"codec", info.codec},
                         {"id", fmt::format("{:016x}", pack.id())},
                         {"hash", ToHex(pack.hash())},
                         {"model_hash", ToHex(info.model_hash)},
                         {"width", info.width},
                         {"cut", info.cut},
                         {"hyper_channels", info.hyper_channels},
                         {"precision_bits", info.precision_bits},
                         {"flags", info.flags},
                         {"bytes", pack.bytes()},
                         {"multiply_adds_per_token", cost.encode + cost.decode},
                         {"multiply_adds_of_encode", cost.encode},
                         {"multiply_adds_of_decode", cost.decode},
                         {"tables", tables},
                         {"table_entries", entries},
                         {"operating_points", points},
                         {"metadata", ParsedOrNull(pack.metadata())},
                         {"certificate", ParsedOrNull(pack.certificate())},
                         {"weights", SummarizeTensors(pack.tensors())}};
  return result;
}

Result<ordered_json> InspectArchive(const fs::path& path) {
  SLUICE_ASSIGN_OR_RETURN(const ArchiveReader archive, ArchiveReader::Open(path));
  const ArchiveHeader& header = archive.header();
  constexpr const char* kFidelities[] = {"lossless", "absolute bound", "relative bound", "bits an element"};
  uint64_t payload = 0, longest = 0;
  for (const ArchiveChunk& chunk : archive.chunks()) {
    payload += chunk.payload.size();
    longest = std::max<uint64_t>(longest, chunk.tokens);
  }
  const uint64_t source_bytes = archive.tokens() * header.width * DTypeSize(header.source);
  const uint64_t bytes = fs::file_size(path);
  return ordered_json{{"what", "archive"},
                      {"version", kArchiveVersion},
                      {"source", DTypeName(header.source)},
                      {"fidelity", kFidelities[header.fidelity]},
                      {"bound", header.bound},
                      {"width", header.width},
                      {"row_tokens", header.row_tokens},
                      {"tokens", archive.tokens()},
                      {"chunks", archive.chunks().size()},
                      {"longest_chunk_tokens", longest},
                      {"complete", archive.complete()},
                      {"bytes", bytes},
                      {"payload_bytes", payload},
                      {"source_bytes", source_bytes},
                      {"ratio", static_cast<double>(source_bytes) / static_cast<double>(std::max<uint64_t>(1, bytes))}};
}

bool IsArchive(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  char magic[4] = {};
  return file.read(magic, 4) && std::string_view(magic, 4) == "SLUA";
}

Result<ordered_json> ReadJson(const fs::path& path) {
  SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, 1 << 24));
  SLUICE_RETURN_IF_ERROR(CheckJsonDepth(text).WithContext(path.string()));
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
  std::error_code error;
  const fs::file_status what = fs::status(path, error);
  if (error) return IoError(fmt::format("{}: {}", path.string(), error.message()));
  if (fs::is_directory(what)) {
    if (fs::exists(path / "codec.json", error)) return InspectCodec(path);
    if (fs::exists(path / "config.json", error)) return InspectModel(path);
    return InvalidArgument(path.string() + ": a folder with neither codec.json nor config.json");
  }
  if (!fs::is_regular_file(what)) return IoError(path.string() + ": neither a regular file nor a folder");
  if (path.extension() == ".safetensors") {
    SLUICE_ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(path));
    ordered_json result = {{"what", "safetensors"}};
    result.update(SummarizeTensors(file.tensors()));
    return result;
  }
  if (IsPackFile(path)) return InspectPack(path);
  if (IsArchive(path)) return InspectArchive(path);
  return InspectStream(path);
}

// A member, or null; a codec folder's own description may bring any name with anything in it.
ordered_json MemberOf(const ordered_json& object, const char* name) {
  return object.is_object() ? object.value(name, ordered_json()) : ordered_json();
}

std::string Shown(const ordered_json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

std::string ToText(const ordered_json& result) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (const auto& [key, value] : result.items()) {
    if (value.is_object()) {
      for (const auto& [inner, inner_value] : value.items()) rows.emplace_back(key + "." + inner, inner_value.dump());
    } else if (key == "operating_points") {
      for (const auto& point : value) {
        const ordered_json bits = MemberOf(point, "bits_per_token");
        const bool counted = bits.is_number() && bits.get<double>() > 0;
        rows.emplace_back(
            fmt::format("{}.{}", key, Shown(MemberOf(point, "index"))),
            fmt::format("{}, lambda {}{}", Shown(MemberOf(point, "point")), Shown(MemberOf(point, "lambda")),
                        counted ? fmt::format(", {:.2f} bits per token", bits.get<double>()) : ""));
      }
    } else if (value.is_array() && !value.empty() && value.front().is_object()) {
      for (const auto& item : value) {
        rows.emplace_back(Shown(MemberOf(item, "name")),
                          Shown(MemberOf(item, "type")) + " " + Shown(MemberOf(item, "shape")));
      }
    } else {
      rows.emplace_back(key, Shown(value));
    }
  }
  return KeyValueTable(rows);
}

}  // namespace

int RunInspect(int argc, char** argv) {
  Verb verb("inspect", "Show what a stream, an archive, a pack, a trained codec, a model or a safetensors file holds.",
            "  sluice inspect book.slc\n  sluice inspect hidden.sla\n  sluice inspect static.pack --json\n  sluice "
            "inspect runs/a --json\n  sluice "
            "inspect models/default\n");
  fs::path path;
  verb.app().add_option("path", path, "A file or folder")->type_name("PATH")->required();
  return verb.Run(argc, argv, [&]() -> Status {
    SLUICE_ASSIGN_OR_RETURN(const ordered_json result, Inspect(path));
    verb.Print(result, ToText(result));
    return OkStatus();
  });
}

}  // namespace sluice
