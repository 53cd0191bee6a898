#ifndef SLUICE_FORMAT_PACK_PARTS_H_
#define SLUICE_FORMAT_PACK_PARTS_H_

#include <array>
#include <string_view>

#include "base/bytes.h"
#include "format/pack.h"

namespace sluice {

// The pieces that a pack is made of, each read and written next to each other.

inline constexpr std::array<uint8_t, 4> kPackMagic = {'S', 'L', 'U', 'P'};
inline constexpr size_t kPackCodecSize = 16;
/// Types of sections.
enum : uint8_t { kPackTables = 1, kPackTensor = 2, kPackPoints = 3, kPackMetadata = 4 };
/// Element types of tensors, stored as 1, 2, 3, 4.
inline constexpr std::array<DType, 4> kPackElements = {DType::kI8, DType::kI16, DType::kI32, DType::kF32};
/// Names of the sections of which there is at most one.
inline constexpr const char* kPackPointsName = "operating-points";
inline constexpr const char* kPackMetadataName = "metadata";

/// Errors: Corrupt for a field outside its limits; Unsupported for an unknown flag.
Status CheckPackInfo(const PackInfo& info);
/// Errors: Corrupt when `text` is not a JSON object of at most kMaxPackJson bytes. `what` is for the message.
Status CheckPackJson(std::string_view text, std::string_view what);
/// Errors: Corrupt when the size is not what the shape says.
Status CheckPackTensor(const TensorView& tensor);

void PutPackHeader(const PackInfo& info, uint64_t body, uint32_t sections, ByteWriter& out);
void PutPackEntry(uint8_t type, DType dtype, std::span<const uint64_t> shape, std::string_view name, uint64_t offset,
                  uint64_t size, ByteWriter& out);
/// Fields of an entry of the directory. Errors: Corrupt.
Result<std::vector<uint64_t>> ReadPackShape(const uint8_t* entry);
Result<std::string> ReadPackName(const uint8_t* entry);

std::vector<uint8_t> PackTablesBytes(std::span<const PackTable> tables);
/// Errors: Corrupt; never allocates more than what the bytes explain.
Result<std::vector<PackTable>> ParsePackTables(std::span<const uint8_t> bytes);

std::vector<uint8_t> PackPointsBytes(std::span<const OperatingPoint> points);
/// Errors: Corrupt.
Result<std::vector<OperatingPoint>> ParsePackPoints(std::span<const uint8_t> bytes);

}  // namespace sluice

#endif  // SLUICE_FORMAT_PACK_PARTS_H_
