// The safetensors layout: a 64-bit header size, a JSON object {name: {dtype, shape, data_offsets}}, and the data. The
// header is read with a SAX handler, because a document tree silently keeps the last of two equal names, and a file in
// which two readers can see two different tensors under one name must be refused. After parsing, the tensors sorted by
// offset must tile the data exactly: no overlap, no hole, no bytes beyond, which is also what the reference asks for.
#include "format/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/bytes.h"

namespace sluice {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kMetadataKey = "__metadata__";

struct Entry {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<uint64_t> shape;
  std::vector<uint64_t> offsets;
};

// Reads the header's JSON into entries. Every callback that returns false ends the parse with error_ set.
class HeaderHandler : public nlohmann::json_sax<Json> {
 public:
  std::vector<Entry> entries;
  std::map<std::string, std::string> metadata;

  const std::string& error() const { return error_; }

  bool null() override { return Fail("null is not allowed"); }
  bool boolean(bool) override { return Fail("a boolean is not allowed"); }
  bool number_integer(number_integer_t value) override { return Fail(fmt::format("{} is negative", value)); }
  bool number_float(number_float_t, const string_t& text) override { return Fail(text + " is not an integer"); }
  bool binary(binary_t&) override { return Fail("binary is not allowed"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (!in_array_) return Fail("a number outside shape and data_offsets");
    std::vector<uint64_t>& list = field_ == "shape" ? entries.back().shape : entries.back().offsets;
    if (list.size() >= kMaxTensorDims) return Fail(fmt::format("{} has more than {} numbers", field_, kMaxTensorDims));
    list.push_back(value);
    return true;
  }

  bool string(string_t& value) override {
    if (depth_ != 2 || in_array_) return Fail("a string where none belongs");
    if (in_metadata_) {
      metadata[field_] = value;
      return true;
    }
    if (field_ != "dtype") return Fail(field_ + " is a string");
    const std::optional<DType> dtype = ParseDType(value);
    if (!dtype) return Fail(fmt::format("unknown dtype \"{}\"", value));
    entries.back().dtype = *dtype;
    return true;
  }

  bool start_object(std::size_t) override {
    if (depth_ == 2 || in_array_) return Fail("an object where none belongs");
    ++depth_;
    fields_.clear();
    return true;
  }

  bool key(string_t& name) override {
    if (depth_ == 1) return TensorKey(name);
    field_ = name;
    if (!fields_.insert(name).second) return Fail(fmt::format("\"{}\" is given twice", name));
    if (in_metadata_ || name == "dtype" || name == "shape" || name == "data_offsets") return true;
    return Fail(fmt::format("unknown field \"{}\"", name));
  }

  bool end_object() override {
    if (depth_ == 2 && !in_metadata_ && fields_.size() != 3)
      return Fail("dtype, shape and data_offsets are all needed");
    --depth_;
    return true;
  }

  bool start_array(std::size_t) override {
    if (depth_ != 2 || in_metadata_ || in_array_ || field_ == "dtype") return Fail("an array where none belongs");
    in_array_ = true;
    return true;
  }

  bool end_array() override {
    in_array_ = false;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    return Fail(fmt::format("not JSON at byte {} of the header", position));
  }

 private:
  bool TensorKey(const std::string& name) {
    tensor_ = name;
    if (!names_.insert(name).second) return Fail("the name appears twice");
    in_metadata_ = name == kMetadataKey;
    if (!in_metadata_) entries.push_back({.name = name, .shape = {}, .offsets = {}});
    return true;
  }

  bool Fail(std::string reason) {
    error_ = depth_ > 0 && !tensor_.empty() ? fmt::format("tensor \"{}\": {}", tensor_, reason) : std::move(reason);
    return false;
  }

  std::string error_;
  std::string tensor_;
  std::string field_;
  std::set<std::string, std::less<>> names_;
  std::set<std::string, std::less<>> fields_;
  int depth_ = 0;
  bool in_metadata_ = false;
  bool in_array_ = false;
};

// Product of the shape and the element size; nothing on overflow.
std::optional<uint64_t> ByteSize(std::span<const uint64_t> shape, DType dtype) {
  uint64_t size = DTypeSize(dtype);
  for (uint64_t extent : shape) {
    if (__builtin_mul_overflow(size, extent, &size)) return std::nullopt;
  }
  return size;
}

Status CheckEntry(const Entry& entry) {
  const auto fail = [&](const std::string& reason) {
    return Corrupt(fmt::format("tensor \"{}\": {}", entry.name, reason));
  };
  if (entry.offsets.size() != 2) return fail(fmt::format("{} data_offsets, expected 2", entry.offsets.size()));
  if (entry.offsets[0] > entry.offsets[1]) {
    return fail(fmt::format("data_offsets {} are not in order", ShapeString(entry.offsets)));
  }
  const std::optional<uint64_t> size = ByteSize(entry.shape, entry.dtype);
  if (!size) return fail(fmt::format("shape {} overflows", ShapeString(entry.shape)));
  if (*size != entry.offsets[1] - entry.offsets[0]) {
    return fail(fmt::format("data_offsets give {} bytes, {} of {} need {}", entry.offsets[1] - entry.offsets[0],
                            DTypeName(entry.dtype), ShapeString(entry.shape), *size));
  }
  return OkStatus();
}

// The tensors must tile [0, data_size) exactly.
Status CheckTiling(std::span<const Entry> entries, uint64_t data_size) {
  std::vector<const Entry*> order;
  order.reserve(entries.size());
  for (const Entry& entry : entries) order.push_back(&entry);
  std::sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) { return a->offsets < b->offsets; });
  uint64_t end = 0;
  for (const Entry* entry : order) {
    if (entry->offsets[0] != end) {
      return Corrupt(fmt::format("tensor \"{}\" begins at data byte {}, the one before it ends at {}", entry->name,
                                 entry->offsets[0], end));
    }
    end = entry->offsets[1];
  }
  if (end > data_size) return Truncated(fmt::format("{} bytes of data, the header describes {}", data_size, end));
  if (end < data_size) return Corrupt(fmt::format("{} bytes of data, the header describes {}", data_size, end));
  return OkStatus();
}

std::string EscapedJson(std::string_view text) {
  return Json(text).dump(-1, ' ', true, Json::error_handler_t::replace);
}

// "name":{"dtype":...}, the tensor's bytes at [begin, end).
std::string EntryText(const TensorView& tensor, uint64_t begin, uint64_t end) {
  return fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}", EscapedJson(tensor.name),
                     DTypeName(tensor.dtype), fmt::join(tensor.shape, ","), begin, end);
}

// The header with its size before it, filled up to a multiple of eight.
std::string Framed(std::string header) {
  header.append((8 - header.size() % 8) % 8, ' ');
  ByteWriter size;
  size.Put<uint64_t>(header.size());
  return std::string(size.bytes().begin(), size.bytes().end()) + header;
}

std::string HeaderText(std::span<const TensorView* const> order, const std::map<std::string, std::string>& metadata) {
  std::string header = "{";
  if (!metadata.empty()) {
    header += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) {
      header += fmt::format("{}{}:{}", header.back() == '{' ? "" : ",", EscapedJson(key), EscapedJson(value));
    }
    header += "}";
  }
  uint64_t offset = 0;
  for (const TensorView* tensor : order) {
    header += (header.size() == 1 ? "" : ",") + EntryText(*tensor, offset, offset + tensor->bytes.size());
    offset += tensor->bytes.size();
  }
  return Framed(header + "}");
}

}  // namespace

Result<SafetensorsFile> SafetensorsFile::Open(const std::filesystem::path& path) {
  SLUICE_ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::Open(path));
  Result<SafetensorsFile> file = FromBytes(mapped.bytes());
  if (!file.ok()) return file.status().WithContext(path.string());
  file->file_.emplace(std::move(mapped));
  return file;
}

Result<SafetensorsFile> SafetensorsFile::FromBytes(std::span<const uint8_t> bytes) {
  ByteReader reader(bytes);
  SLUICE_ASSIGN_OR_RETURN(const uint64_t header_size, reader.Get<uint64_t>());
  if (header_size > kMaxSafetensorsHeader) {
    return Corrupt(fmt::format("a header of {} bytes, at most {} are read: not a safetensors file", header_size,
                               kMaxSafetensorsHeader));
  }
  SLUICE_ASSIGN_OR_RETURN(const std::span<const uint8_t> header, reader.GetBytes(header_size));
  HeaderHandler handler;
  if (!Json::sax_parse(header.begin(), header.end(), &handler)) return Corrupt(handler.error());
  const std::span<const uint8_t> data = bytes.subspan(reader.offset());
  for (const Entry& entry : handler.entries) SLUICE_RETURN_IF_ERROR(CheckEntry(entry));
  SLUICE_RETURN_IF_ERROR(CheckTiling(handler.entries, data.size()));

  SafetensorsFile file;
  file.metadata_ = std::move(handler.metadata);
  for (Entry& entry : handler.entries) {
    TensorView view{entry.name, entry.dtype, std::move(entry.shape),
                    data.subspan(entry.offsets[0], entry.offsets[1] - entry.offsets[0])};
    file.tensors_.emplace(std::move(entry.name), std::move(view));
  }
  return file;
}

void SafetensorsFile::ForgetBefore(const uint8_t* end) const {
  if (file_) file_->ForgetBefore(static_cast<size_t>(end - file_->bytes().data()));
}

Result<TensorView> SafetensorsFile::Find(std::string_view name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) return InvalidArgument(fmt::format("no tensor \"{}\" in the file", name));
  return found->second;
}

Result<std::string> SafetensorsPrefix(const TensorView& tensor) {
  const auto size = ByteSize(tensor.shape, tensor.dtype);
  if (!size) {
    return InvalidArgument(fmt::format("tensor \"{}\": shape {} overflows", tensor.name, ShapeString(tensor.shape)));
  }
  return Framed("{" + EntryText(tensor, 0, *size) + "}");
}

Status WriteSafetensors(const std::filesystem::path& path, std::span<const TensorView> tensors,
                        const std::map<std::string, std::string>& metadata) {
  std::vector<const TensorView*> order;
  std::set<std::string_view> names;
  for (const TensorView& tensor : tensors) {
    if (tensor.name == kMetadataKey || !names.insert(tensor.name).second) {
      return InvalidArgument(fmt::format("tensor name \"{}\" is repeated or reserved", tensor.name));
    }
    if (ByteSize(tensor.shape, tensor.dtype) != tensor.bytes.size()) {
      return InvalidArgument(fmt::format("tensor \"{}\": {} bytes do not make {} of {}", tensor.name,
                                         tensor.bytes.size(), DTypeName(tensor.dtype), ShapeString(tensor.shape)));
    }
    order.push_back(&tensor);
  }
  std::sort(order.begin(), order.end(), [](const TensorView* a, const TensorView* b) {
    return std::pair(DTypeSize(b->dtype), std::string_view(a->name)) <
           std::pair(DTypeSize(a->dtype), std::string_view(b->name));
  });
  const std::string header = HeaderText(order, metadata);
  SLUICE_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  SLUICE_RETURN_IF_ERROR(file.Write(AsBytes(header)));
  for (const TensorView* tensor : order) SLUICE_RETURN_IF_ERROR(file.Write(tensor->bytes));
  return file.Commit();
}

}  // namespace sluice
