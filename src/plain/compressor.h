#ifndef SLUICE_PLAIN_COMPRESSOR_H_
#define SLUICE_PLAIN_COMPRESSOR_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace sluice {

/// General-purpose compressors. kDeflate (zlib) and kLibdeflate write and read the same raw Deflate format.
enum class Compressor : uint8_t { kDeflate, kLibdeflate, kZstd, kLz4 };

/// What the specification grammar `name:level` says about a compressor.
struct CompressorInfo {
  Compressor compressor;
  std::string_view name;
  int lowest;
  int highest;
  int usual;                ///< level when none is given
  uint64_t most_expansion;  ///< no byte expands to more: bounds what data may claim
};

/// All compressors in the order of the enumeration.
std::span<const CompressorInfo> Compressors();

/// A compressor with its working memory for both directions, made at the first use and kept for many calls, so that a
/// measurement of short messages does not measure its allocation. Movable. Threads: one at a time.
class ByteCompressor {
 public:
  /// Errors: InvalidArgument for a level outside the compressor's range.
  static Result<ByteCompressor> Make(Compressor compressor, int level);

  ByteCompressor(ByteCompressor&&) noexcept;
  ByteCompressor& operator=(ByteCompressor&&) noexcept;
  ~ByteCompressor();

  /// Errors: InvalidArgument for more than 2^30 bytes; Internal when the library fails.
  Result<std::vector<uint8_t>> Compress(std::span<const uint8_t> bytes);
  /// Errors: Corrupt when the result is not exactly `size` bytes. Cost: allocates `size` bytes and the library's state.
  Result<std::vector<uint8_t>> Decompress(std::span<const uint8_t> bytes, size_t size);

  class Engine;

 private:
  ByteCompressor(std::string_view name, std::unique_ptr<Engine> engine);

  std::string_view name_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace sluice

#endif  // SLUICE_PLAIN_COMPRESSOR_H_
