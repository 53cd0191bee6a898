// A general compressor sees no order in interleaved halves: mantissa bytes are close to noise, exponent bytes are not.
// In two planes it spends its effort where there is something to find, which is the fair way to use it on floats.
#include "plain/plane_codec.h"

#include <fmt/format.h>

#include "base/half.h"
#include "plain/float_codecs.h"

namespace sluice {
namespace {

class PlaneCodec : public HiddenCodec {
 public:
  PlaneCodec(Compressor compressor, int level) : compressor_(compressor), level_(level) {}

  std::string name() const override {
    return fmt::format("{}:{}", Compressors()[static_cast<size_t>(compressor_)].name, level_);
  }

  Result<std::vector<uint8_t>> Encode(MatrixView<const float> hidden) const override {
    SLUICE_RETURN_IF_ERROR(CheckFinite(hidden));
    SLUICE_ASSIGN_OR_RETURN(const std::vector<uint16_t> halves, ToHalves(hidden));
    std::vector<uint8_t> planes(2 * halves.size());
    for (size_t i = 0; i < halves.size(); ++i) {
      planes[i] = static_cast<uint8_t>(halves[i]);
      planes[halves.size() + i] = static_cast<uint8_t>(halves[i] >> 8);
    }
    SLUICE_ASSIGN_OR_RETURN(ByteCompressor compressor, ByteCompressor::Make(compressor_, level_));
    return compressor.Compress(planes);
  }

  Status CheckPayload(std::span<const uint8_t> payload, size_t tokens, size_t width) const override {
    const CompressorInfo& info = Compressors()[static_cast<size_t>(compressor_)];
    if (2 * tokens * width <= info.most_expansion * payload.size()) return OkStatus();
    return Corrupt(fmt::format("{}: {} bytes do not expand to {}", info.name, payload.size(), 2 * tokens * width));
  }

  Result<Matrix<float>> Decode(std::span<const uint8_t> payload, size_t tokens, size_t width) const override {
    SLUICE_RETURN_IF_ERROR(CheckPayload(payload, tokens, width));
    const size_t count = tokens * width;
    SLUICE_ASSIGN_OR_RETURN(ByteCompressor compressor, ByteCompressor::Make(compressor_, level_));
    SLUICE_ASSIGN_OR_RETURN(const std::vector<uint8_t> planes, compressor.Decompress(payload, 2 * count));
    Matrix<float> hidden(tokens, width);
    for (size_t i = 0; i < count; ++i) {
      hidden.data()[i] = HalfToFloat(static_cast<uint16_t>(planes[i] | planes[count + i] << 8));
    }
    return hidden;
  }

 private:
  Compressor compressor_;
  int level_;
};

}  // namespace

Result<std::unique_ptr<HiddenCodec>> MakePlaneCodec(Compressor compressor, int level) {
  SLUICE_ASSIGN_OR_RETURN(const ByteCompressor checked, ByteCompressor::Make(compressor, level));
  return std::unique_ptr<HiddenCodec>(std::make_unique<PlaneCodec>(compressor, level));
}

}  // namespace sluice
