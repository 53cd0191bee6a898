// Row by row: the expectations of a whole row are made at once, since its reference is complete; then its symbols are
// taken, and each is joined with its place.
#include "codec/chunk_decoder.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <limits>

#include "base/view.h"
#include "codec/bit_packer.h"
#include "codec/chunk_model.h"
#include "codec/chunk_values.h"
#include "codec/residual_kernels.h"
#include "rans/rans_decoder.h"

namespace sluice {
namespace {

constexpr int32_t kNoTable = std::numeric_limits<int32_t>::min();

class ChunkDecoder {
 public:
  ChunkDecoder(ChunkModel model, RansDecoder rans, std::span<const uint8_t> raw, const ChunkShape& shape)
      : model_(std::move(model)),
        rans_(rans),
        raw_(raw),
        shape_(shape),
        values_(shape.tokens, shape.width),
        expected_(shape.width),
        symbols_(shape.width + kKernelSlack),
        tables_(PackResidualTables(model_)),
        bytes_(shape.tokens * shape.width * DTypeSize(shape.target)) {
    for (size_t i = 0; i < kResidualTables; ++i) {
      // An absent table is told from the others by its first residual.
      first_[i] = model_.residual[i] ? model_.residual[i]->first - int32_t{kFirstResidual} : kNoTable;
    }
  }

  Result<std::vector<uint8_t>> Decode() {
    std::vector<uint8_t> row_class(shape_.tokens);
    for (uint8_t& symbol : row_class) {
      symbol = static_cast<uint8_t>(model_.row_class->Find(rans_.Peek()));
      rans_.Advance(model_.row_class->At(symbol));
    }
    for (size_t t = 0; t < shape_.tokens; ++t) {
      std::span<const float> reference = model_.center;
      if (row_class[t] != 0) {
        SLUICE_ASSIGN_OR_RETURN(reference, ReadReference(t));
      }
      model_.Expect(row_class[t], reference, expected_);
      SLUICE_RETURN_IF_ERROR(TakeRow(t));
      for (size_t c = 0; c < shape_.width; ++c) {
        SLUICE_RETURN_IF_ERROR(DecodeElement(t, c));
      }
      if (raw_.overrun()) return Truncated(fmt::format("row {}: the raw bits end early", t));
    }
    SLUICE_RETURN_IF_ERROR(rans_.Finish());
    if (!raw_.EndsExactly()) return Corrupt("bytes are left over");
    return std::move(bytes_);
  }

 private:
  Status TakeRow(size_t t) {
    for (size_t c = 0; c < shape_.width; ++c) {
      const size_t index = expected_.table[c];
      if (first_[index] == kNoTable)
        return Corrupt(fmt::format("row {}, channel {}: table {} is missing", t, c, index));
    }
    TakeSymbols(tables_, shape_.width, expected_.table.data(), rans_, symbols_.data());
    return OkStatus();
  }

  Result<std::span<const float>> ReadReference(size_t t) {
    if (raw_.Get(1) == 0) {
      last_distance_ = t == 0 ? 0 : static_cast<size_t>(raw_.Get(std::bit_width(t - 1))) + 1;
    }
    if (last_distance_ == 0 || last_distance_ > t) {
      return Corrupt(fmt::format("row {}: a reference {} rows back", t, last_distance_));
    }
    return std::as_const(values_).row(t - last_distance_);
  }

  Status DecodeElement(size_t t, size_t c) {
    const size_t symbol = symbols_[c];
    int32_t bucket = expected_.bucket[c] + first_[expected_.table[c]] + static_cast<int32_t>(symbol);
    if (symbol < kFirstResidual) {
      if (symbol == kRawSymbol) return KeepRaw(t, c), OkStatus();
      if (symbol == kZeroSymbol) return Store(t, c, ReadZero()), OkStatus();
      bucket = static_cast<int32_t>(raw_.Get(kFarBits)) - (1 << (kFarBits - 1));
    }
    if (model_.grid()) return DecodeGrid(t, c, bucket);
    return DecodeFloat(t, c, bucket);
  }

  float ReadZero() { return model_.signed_zeros && raw_.Get(1) != 0 ? -0.0f : 0.0f; }

  Status DecodeFloat(size_t t, size_t c, int32_t bucket) {
    const int k = expected_.k[c], mantissa = model_.mantissa;
    const int32_t magnitude = bucket < 0 ? ~bucket : bucket;
    int depth = -1, place_bits = mantissa;
    uint64_t whole = 1;
    if (magnitude == 0) {
      for (depth = 0; raw_.Get(1) == 0; ++depth) {
        if (depth == kMaxDepth) return Corrupt(fmt::format("row {}, channel {}: a depth above {}", t, c, kMaxDepth));
      }
    } else {
      place_bits = PlaceBits(magnitude, mantissa);
      whole = static_cast<uint64_t>(magnitude);
    }
    const auto digits = static_cast<float>(whole << place_bits | raw_.Get(place_bits));
    const float value = digits * PowerOfTwo(k - 1 - depth - place_bits);
    Store(t, c, bucket < 0 ? -value : value);
    return OkStatus();
  }

  Status DecodeGrid(size_t t, size_t c, int32_t bucket) {
    const int k = expected_.k[c];
    const int64_t value = int64_t{bucket} * (int64_t{1} << k) + static_cast<int64_t>(raw_.Get(k));
    if (value < -(1 << kMaxGridBits) || value > 1 << kMaxGridBits) {
      return Corrupt(fmt::format("row {}, channel {}: {} steps", t, c, value));
    }
    Store(t, c, static_cast<float>(value));
    return OkStatus();
  }

  void KeepRaw(size_t t, size_t c) {
    const auto word = static_cast<uint32_t>(raw_.Get(static_cast<int>(8 * DTypeSize(shape_.source))));
    values_.row(t)[c] = model_.center[c];
    StoreWord(t, c, shape_.source == shape_.target ? word : WordOf(shape_.target, FloatOf(shape_.source, word)));
  }

  void Store(size_t t, size_t c, float value) {
    values_.row(t)[c] = value;
    StoreWord(t, c, WordOf(shape_.target, Reconstruct(value, model_.step)));
  }

  void StoreWord(size_t t, size_t c, uint32_t word) {
    const size_t i = t * shape_.width + c;
    if (DTypeSize(shape_.target) == 4) {
      StoreLe<uint32_t>(word, bytes_.data() + 4 * i);
    } else {
      StoreLe<uint16_t>(static_cast<uint16_t>(word), bytes_.data() + 2 * i);
    }
  }

  ChunkModel model_;
  RansDecoder rans_;
  BitUnpacker raw_;
  ChunkShape shape_;
  Matrix<float> values_;
  ExpectedRow expected_;
  std::vector<uint8_t> symbols_;
  RansKernelTables tables_;
  std::array<int32_t, kResidualTables> first_;
  size_t last_distance_ = 0;
  std::vector<uint8_t> bytes_;
};

}  // namespace

Result<std::vector<uint8_t>> DecodeChunk(ByteReader& reader, const ChunkShape& shape) {
  SLUICE_ASSIGN_OR_RETURN(ChunkModel model, ChunkModel::Read(reader, shape.width));
  SLUICE_ASSIGN_OR_RETURN(const uint64_t coded_size, reader.GetVarint());
  SLUICE_ASSIGN_OR_RETURN(const auto coded, reader.GetBytes(coded_size));
  SLUICE_ASSIGN_OR_RETURN(const auto raw, reader.GetBytes(reader.remaining()));
  const int lanes = LanesFor(shape.tokens + shape.tokens * shape.width);
  SLUICE_ASSIGN_OR_RETURN(const RansDecoder rans, RansDecoder::Create(coded, lanes, kActivationPrecision));
  return ChunkDecoder(std::move(model), rans, raw, shape).Decode();
}

}  // namespace sluice
