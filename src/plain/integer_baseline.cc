// General compressors on the same integers that the learned codec sends. The paper hands them 32-bit records one token
// at a time, which costs them dearly; the best packing is what a fair user would do, and both are reported.
#include "plain/integer_baseline.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/bytes.h"

namespace sluice {
namespace {

struct Packing {
  size_t width;  // bytes of an element
  bool channel_major;
  bool planes;
};

std::string Name(const Packing& packing) {
  return fmt::format("int{}, {}{}", 8 * packing.width, packing.channel_major ? "channel-major" : "token-major",
                     packing.planes ? ", byte planes" : "");
}

size_t NarrowestWidth(MatrixView<const int32_t> y) {
  const auto [low, high] = std::minmax_element(y.all().begin(), y.all().end());
  if (*low >= INT8_MIN && *high <= INT8_MAX) return 1;
  return *low >= INT16_MIN && *high <= INT16_MAX ? 2 : 4;
}

std::vector<uint8_t> Pack(MatrixView<const int32_t> y, const Packing& packing) {
  const size_t count = y.size();
  std::vector<uint8_t> bytes(count * packing.width);
  size_t i = 0;
  const auto put = [&](int32_t value) {
    for (size_t b = 0; b < packing.width; ++b) {
      const size_t at = packing.planes ? b * count + i : i * packing.width + b;
      bytes[at] = static_cast<uint8_t>(static_cast<uint32_t>(value) >> (8 * b));
    }
    ++i;
  };
  if (packing.channel_major) {
    for (size_t c = 0; c < y.cols(); ++c) {
      for (size_t t = 0; t < y.rows(); ++t) put(y.row(t)[c]);
    }
  } else {
    for (const int32_t value : y.all()) put(value);
  }
  return bytes;
}

}  // namespace

Result<uint64_t> PaperPackingBytes(Compressor compressor, int level, MatrixView<const int32_t> y) {
  SLUICE_ASSIGN_OR_RETURN(ByteCompressor state, ByteCompressor::Make(compressor, level));
  uint64_t total = 0;
  for (size_t t = 0; t < y.rows(); ++t) {
    const std::span<const int32_t> row = y.row(t);
    SLUICE_ASSIGN_OR_RETURN(const std::vector<uint8_t> bytes,
                            state.Compress({reinterpret_cast<const uint8_t*>(row.data()), row.size_bytes()}));
    total += bytes.size();
  }
  return total;
}

Result<BestPacking> BestPackingBytes(Compressor compressor, int level, MatrixView<const int32_t> y) {
  if (y.size() == 0) return InvalidArgument("no integers to pack");
  SLUICE_ASSIGN_OR_RETURN(ByteCompressor state, ByteCompressor::Make(compressor, level));
  const size_t width = NarrowestWidth(y);
  BestPacking best;
  for (const bool channel_major : {false, true}) {
    for (const bool planes : {false, true}) {
      if (planes && width == 1) continue;
      const Packing packing{width, channel_major, planes};
      SLUICE_ASSIGN_OR_RETURN(const std::vector<uint8_t> bytes, state.Compress(Pack(y, packing)));
      if (best.packing.empty() || bytes.size() < best.bytes) best = {bytes.size(), Name(packing)};
    }
  }
  return best;
}

}  // namespace sluice
