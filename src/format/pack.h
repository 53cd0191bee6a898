#ifndef SLUICE_FORMAT_PACK_H_
#define SLUICE_FORMAT_PACK_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/hash.h"
#include "base/status.h"
#include "format/dtype.h"

namespace sluice {

// Layout and limits of docs/format.md, part "Pack", version 1. A reader checks every limit before it allocates.
inline constexpr uint8_t kPackVersion = 1;
inline constexpr size_t kPackHeaderSize = 80;
inline constexpr size_t kPackEntrySize = 104;
inline constexpr uint64_t kMaxPackBytes = uint64_t{1} << 31;
inline constexpr size_t kMaxPackSections = 1'024;
inline constexpr size_t kMaxPackNameLength = 64;
inline constexpr size_t kMaxPackRank = 4;
inline constexpr size_t kMaxPackTables = size_t{1} << 20;  ///< tables of one section
inline constexpr size_t kMaxOperatingPoints = 256;
inline constexpr size_t kMaxPackJson = size_t{1} << 20;  ///< metadata, and certificate
inline constexpr size_t kPackAlignment = 8;

/// What a pack says before its sections.
struct PackInfo {
  std::string codec;          ///< "static": which program reads the sections; 1 to 16 of [a-z0-9-]
  uint16_t flags = 0;         ///< StreamFlags of the streams that it makes: kResidual, kSideTokens
  Sha256Digest model_hash{};  ///< zeros when the codec needs no particular model
  uint32_t width = 0;         ///< d
  uint16_t cut = 0;           ///< layers before the cut
  uint16_t hyper_channels = 0;
  uint8_t precision_bits = 0;  ///< of all its probability tables: 10 to 16

  friend bool operator==(const PackInfo&, const PackInfo&) = default;
};

/// An integer probability table as it is stored; the codec checks the frequencies when it makes a table of them.
struct PackTable {
  int32_t first = 0;                  ///< value of the first symbol
  bool closed = false;                ///< without an escape, which is otherwise the last symbol
  std::vector<uint32_t> frequencies;  ///< 2 to 2^16

  friend bool operator==(const PackTable&, const PackTable&) = default;
};

/// One rate that a codec offers; its index is its place in the list.
struct OperatingPoint {
  std::string name;
  double lambda = 0;          ///< weight of the rate that it was trained or fitted for; 0 when there is none
  double bits_per_token = 0;  ///< expected

  friend bool operator==(const OperatingPoint&, const OperatingPoint&) = default;
};

/// Collects the parts of a trained codec and writes them as one file: the same parts give the same bytes.
class PackWriter {
 public:
  explicit PackWriter(PackInfo info) : info_(std::move(info)) {}

  void AddTables(std::string name, std::vector<PackTable> tables);
  /// I8, I16, I32 or F32, rank 0 to 4. The bytes are copied.
  void AddTensor(const TensorView& tensor);
  void SetOperatingPoints(std::vector<OperatingPoint> points) { points_ = std::move(points); }
  /// A JSON object: how the codec was made.
  void SetMetadata(std::string json) { metadata_ = std::move(json); }

  /// Errors: InvalidArgument for anything outside the limits, a repeated name, or metadata that are not JSON.
  Result<std::vector<uint8_t>> Serialize() const;
  /// In one step. Errors: as Serialize; Io.
  Status Write(const std::filesystem::path& path) const;

 private:
  struct Section {
    uint8_t type;
    DType dtype;
    std::vector<uint64_t> shape;
    std::string name;
    std::vector<uint8_t> bytes;
  };
  Result<std::vector<Section>> AllSections() const;

  PackInfo info_;
  std::vector<Section> sections_;
  std::vector<OperatingPoint> points_;
  std::string metadata_;
};

/// A trained codec as a file, mapped, everything in it checked when it is opened except what only the codec knows.
/// Threads: const access from any number of threads.
class Pack {
 public:
  /// Errors: Io; Truncated; Corrupt for another magic, a wrong checksum or a field outside its limits; Unsupported for
  /// another version, flag, section type or element type.
  static Result<Pack> Open(const std::filesystem::path& path);
  /// The same for bytes that outlive the pack.
  static Result<Pack> FromBytes(std::span<const uint8_t> bytes);

  const PackInfo& info() const { return info_; }
  /// SHA-256 of everything but the certificate and the checksum.
  const Sha256Digest& hash() const { return hash_; }
  /// What streams carry of it.
  uint64_t id() const { return ShortId(hash_); }

  /// The tensor's bytes are 8-byte aligned in the file and live as long as the pack. Errors: Corrupt when there is none
  /// of this name, type and shape, saying what was expected.
  Result<TensorView> Tensor(std::string_view name, DType dtype, std::span<const uint64_t> shape) const;
  /// The values of an F32 tensor. Errors: also Corrupt for one that is not finite.
  Result<std::vector<float>> Floats(std::string_view name, std::span<const uint64_t> shape) const;
  bool HasTensor(std::string_view name) const { return tensors_.contains(name); }
  /// Errors: Corrupt when there are none of this name, or not `count`.
  Result<std::span<const PackTable>> Tables(std::string_view name, size_t count) const;

  const std::map<std::string, TensorView, std::less<>>& tensors() const { return tensors_; }
  const std::map<std::string, std::vector<PackTable>, std::less<>>& tables() const { return tables_; }
  const std::vector<OperatingPoint>& operating_points() const { return points_; }
  /// JSON; empty when there is none.
  std::string_view metadata() const { return metadata_; }
  std::string_view certificate() const { return certificate_; }
  uint64_t bytes() const { return bytes_.size(); }

 private:
  struct Entry;
  explicit Pack(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  Status Read();
  Status ReadHeader(size_t& sections, uint64_t& body);
  Status ReadTail(uint64_t body);
  Status ReadSections(size_t sections, uint64_t body);
  Status ReadSection(const Entry& entry);
  Status AddTensor(const Entry& entry);
  Status AddTables(const Entry& entry);
  Status AddPoints(const Entry& entry);

  std::optional<MappedFile> file_;
  std::span<const uint8_t> bytes_;
  PackInfo info_;
  Sha256Digest hash_{};
  std::map<std::string, TensorView, std::less<>> tensors_;
  std::map<std::string, std::vector<PackTable>, std::less<>> tables_;
  std::vector<OperatingPoint> points_;
  std::string_view metadata_;
  std::string_view certificate_;
};

/// Whether a file begins like a pack. False when it cannot be read.
bool IsPackFile(const std::filesystem::path& path);

/// The same pack with another certificate (empty: none). Its hash stays. Errors: as Pack::FromBytes; InvalidArgument
/// when the certificate is not a JSON object or too long.
Result<std::vector<uint8_t>> WithCertificate(std::span<const uint8_t> pack, std::string_view json);

}  // namespace sluice

#endif  // SLUICE_FORMAT_PACK_H_
