// Hidden states without a model of the network. Each row is predicted from the earlier row most like it (row_matcher),
// as far as such rows have been worth trusting (chunk_fit). An element is then coded as the distance between the bucket
// that it lies in and the bucket that was expected, by a table chosen from the spread to be expected, and its place in
// the bucket in raw bits, because the low bits of a float are noise (value_lattice). Buckets are powers of two wide, so
// that they never straddle a binade and the number of floats in them is known. Lossless and lossy differ only in the
// lattice: that of a float type, or a uniform grid.
#include "codec/activation_coder.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "base/bytes.h"
#include "base/half.h"
#include "base/view.h"
#include "codec/bit_packer.h"
#include "codec/chunk_fit.h"
#include "codec/chunk_model.h"
#include "rans/rans_decoder.h"
#include "rans/rans_encoder.h"

namespace sluice {
namespace {

constexpr uint8_t kStored = 0;
constexpr uint8_t kModelled = 1;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kLargestGridValue = 0x1p45;
constexpr int kHistogramReach = 2047;
constexpr int kTailShift = 11;  // the rarest 1 in 2^11 residuals on each side escape

uint32_t WordAt(std::span<const uint8_t> bytes, size_t element_size, size_t i) {
  return element_size == 4 ? LoadLe<uint32_t>(bytes.data() + 4 * i) : LoadLe<uint16_t>(bytes.data() + 2 * i);
}

float FloatOf(DType dtype, uint32_t word) {
  if (dtype == DType::kF32) return std::bit_cast<float>(word);
  return dtype == DType::kF16 ? HalfToFloat(static_cast<uint16_t>(word)) : Bfloat16ToFloat(static_cast<uint16_t>(word));
}

uint32_t WordOf(DType dtype, float value) {
  if (dtype == DType::kF32) return std::bit_cast<uint32_t>(value);
  return dtype == DType::kF16 ? FloatToHalf(value) : FloatToBfloat16(value);
}

// Rounds to `bits` mantissa bits, ties away from zero.
double RoundMantissa(double value, int bits) {
  const uint64_t half = uint64_t{1} << (51 - bits);
  const uint64_t mask = ~((uint64_t{1} << (52 - bits)) - 1);
  return std::bit_cast<double>((std::bit_cast<uint64_t>(value) + half) & mask);
}

// What the decoder makes of a value.
float Reconstruct(double value, double step) { return static_cast<float>(step > 0 ? value * step : value); }

// The element as a value of the chunk's lattice; NaN where it has to be coded as it is.
double ToValue(float x, const FidelitySpec& spec, double step, int mantissa) {
  if (!std::isfinite(x)) return kNan;
  switch (spec.kind) {
    case Fidelity::kLossless:
      return x;
    case Fidelity::kRelative: {
      const bool subnormal = std::fabs(x) < std::numeric_limits<float>::min();
      const double value = subnormal ? double{x} : RoundMantissa(x, mantissa);
      return std::isfinite(static_cast<float>(value)) ? value : kNan;
    }
    case Fidelity::kAbsolute:
    case Fidelity::kBits:
      break;
  }
  const double value = std::round(x / step);
  if (!(std::fabs(value) < kLargestGridValue)) return kNan;
  const double error = std::fabs(double{Reconstruct(value, step)} - x);
  return spec.kind == Fidelity::kAbsolute && !(error <= spec.bound) ? kNan : value + 0.0;
}

// The coarsest lattice that holds all values.
ValueLattice LatticeOf(MatrixView<const double> values) {
  ValueLattice lattice{0, std::numeric_limits<int>::max()};
  for (const double value : values.all()) {
    if (std::isnan(value) || value == 0) continue;
    const uint64_t fraction = std::bit_cast<uint64_t>(value) & ((uint64_t{1} << 52) - 1);
    const int bits = fraction == 0 ? 0 : 52 - std::countr_zero(fraction);
    lattice.mantissa = std::max(lattice.mantissa, bits);
    lattice.lowest = std::min(lattice.lowest, ExponentOf(value) - bits);
  }
  if (lattice.lowest == std::numeric_limits<int>::max()) lattice.lowest = 0;
  return lattice;
}

int RelativeMantissa(double bound) {
  int bits = 0;
  while (bits < 23 && std::exp2(-(bits + 1)) > bound) ++bits;
  return bits;
}

// The reference's value where there is one, else the channel's center.
double ReferenceAt(MatrixView<const double> values, int64_t reference, size_t c, float center) {
  if (reference < 0) return center;
  const double value = values.row(static_cast<size_t>(reference))[c];
  return std::isnan(value) ? center : value;
}

struct Symbol {
  int32_t residual;
  uint16_t table;
  uint8_t depth;
  bool has_depth;
};

class ChunkEncoder {
 public:
  ChunkEncoder(Matrix<double> values, double step, std::span<const uint8_t> bytes, size_t element_size)
      : values_(std::move(values)), bytes_(bytes), element_size_(element_size) {
    const MatrixView<const double> view = values_.View();
    fit_ = FitChunk(view, LatticeOf(view));
    fit_.model.step = step;
    for (const double value : view.all()) fit_.model.signed_zeros |= value == 0 && std::signbit(value);
  }

  Result<std::vector<uint8_t>> Encode() {
    Analyze();
    SLUICE_RETURN_IF_ERROR(FitTables());
    SLUICE_ASSIGN_OR_RETURN(RansEncoder rans, RansEncoder::Create(LanesFor(symbols_.size()), kActivationPrecision));
    for (size_t t = 0; t < values_.rows(); ++t) {
      EncodeStatic(*fit_.model.row_class, fit_.row_class[t], rans);
      for (size_t c = 0; c < values_.cols(); ++c) {
        const Symbol& symbol = symbols_[t * values_.cols() + c];
        EncodeStatic(*fit_.model.residual[symbol.table], symbol.residual, rans);
        if (symbol.has_depth) EncodeStatic(*fit_.model.depth, symbol.depth, rans);
      }
    }
    ByteWriter writer;
    writer.Put<uint8_t>(kModelled);
    fit_.model.Write(writer);
    const std::vector<uint8_t> coded = rans.Finish();
    writer.PutVarint(coded.size());
    writer.PutBytes(coded);
    writer.PutBytes(std::move(raw_).Take());
    return std::move(writer).Take();
  }

 private:
  // Turns all elements into symbols, counts them, and writes the raw bits.
  void Analyze() {
    symbols_.reserve(values_.View().size());
    int64_t last_distance = 0;
    for (size_t t = 0; t < values_.rows(); ++t) {
      if (fit_.row_class[t] != 0) {
        const int64_t distance = static_cast<int64_t>(t) - fit_.reference[t];
        raw_.Put(distance == last_distance ? 1 : 0, 1);
        if (distance != last_distance) raw_.Put(static_cast<uint64_t>(distance - 1), std::bit_width(t - 1));
        last_distance = distance;
      }
      for (size_t c = 0; c < values_.cols(); ++c) symbols_.push_back(SymbolOf(t, c));
    }
  }

  Symbol SymbolOf(size_t t, size_t c) {
    const ChunkModel& model = fit_.model;
    const double reference = ReferenceAt(values_.View(), fit_.reference[t], c, model.center[c]);
    const Expectation expected = model.Expect(fit_.row_class[t], c, reference);
    double& value = values_.row(t)[c];
    if (std::isnan(value) || std::fabs(value) * PowerOfTwo(-expected.k) >= static_cast<double>(kBucketLimit)) {
      value = kNan;
      const uint32_t word = WordAt(bytes_, element_size_, t * values_.cols() + c);
      raw_.Put(word, static_cast<int>(8 * element_size_));
      return Count({static_cast<int32_t>(kRawResidual), static_cast<uint16_t>(expected.table), 0, false});
    }
    const LatticeParts parts = SplitValue(model.lattice, value, expected.k);
    Symbol symbol{static_cast<int32_t>(parts.bucket - expected.bucket), static_cast<uint16_t>(expected.table), 0,
                  false};
    if (parts.bucket == 0) {
      symbol.has_depth = expected.k > model.lattice.lowest;
      symbol.depth = static_cast<uint8_t>(std::min(parts.depth, 255));
      if (value != 0 || model.signed_zeros) raw_.Put(parts.negative ? 1 : 0, 1);
    }
    raw_.Put(parts.place, parts.place_bits);
    return Count(symbol);
  }

  Symbol Count(Symbol symbol) {
    std::vector<uint64_t>& histogram = histograms_[symbol.table];
    if (histogram.empty()) histogram.resize(2 * kHistogramReach + 1);
    if (std::abs(symbol.residual) <= kHistogramReach) {
      ++histogram[static_cast<size_t>(symbol.residual + kHistogramReach)];
    } else {
      ++outside_[symbol.table];
    }
    if (symbol.has_depth) depths_.push_back(symbol.depth);
    return symbol;
  }

  Status FitTables() {
    for (size_t i = 0; i < histograms_.size(); ++i) {
      if (histograms_[i].empty()) continue;
      SLUICE_ASSIGN_OR_RETURN(fit_.model.residual[i], FitHistogram(histograms_[i], outside_[i]));
    }
    const std::vector<int32_t> classes(fit_.row_class.begin(), fit_.row_class.end());
    SLUICE_ASSIGN_OR_RETURN(fit_.model.row_class, StaticTable::Fit(classes, kActivationPrecision));
    if (depths_.empty()) return OkStatus();
    SLUICE_ASSIGN_OR_RETURN(fit_.model.depth, StaticTable::Fit(depths_, kActivationPrecision));
    return OkStatus();
  }

  // A table over the residuals between the two thin tails.
  static Result<StaticTable> FitHistogram(std::span<const uint64_t> histogram, uint64_t outside) {
    uint64_t total = 0;
    for (const uint64_t count : histogram) total += count;
    size_t low = 0, high = histogram.size() - 1;
    uint64_t below = 0, above = 0;
    const uint64_t spare = total >> kTailShift;
    while (low < high && below + histogram[low] <= spare) below += histogram[low++];
    while (high > low && above + histogram[high] <= spare) above += histogram[high--];
    const size_t most = size_t{1} << (kActivationPrecision - 1);
    while (high - low + 1 > most) above += histogram[high--];
    return StaticTable::FromWeights(static_cast<int32_t>(low) - kHistogramReach, histogram.subspan(low, high - low + 1),
                                    below + above + outside, kActivationPrecision);
  }

  Matrix<double> values_;
  std::span<const uint8_t> bytes_;
  size_t element_size_;
  ChunkFit fit_;
  BitPacker raw_;
  std::vector<Symbol> symbols_;
  std::vector<int32_t> depths_;
  std::array<std::vector<uint64_t>, kRatioCount * kFractionBins> histograms_;
  std::array<uint64_t, kRatioCount * kFractionBins> outside_{};
};

class ChunkDecoder {
 public:
  ChunkDecoder(ChunkModel model, RansDecoder rans, std::span<const uint8_t> raw, size_t tokens, size_t width,
               DType source, DType target)
      : model_(std::move(model)),
        rans_(rans),
        raw_(raw),
        values_(tokens, width),
        source_(source),
        target_(target),
        bytes_(tokens * width * DTypeSize(target)) {}

  Result<std::vector<uint8_t>> Decode() {
    int64_t last_distance = 0;
    for (size_t t = 0; t < values_.rows(); ++t) {
      const int64_t row_class = DecodeStatic(*model_.row_class, rans_);
      if (row_class < 0 || row_class >= static_cast<int64_t>(model_.classes.size())) {
        return Corrupt(fmt::format("row {}: class {}", t, row_class));
      }
      int64_t reference = -1;
      if (row_class != 0) {
        if (raw_.Get(1) == 0) last_distance = t == 0 ? 0 : static_cast<int64_t>(raw_.Get(std::bit_width(t - 1))) + 1;
        reference = static_cast<int64_t>(t) - last_distance;
        if (last_distance == 0 || reference < 0)
          return Corrupt(fmt::format("row {}: a reference {} rows back", t, last_distance));
      }
      for (size_t c = 0; c < values_.cols(); ++c) {
        SLUICE_RETURN_IF_ERROR(DecodeElement(t, c, static_cast<size_t>(row_class), reference));
      }
      if (raw_.overrun()) return Truncated(fmt::format("row {}: the raw bits end early", t));
    }
    SLUICE_RETURN_IF_ERROR(rans_.Finish());
    if (!raw_.EndsExactly()) return Corrupt("bytes are left over");
    return std::move(bytes_);
  }

 private:
  Status DecodeElement(size_t t, size_t c, size_t row_class, int64_t reference) {
    const double other = ReferenceAt(values_.View(), reference, c, model_.center[c]);
    const Expectation expected = model_.Expect(row_class, c, other);
    const std::optional<StaticTable>& table = model_.residual[expected.table];
    if (!table) return Corrupt(fmt::format("row {}, channel {}: table {} is missing", t, c, expected.table));
    const int64_t residual = DecodeStatic(*table, rans_);
    double& value = values_.row(t)[c];
    if (residual == kRawResidual) {
      value = kNan;
      const auto word = static_cast<uint32_t>(raw_.Get(static_cast<int>(8 * DTypeSize(source_))));
      Store(t, c, source_ == target_ ? word : WordOf(target_, FloatOf(source_, word)));
      return OkStatus();
    }
    const int64_t bucket = expected.bucket + residual;
    if (std::abs(bucket) > kBucketLimit) return Corrupt(fmt::format("row {}, channel {}: bucket {}", t, c, bucket));
    if (bucket != 0) {
      const int bits = PlaceBits(model_.lattice, bucket, expected.k);
      value = JoinBucket(bucket, raw_.Get(bits), bits, expected.k);
    } else {
      SLUICE_RETURN_IF_ERROR(DecodeNearZero(t, c, expected.k, value));
    }
    Store(t, c, WordOf(target_, Reconstruct(value, model_.step)));
    return OkStatus();
  }

  Status DecodeNearZero(size_t t, size_t c, int k, double& value) {
    const int deepest = k - model_.lattice.lowest;
    int64_t depth = deepest;
    if (deepest > 0) {
      if (!model_.depth) return Corrupt("the table of depths is missing");
      depth = DecodeStatic(*model_.depth, rans_);
      if (depth < 0 || depth > deepest) return Corrupt(fmt::format("row {}, channel {}: depth {}", t, c, depth));
    }
    const bool zero = depth == deepest;
    const bool negative = (!zero || model_.signed_zeros) && raw_.Get(1) != 0;
    if (zero) {
      value = negative ? -0.0 : 0.0;
      return OkStatus();
    }
    const int bits = DepthPlaceBits(model_.lattice, static_cast<int>(depth), k);
    value = JoinDepth(static_cast<int>(depth), raw_.Get(bits), bits, negative, k);
    return OkStatus();
  }

  void Store(size_t t, size_t c, uint32_t word) {
    const size_t i = t * values_.cols() + c;
    if (DTypeSize(target_) == 4) {
      StoreLe<uint32_t>(word, bytes_.data() + 4 * i);
    } else {
      StoreLe<uint16_t>(static_cast<uint16_t>(word), bytes_.data() + 2 * i);
    }
  }

  ChunkModel model_;
  RansDecoder rans_;
  BitUnpacker raw_;
  Matrix<double> values_;
  DType source_;
  DType target_;
  std::vector<uint8_t> bytes_;
};

struct ChunkInput {
  std::span<const uint8_t> bytes;
  DType dtype;
  size_t tokens;
  size_t width;
};

Result<std::vector<uint8_t>> EncodeWithStep(const ChunkInput& in, const FidelitySpec& spec, double step) {
  const size_t element_size = DTypeSize(in.dtype);
  const int mantissa = spec.kind == Fidelity::kRelative ? RelativeMantissa(spec.bound) : 0;
  Matrix<double> values(in.tokens, in.width);
  for (size_t i = 0; i < in.tokens * in.width; ++i) {
    values.data()[i] = ToValue(FloatOf(in.dtype, WordAt(in.bytes, element_size, i)), spec, step, mantissa);
  }
  return ChunkEncoder(std::move(values), step, in.bytes, element_size).Encode();
}

// The finest step, in quarter octaves, at which the chunk fits its budget.
Result<std::vector<uint8_t>> EncodeToBudget(const ChunkInput& in, const FidelitySpec& spec) {
  const double budget = spec.bound * static_cast<double>(in.tokens * in.width) / 8;
  int fits = 4 * 64, fails = -4 * 64;
  Result<std::vector<uint8_t>> best = InvalidArgument(fmt::format(
      "a chunk of {} tokens of {} channels does not fit {} bits an element", in.tokens, in.width, spec.bound));
  while (fits - fails > 1) {
    const int middle = (fits + fails) / 2;
    SLUICE_ASSIGN_OR_RETURN(std::vector<uint8_t> payload, EncodeWithStep(in, spec, std::exp2(middle / 4.0)));
    if (static_cast<double>(payload.size()) <= budget) {
      fits = middle;
      best = std::move(payload);
    } else {
      fails = middle;
    }
  }
  return best;
}

bool IsActivationType(DType dtype) { return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBf16; }

std::vector<uint8_t> StoredAs(std::span<const uint8_t> bytes, DType source, DType target, size_t count) {
  if (source == target) return {bytes.begin(), bytes.end()};
  std::vector<uint8_t> out(count * DTypeSize(target));
  for (size_t i = 0; i < count; ++i) {
    StoreLe<float>(FloatOf(source, WordAt(bytes, DTypeSize(source), i)), out.data() + 4 * i);
  }
  return out;
}

}  // namespace

Status CheckFidelity(const FidelitySpec& spec) {
  const double bound = spec.bound;
  switch (spec.kind) {
    case Fidelity::kLossless:
      return OkStatus();
    case Fidelity::kAbsolute:
      if (std::isfinite(bound) && bound >= 0x1p-140 && bound <= 0x1p120) return OkStatus();
      return InvalidArgument(fmt::format("an absolute bound of {}, expected 2^-140 to 2^120", bound));
    case Fidelity::kRelative:
      if (bound > 0 && bound < 1) return OkStatus();
      return InvalidArgument(fmt::format("a relative bound of {}, expected above 0 and below 1", bound));
    case Fidelity::kBits:
      if (bound >= 0.1 && bound <= 32) return OkStatus();
      return InvalidArgument(fmt::format("{} bits an element, expected 0.1 to 32", bound));
  }
  return InvalidArgument(fmt::format("fidelity {}", static_cast<int>(spec.kind)));
}

DType DecodedType(DType source, const FidelitySpec& spec) {
  return spec.kind == Fidelity::kLossless ? source : DType::kF32;
}

Result<std::vector<uint8_t>> EncodeActivations(std::span<const uint8_t> bytes, DType dtype, size_t tokens, size_t width,
                                               const FidelitySpec& spec) {
  SLUICE_RETURN_IF_ERROR(CheckFidelity(spec));
  if (!IsActivationType(dtype)) return InvalidArgument(fmt::format("{} is not F32, F16 or BF16", DTypeName(dtype)));
  if (tokens == 0 || width == 0 || bytes.size() / DTypeSize(dtype) / width != tokens ||
      bytes.size() != tokens * width * DTypeSize(dtype)) {
    return InvalidArgument(fmt::format("{} bytes do not make {} tokens of {} channels", bytes.size(), tokens, width));
  }
  const ChunkInput in{bytes, dtype, tokens, width};
  if (spec.kind == Fidelity::kBits) return EncodeToBudget(in, spec);
  SLUICE_ASSIGN_OR_RETURN(std::vector<uint8_t> payload,
                          EncodeWithStep(in, spec, spec.kind == Fidelity::kAbsolute ? 2 * spec.bound : 0.0));
  if (payload.size() <= bytes.size()) return payload;
  payload.assign(1, kStored);
  payload.insert(payload.end(), bytes.begin(), bytes.end());
  return payload;
}

Result<std::vector<uint8_t>> DecodeActivations(std::span<const uint8_t> payload, DType dtype, size_t tokens,
                                               size_t width, const FidelitySpec& spec) {
  if (!IsActivationType(dtype)) return InvalidArgument(fmt::format("{} is not F32, F16 or BF16", DTypeName(dtype)));
  const DType target = DecodedType(dtype, spec);
  ByteReader reader(payload);
  SLUICE_ASSIGN_OR_RETURN(const uint8_t mode, reader.Get<uint8_t>());
  if (mode == kStored) {
    SLUICE_ASSIGN_OR_RETURN(const auto bytes, reader.GetBytes(tokens * width * DTypeSize(dtype)));
    if (reader.remaining() != 0) return Corrupt(fmt::format("{} bytes are left over", reader.remaining()));
    return StoredAs(bytes, dtype, target, tokens * width);
  }
  if (mode != kModelled) return Corrupt(fmt::format("chunk mode {}, expected 0 or 1", mode));
  SLUICE_ASSIGN_OR_RETURN(ChunkModel model, ChunkModel::Read(reader, width));
  if (!model.row_class) return Corrupt("the table of row classes is missing");
  SLUICE_ASSIGN_OR_RETURN(const uint64_t coded_size, reader.GetVarint());
  SLUICE_ASSIGN_OR_RETURN(const auto coded, reader.GetBytes(coded_size));
  SLUICE_ASSIGN_OR_RETURN(const auto raw, reader.GetBytes(reader.remaining()));
  SLUICE_ASSIGN_OR_RETURN(RansDecoder rans, RansDecoder::Create(coded, LanesFor(tokens * width), kActivationPrecision));
  return ChunkDecoder(std::move(model), rans, raw, tokens, width, dtype, target).Decode();
}

}  // namespace sluice
