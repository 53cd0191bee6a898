// The pack of docs/format.md, version 1: a header, a directory of named sections, the sections 8-byte aligned in the
// order of the directory with nothing between them, and behind all that the certificate. The certificate is no section
// because it says something about the rest: the hash of the pack is that of the bytes before it, so that a codec keeps
// its identity, and its streams, when it is certified. Offsets are stored although they follow from the sizes: a reader
// in another language may map a tensor without walking, and a reader that walks finds out when they disagree.
#include "format/pack.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "base/bytes.h"
#include "format/pack_parts.h"

namespace sluice {
namespace {

constexpr size_t kTailSize = 8;  // the certificate's size and the checksum

size_t Aligned(size_t size) { return (size + kPackAlignment - 1) / kPackAlignment * kPackAlignment; }

}  // namespace

// One entry of the directory.
struct Pack::Entry {
  uint8_t type = 0;
  uint8_t element = 0;
  std::vector<uint64_t> shape;
  std::string name;
  std::span<const uint8_t> bytes;
};

Result<Pack> Pack::FromBytes(std::span<const uint8_t> bytes) {
  Pack pack(bytes);
  SLUICE_RETURN_IF_ERROR(pack.Read().WithContext("pack"));
  return pack;
}

Result<Pack> Pack::Open(const std::filesystem::path& path) {
  SLUICE_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  Result<Pack> pack = FromBytes(file.bytes());
  if (!pack.ok()) return pack.status().WithContext(path.string());
  pack->file_.emplace(std::move(file));
  return pack;
}

Status Pack::Read() {
  size_t sections = 0;
  uint64_t body = 0;
  SLUICE_RETURN_IF_ERROR(ReadHeader(sections, body));
  SLUICE_RETURN_IF_ERROR(ReadTail(body));
  SLUICE_RETURN_IF_ERROR(CheckPackInfo(info_));
  SLUICE_RETURN_IF_ERROR(ReadSections(sections, body));
  hash_ = Sha256::Of(bytes_.first(body));
  return OkStatus();
}

Status Pack::ReadHeader(size_t& sections, uint64_t& body) {
  for (size_t i = 0; i < std::min(kPackMagic.size(), bytes_.size()); ++i) {
    if (bytes_[i] != kPackMagic[i]) return Corrupt("not a pack: it does not begin with \"SLUP\"");
  }
  if (bytes_.size() > kPackMagic.size() && bytes_[kPackMagic.size()] != kPackVersion) {
    return Unsupported(fmt::format("version {}, this build reads version {}", bytes_[kPackMagic.size()], kPackVersion));
  }
  if (bytes_.size() < kPackHeaderSize + kTailSize) {
    return Truncated(fmt::format("{} bytes, expected at least {}", bytes_.size(), kPackHeaderSize + kTailSize));
  }
  const uint8_t* at = bytes_.data();
  info_.precision_bits = at[5];
  info_.flags = LoadLe<uint16_t>(at + 6);
  body = LoadLe<uint64_t>(at + 8);
  const auto* name = reinterpret_cast<const char*>(at + 16);
  info_.codec.assign(name, std::find(name, name + kPackCodecSize, '\0'));
  std::copy_n(at + 32, info_.model_hash.size(), info_.model_hash.begin());
  info_.width = LoadLe<uint32_t>(at + 64);
  info_.cut = LoadLe<uint16_t>(at + 68);
  info_.hyper_channels = LoadLe<uint16_t>(at + 70);
  sections = LoadLe<uint32_t>(at + 72);
  if (!std::all_of(name + info_.codec.size(), name + kPackCodecSize, [](char c) { return c == '\0'; })) {
    return Corrupt("letters behind the end of the codec's name");
  }
  if (LoadLe<uint32_t>(at + 76) != 0) return Unsupported("reserved bytes 76 to 79 are not zero");
  if (body > kMaxPackBytes || body % kPackAlignment != 0 || body < kPackHeaderSize) {
    return Corrupt(fmt::format("a body of {} bytes, expected a multiple of 8 up to {}", body, kMaxPackBytes));
  }
  if (sections > kMaxPackSections) return Corrupt(fmt::format("{} sections, at most {}", sections, kMaxPackSections));
  return OkStatus();
}

Status Pack::ReadTail(uint64_t body) {
  if (bytes_.size() < body + kTailSize) {
    return Truncated(fmt::format("{} bytes, expected at least {}", bytes_.size(), body + kTailSize));
  }
  const uint64_t size = LoadLe<uint32_t>(bytes_.data() + body);
  if (size > kMaxPackJson) return Corrupt(fmt::format("a certificate of {} bytes, at most {}", size, kMaxPackJson));
  const uint64_t whole = body + kTailSize + size;
  if (bytes_.size() < whole) return Truncated(fmt::format("{} bytes, expected {}", bytes_.size(), whole));
  if (bytes_.size() > whole) return Corrupt(fmt::format("{} bytes behind the end", bytes_.size() - whole));
  if (Checksum32(bytes_.first(whole - 4)) != LoadLe<uint32_t>(bytes_.data() + whole - 4)) {
    return Corrupt("its checksum does not match");
  }
  certificate_ = {reinterpret_cast<const char*>(bytes_.data() + body + 4), size};
  return certificate_.empty() ? OkStatus() : CheckPackJson(certificate_, "certificate");
}

Status Pack::ReadSections(size_t sections, uint64_t body) {
  const uint64_t directory = kPackHeaderSize + sections * kPackEntrySize;
  if (directory > body) return Corrupt(fmt::format("{} sections do not fit into {} bytes", sections, body));
  uint64_t end = directory;
  std::set<std::string, std::less<>> names;
  for (size_t i = 0; i < sections; ++i) {
    const uint8_t* at = bytes_.data() + kPackHeaderSize + i * kPackEntrySize;
    const uint64_t offset = LoadLe<uint64_t>(at + 24), size = LoadLe<uint64_t>(at + 32);
    const std::string where = fmt::format("section {}", i);
    if (offset != end || size > body - offset) {
      return Corrupt(
          fmt::format("{}: {} bytes at {}, expected to begin at {} and to end by {}", where, size, offset, end, body));
    }
    Entry entry{.type = at[0], .element = at[1], .shape = {}, .name = {}, .bytes = bytes_.subspan(offset, size)};
    SLUICE_ASSIGN_OR_RETURN(entry.shape, ReadPackShape(at));
    SLUICE_ASSIGN_OR_RETURN(entry.name, ReadPackName(at));
    if (!names.insert(entry.name).second) return Corrupt(fmt::format("{}: a second \"{}\"", where, entry.name));
    end = Aligned(offset + size);
    const auto padding = bytes_.subspan(offset + size, end - offset - size);
    if (std::any_of(padding.begin(), padding.end(), [](uint8_t byte) { return byte != 0; })) {
      return Corrupt(where + ": the bytes behind it are not zero");
    }
    SLUICE_RETURN_IF_ERROR(ReadSection(entry).WithContext(fmt::format("{} \"{}\"", where, entry.name)));
  }
  if (end != body) return Corrupt(fmt::format("the sections end at {}, expected {}", end, body));
  return OkStatus();
}

Status Pack::ReadSection(const Entry& entry) {
  const bool tensor = entry.type == kPackTensor;
  if (entry.type < kPackTables || entry.type > kPackMetadata) {
    return Unsupported(fmt::format("section type {}, this build knows 1 to 4", entry.type));
  }
  if (!tensor && (entry.element != 0 || !entry.shape.empty())) return Corrupt("it is no tensor and has a shape");
  if (tensor) return AddTensor(entry);
  if (entry.type == kPackTables) return AddTables(entry);
  if (entry.type == kPackPoints) return AddPoints(entry);
  if (entry.name != kPackMetadataName) return Corrupt(fmt::format("expected the name \"{}\"", kPackMetadataName));
  metadata_ = {reinterpret_cast<const char*>(entry.bytes.data()), entry.bytes.size()};
  return CheckPackJson(metadata_, "metadata");
}

Status Pack::AddTensor(const Entry& entry) {
  if (entry.element == 0 || entry.element > kPackElements.size()) {
    return Unsupported(fmt::format("element type {}, this build knows 1 to 4", entry.element));
  }
  TensorView view{entry.name, kPackElements[entry.element - 1], entry.shape, entry.bytes};
  SLUICE_RETURN_IF_ERROR(CheckPackTensor(view));
  tensors_.emplace(entry.name, std::move(view));
  return OkStatus();
}

Status Pack::AddTables(const Entry& entry) {
  SLUICE_ASSIGN_OR_RETURN(std::vector<PackTable> tables, ParsePackTables(entry.bytes));
  tables_.emplace(entry.name, std::move(tables));
  return OkStatus();
}

Status Pack::AddPoints(const Entry& entry) {
  if (entry.name != kPackPointsName) return Corrupt(fmt::format("expected the name \"{}\"", kPackPointsName));
  SLUICE_ASSIGN_OR_RETURN(points_, ParsePackPoints(entry.bytes));
  return OkStatus();
}

Result<TensorView> Pack::Tensor(std::string_view name, DType dtype, std::span<const uint64_t> shape) const {
  const auto found = tensors_.find(name);
  const std::string expected = fmt::format("{} {}", DTypeName(dtype), ShapeString(shape));
  if (found == tensors_.end())
    return Corrupt(fmt::format("pack: tensor \"{}\" is missing, expected {}", name, expected));
  const TensorView& view = found->second;
  if (view.dtype == dtype && std::equal(shape.begin(), shape.end(), view.shape.begin(), view.shape.end())) return view;
  return Corrupt(fmt::format("pack: tensor \"{}\" is {} {}, expected {}", name, DTypeName(view.dtype),
                             ShapeString(view.shape), expected));
}

Result<std::vector<float>> Pack::Floats(std::string_view name, std::span<const uint64_t> shape) const {
  SLUICE_ASSIGN_OR_RETURN(const TensorView view, Tensor(name, DType::kF32, shape));
  std::vector<float> values(view.elements());
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = LoadLe<float>(view.bytes.data() + 4 * i);
    if (!std::isfinite(values[i])) return Corrupt(fmt::format("pack: tensor \"{}\": value {} is not finite", name, i));
  }
  return values;
}

Result<std::span<const PackTable>> Pack::Tables(std::string_view name, size_t count) const {
  const auto found = tables_.find(name);
  if (found == tables_.end()) return Corrupt(fmt::format("pack: tables \"{}\" are missing", name));
  if (found->second.size() == count) return std::span<const PackTable>(found->second);
  return Corrupt(fmt::format("pack: {} tables \"{}\", expected {}", found->second.size(), name, count));
}

void PackWriter::AddTables(std::string name, std::vector<PackTable> tables) {
  sections_.push_back({kPackTables, DType::kU8, {}, std::move(name), PackTablesBytes(tables)});
}

void PackWriter::AddTensor(const TensorView& tensor) {
  sections_.push_back(
      {kPackTensor, tensor.dtype, tensor.shape, tensor.name, {tensor.bytes.begin(), tensor.bytes.end()}});
}

Result<std::vector<PackWriter::Section>> PackWriter::AllSections() const {
  std::vector<Section> all = sections_;
  if (!points_.empty()) all.push_back({kPackPoints, DType::kU8, {}, kPackPointsName, PackPointsBytes(points_)});
  if (!metadata_.empty()) {
    all.push_back({kPackMetadata, DType::kU8, {}, kPackMetadataName, {metadata_.begin(), metadata_.end()}});
  }
  for (const Section& section : all) {
    if (section.name.size() > kMaxPackNameLength || section.shape.size() > kMaxPackRank) {
      return InvalidArgument(fmt::format("pack: section \"{}\": the name or the shape is too long", section.name));
    }
    const bool known = std::find(kPackElements.begin(), kPackElements.end(), section.dtype) != kPackElements.end();
    if (section.type == kPackTensor && !known) {
      return InvalidArgument(
          fmt::format("pack: tensor \"{}\": elements of type {}", section.name, DTypeName(section.dtype)));
    }
  }
  return all;
}

Result<std::vector<uint8_t>> PackWriter::Serialize() const {
  SLUICE_RETURN_IF_ERROR(AsArgument(CheckPackInfo(info_)));
  SLUICE_ASSIGN_OR_RETURN(const std::vector<Section> sections, AllSections());
  uint64_t body = kPackHeaderSize + sections.size() * kPackEntrySize;
  for (const Section& section : sections) body += Aligned(section.bytes.size());
  if (body > kMaxPackBytes) return InvalidArgument(fmt::format("pack: {} bytes, at most {}", body, kMaxPackBytes));
  ByteWriter out;
  PutPackHeader(info_, body, static_cast<uint32_t>(sections.size()), out);
  uint64_t offset = kPackHeaderSize + sections.size() * kPackEntrySize;
  for (const Section& section : sections) {
    PutPackEntry(section.type, section.dtype, section.shape, section.name, offset, section.bytes.size(), out);
    offset += Aligned(section.bytes.size());
  }
  constexpr std::array<uint8_t, kPackAlignment> kZeros{};
  for (const Section& section : sections) {
    out.PutBytes(section.bytes);
    out.PutBytes(std::span(kZeros).first(Aligned(section.bytes.size()) - section.bytes.size()));
  }
  out.Put<uint32_t>(0);
  out.Put<uint32_t>(Checksum32(out.bytes()));
  // What would not be read must not be written.
  SLUICE_RETURN_IF_ERROR(AsArgument(Pack::FromBytes(out.bytes()).status()));
  return std::move(out).Take();
}

Status PackWriter::Write(const std::filesystem::path& path) const {
  SLUICE_ASSIGN_OR_RETURN(const std::vector<uint8_t> bytes, Serialize());
  return WriteFileAtomic(path, std::span<const uint8_t>(bytes));
}

bool IsPackFile(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return false;
  const Result<MappedFile> file = MappedFile::Open(path);
  return file.ok() && file->bytes().size() >= kPackMagic.size() &&
         std::equal(kPackMagic.begin(), kPackMagic.end(), file->bytes().begin());
}

Result<std::vector<uint8_t>> WithCertificate(std::span<const uint8_t> pack, std::string_view json) {
  SLUICE_ASSIGN_OR_RETURN(const Pack old, Pack::FromBytes(pack));
  if (!json.empty()) SLUICE_RETURN_IF_ERROR(AsArgument(CheckPackJson(json, "certificate")));
  ByteWriter out;
  out.PutBytes(pack.first(pack.size() - kTailSize - old.certificate().size()));
  out.Put<uint32_t>(static_cast<uint32_t>(json.size()));
  out.PutString(json);
  out.Put<uint32_t>(Checksum32(out.bytes()));
  return std::move(out).Take();
}

}  // namespace sluice
