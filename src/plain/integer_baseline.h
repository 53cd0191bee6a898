#ifndef SLUICE_PLAIN_INTEGER_BASELINE_H_
#define SLUICE_PLAIN_INTEGER_BASELINE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/view.h"
#include "plain/compressor.h"
#include "plain/integer_codec.h"

namespace sluice {

/// A general compressor at one of its levels.
struct GeneralCompressor {
  Compressor compressor;
  int level;
};

/// Those that stand beside a learned codec wherever it is measured: the paper's Deflate, and zstd as it comes.
inline constexpr GeneralCompressor kUsualRivals[] = {{Compressor::kDeflate, 6}, {Compressor::kZstd, 3}};

/// A codec in the paper's packing and one in the best. Errors: InvalidArgument for the level.
Result<std::array<std::unique_ptr<IntegerCodec>, 2>> MakeBothPackings(const GeneralCompressor& general);

/// One encoding and decoding, packing included, choosing it not.
struct RoundTrip {
  uint64_t bytes = 0;
  double encode_seconds = 0, decode_seconds = 0;
};

/// Needs: codec.Prepare(y). Errors: the codec's; Internal when it does not give the integers back.
Result<RoundTrip> TimeRoundTrip(IntegerCodec& codec, MatrixView<const int32_t> y);

/// What one integer codec made of all chunks so far.
struct IntegerMeasure {
  std::string method;   ///< "zstd:19", "static"
  std::string packing;  ///< "int32, one token at a time", "int8, channel-major"; of the last chunk, where it is chosen
  bool paper_packing = false;
  uint64_t bytes = 0;
  double encode_seconds = 0, decode_seconds = 0;  ///< one run over all chunks, packing included, choosing it not
};

/// All rivals on the same integers, chunk after chunk: deflate, libdeflate, zstd 1, 3 and 19 and lz4, each in the
/// paper's packing and in its best one, then `static`, and `static-fixed` where a sample was given. What was encoded is
/// decoded and compared every time.
class IntegerBaselines {
 public:
  /// Data: sample [N, d], N 0 for none; it should not be from the text that is measured.
  /// Errors: InvalidArgument for `repeats` below 1.
  static Result<IntegerBaselines> Create(MatrixView<const int32_t> sample, int repeats = 1);

  /// Adds a chunk y [T, d]; times are the least of the repeats. Errors: the codecs'; Internal when a codec does not
  /// give the integers back.
  Status Add(MatrixView<const int32_t> y);

  std::span<const IntegerMeasure> measures() const { return measures_; }
  uint64_t elements() const { return elements_; }
  uint64_t tokens() const { return tokens_; }

 private:
  explicit IntegerBaselines(int repeats) : repeats_(repeats) {}

  void AddCodec(std::unique_ptr<IntegerCodec> codec, bool paper_packing);

  int repeats_;
  uint64_t elements_ = 0, tokens_ = 0;
  std::vector<std::unique_ptr<IntegerCodec>> codecs_;
  std::vector<IntegerMeasure> measures_;
};

/// Bytes that a general compressor needs for y [T, d] in the paper's packing. 0 for no integers.
Result<uint64_t> PaperPackingBytes(Compressor compressor, int level, MatrixView<const int32_t> y);

/// The same with the packing that serves the compressor best (MakeBestPackingCodec).
struct BestPacking {
  uint64_t bytes = 0;
  std::string packing;
};

/// Errors: InvalidArgument when y is empty or larger than a compressor takes at once.
Result<BestPacking> BestPackingBytes(Compressor compressor, int level, MatrixView<const int32_t> y);

}  // namespace sluice

#endif  // SLUICE_PLAIN_INTEGER_BASELINE_H_
