// Each piece of a pack is small and has its own rules; what a count promises is compared with the bytes that are there
// before anything is made of it. Inside a section an early end is damage, not truncation: its size was known.
#include "format/pack_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/json_depth.h"
#include "format/stream.h"

namespace sluice {
namespace {

constexpr uint16_t kPackFlags = kResidual | kSideTokens;
constexpr size_t kMaxTableSymbols = 65'536;

bool IsNameLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

Result<PackTable> ReadTable(ByteReader& reader) {
  PackTable table;
  SLUICE_ASSIGN_OR_RETURN(const uint8_t closed, reader.Get<uint8_t>());
  if (closed > 1) return Corrupt(fmt::format("the mark of a closed table is {}, expected 0 or 1", closed));
  table.closed = closed != 0;
  SLUICE_ASSIGN_OR_RETURN(const uint64_t first, reader.GetVarint());
  if (first > std::numeric_limits<uint32_t>::max()) return Corrupt("the first value leaves 32 bits");
  table.first = static_cast<int32_t>(UnZigZag(first));
  SLUICE_ASSIGN_OR_RETURN(const uint64_t count, reader.GetVarint());
  if (count < 2 || count > kMaxTableSymbols || count > reader.remaining()) {
    return Corrupt(fmt::format("{} frequencies, expected 2 to {} and a byte for each", count, kMaxTableSymbols));
  }
  table.frequencies.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    SLUICE_ASSIGN_OR_RETURN(const uint64_t frequency, reader.GetVarint());
    if (frequency == 0 || frequency >= kMaxTableSymbols) return Corrupt(fmt::format("a frequency of {}", frequency));
    table.frequencies.push_back(static_cast<uint32_t>(frequency));
  }
  return table;
}

Result<OperatingPoint> ReadPoint(ByteReader& reader) {
  OperatingPoint point;
  SLUICE_ASSIGN_OR_RETURN(const uint8_t length, reader.Get<uint8_t>());
  SLUICE_ASSIGN_OR_RETURN(const auto name, reader.GetBytes(length));
  point.name.assign(name.begin(), name.end());
  if (length == 0 || length > kMaxPackNameLength || !std::all_of(point.name.begin(), point.name.end(), IsNameLetter)) {
    return Corrupt("the name of an operating point is empty, too long or has strange letters");
  }
  SLUICE_ASSIGN_OR_RETURN(point.lambda, reader.Get<double>());
  SLUICE_ASSIGN_OR_RETURN(point.bits_per_token, reader.Get<double>());
  if (!std::isfinite(point.lambda) || point.lambda < 0 || !std::isfinite(point.bits_per_token) ||
      point.bits_per_token < 0) {
    return Corrupt(fmt::format("operating point \"{}\": lambda {}, {} bits a token", point.name, point.lambda,
                               point.bits_per_token));
  }
  return point;
}

}  // namespace

Status CheckPackInfo(const PackInfo& info) {
  const bool letters = std::all_of(info.codec.begin(), info.codec.end(), [](char c) {
    return IsNameLetter(c) && c != '.' && c != '_' && (c < 'A' || c > 'Z');
  });
  if (info.codec.empty() || info.codec.size() > kPackCodecSize || !letters) {
    return Corrupt("the codec's name is empty, too long or has strange letters");
  }
  if ((info.flags & ~kPackFlags) != 0) {
    return Unsupported(fmt::format("flags {:#06x}, this build knows {:#06x}", info.flags, kPackFlags));
  }
  if (info.width == 0 || info.width > kMaxStreamWidth) {
    return Corrupt(fmt::format("width {}, expected 1 to {}", info.width, kMaxStreamWidth));
  }
  if (info.precision_bits < 10 || info.precision_bits > 16) {
    return Corrupt(fmt::format("precision of {} bits, expected 10 to 16", info.precision_bits));
  }
  return OkStatus();
}

Status CheckPackJson(std::string_view text, std::string_view what) {
  if (text.size() > kMaxPackJson)
    return Corrupt(fmt::format("{} of {} bytes, at most {}", what, text.size(), kMaxPackJson));
  SLUICE_RETURN_IF_ERROR(CheckJsonDepth(text).WithContext(what));
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || text[first] != '{' || !nlohmann::json::accept(text)) {
    return Corrupt(fmt::format("the {} is not a JSON object", what));
  }
  return OkStatus();
}

Status CheckPackTensor(const TensorView& tensor) {
  uint64_t size = DTypeSize(tensor.dtype);
  for (const uint64_t dim : tensor.shape) {
    if (dim == 0 || size > kMaxPackBytes / dim) return Corrupt(fmt::format("shape {}", ShapeString(tensor.shape)));
    size *= dim;
  }
  if (size == tensor.bytes.size()) return OkStatus();
  return Corrupt(fmt::format("{} {} in {} bytes, expected {}", DTypeName(tensor.dtype), ShapeString(tensor.shape),
                             tensor.bytes.size(), size));
}

void PutPackHeader(const PackInfo& info, uint64_t body, uint32_t sections, ByteWriter& out) {
  std::array<uint8_t, kPackCodecSize> codec{};
  std::copy(info.codec.begin(), info.codec.end(), codec.begin());
  out.PutBytes(kPackMagic);
  out.Put<uint8_t>(kPackVersion);
  out.Put<uint8_t>(info.precision_bits);
  out.Put<uint16_t>(info.flags);
  out.Put<uint64_t>(body);
  out.PutBytes(codec);
  out.PutBytes(info.model_hash);
  out.Put<uint32_t>(info.width);
  out.Put<uint16_t>(info.cut);
  out.Put<uint16_t>(info.hyper_channels);
  out.Put<uint32_t>(sections);
  out.Put<uint32_t>(0);
}

void PutPackEntry(uint8_t type, DType dtype, std::span<const uint64_t> shape, std::string_view name, uint64_t offset,
                  uint64_t size, ByteWriter& out) {
  const auto element = std::find(kPackElements.begin(), kPackElements.end(), dtype) - kPackElements.begin() + 1;
  std::array<uint8_t, kMaxPackNameLength> letters{};
  std::copy(name.begin(), name.end(), letters.begin());
  out.Put<uint8_t>(type);
  out.Put<uint8_t>(type == kPackTensor ? static_cast<uint8_t>(element) : uint8_t{0});
  out.Put<uint8_t>(static_cast<uint8_t>(shape.size()));
  out.Put<uint8_t>(static_cast<uint8_t>(name.size()));
  for (size_t i = 0; i < kMaxPackRank; ++i) out.Put<uint32_t>(i < shape.size() ? static_cast<uint32_t>(shape[i]) : 0);
  out.Put<uint32_t>(0);
  out.Put<uint64_t>(offset);
  out.Put<uint64_t>(size);
  out.PutBytes(letters);
}

Result<std::vector<uint64_t>> ReadPackShape(const uint8_t* entry) {
  const size_t rank = entry[2];
  if (rank > kMaxPackRank) return Corrupt(fmt::format("a tensor of rank {}, at most {}", rank, kMaxPackRank));
  std::vector<uint64_t> shape;
  for (size_t i = 0; i < kMaxPackRank; ++i) {
    const auto dim = LoadLe<uint32_t>(entry + 4 + 4 * i);
    if (i >= rank && dim != 0) return Corrupt("a dimension beyond a tensor's rank is not 0");
    if (i < rank) shape.push_back(dim);
  }
  if (LoadLe<uint32_t>(entry + 20) != 0) return Unsupported("a reserved field of a section is not zero");
  return shape;
}

Result<std::string> ReadPackName(const uint8_t* entry) {
  const auto* letters = reinterpret_cast<const char*>(entry + 40);
  const size_t length = entry[3];
  const bool sound = length >= 1 && length <= kMaxPackNameLength &&
                     std::all_of(letters, letters + length, IsNameLetter) &&
                     std::all_of(letters + length, letters + kMaxPackNameLength, [](char c) { return c == '\0'; });
  if (!sound) return Corrupt("a section's name is empty, too long or has strange letters");
  return std::string(letters, length);
}

std::vector<uint8_t> PackTablesBytes(std::span<const PackTable> tables) {
  ByteWriter out;
  out.Put<uint32_t>(static_cast<uint32_t>(tables.size()));
  for (const PackTable& table : tables) {
    out.Put<uint8_t>(table.closed ? 1 : 0);
    out.PutVarint(ZigZag(table.first));
    out.PutVarint(table.frequencies.size());
    for (const uint32_t frequency : table.frequencies) out.PutVarint(frequency);
  }
  return std::move(out).Take();
}

Result<std::vector<PackTable>> ParsePackTables(std::span<const uint8_t> bytes) {
  ByteReader reader(bytes);
  const Result<uint32_t> count = reader.Get<uint32_t>();
  constexpr size_t kLeastTable = 5;  // bytes
  if (!count.ok() || *count > kMaxPackTables || *count > reader.remaining() / kLeastTable) {
    return Corrupt(fmt::format("{} tables in {} bytes", count.ok() ? *count : 0, bytes.size()));
  }
  std::vector<PackTable> tables;
  tables.reserve(*count);
  for (uint32_t i = 0; i < *count; ++i) {
    Result<PackTable> table = ReadTable(reader);
    if (!table.ok()) return AsCorrupt(table.status(), StatusCode::kTruncated).WithContext(fmt::format("table {}", i));
    tables.push_back(std::move(*table));
  }
  if (reader.remaining() != 0) return Corrupt(fmt::format("{} bytes behind the tables", reader.remaining()));
  return tables;
}

std::vector<uint8_t> PackPointsBytes(std::span<const OperatingPoint> points) {
  ByteWriter out;
  out.Put<uint32_t>(static_cast<uint32_t>(points.size()));
  for (const OperatingPoint& point : points) {
    out.Put<uint8_t>(static_cast<uint8_t>(point.name.size()));
    out.PutString(point.name);
    out.Put<double>(point.lambda);
    out.Put<double>(point.bits_per_token);
  }
  return std::move(out).Take();
}

Result<std::vector<OperatingPoint>> ParsePackPoints(std::span<const uint8_t> bytes) {
  ByteReader reader(bytes);
  const Result<uint32_t> count = reader.Get<uint32_t>();
  if (!count.ok() || *count > kMaxOperatingPoints) {
    return Corrupt(fmt::format("{} operating points, at most {}", count.ok() ? *count : 0, kMaxOperatingPoints));
  }
  std::vector<OperatingPoint> points;
  for (uint32_t i = 0; i < *count; ++i) {
    Result<OperatingPoint> point = ReadPoint(reader);
    if (!point.ok()) return AsCorrupt(point.status(), StatusCode::kTruncated);
    points.push_back(std::move(*point));
  }
  if (reader.remaining() != 0) return Corrupt(fmt::format("{} bytes behind the operating points", reader.remaining()));
  return points;
}

}  // namespace sluice
