// Three passes over the elements. The first finds for each its expectation, the distance of its bucket from the
// expected one, and its place in there, and counts the distances; the tables are made from these counts. The second
// writes the places and looks the distances up; the third, backwards as rANS wants it, encodes them.
#include "codec/chunk_encoder.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "codec/bit_packer.h"
#include "codec/chunk_fit.h"
#include "codec/chunk_model.h"
#include "codec/residual_kernels.h"
#include "rans/rans_stack.h"

namespace sluice {
namespace {

constexpr int32_t kReach = 1023;  // larger residuals are not counted one by one
constexpr int kTailShift = 11;    // the rarest 1 in 2^11 residuals on each side are left out of their table
constexpr int16_t kRawMark = std::numeric_limits<int16_t>::min();
constexpr int16_t kZeroMark = kRawMark + 1;
constexpr int16_t kFarMark = kRawMark + 2;

// How the elements are written, one entry for each.
struct CodedElements {
  explicit CodedElements(size_t count)
      : place(count), table(count + kKernelSlack), residual(count), place_bits(count), symbol(count + kKernelSlack) {}

  std::vector<uint32_t> place;
  std::vector<uint16_t> table;
  std::vector<int16_t> residual;  // or a mark
  std::vector<uint8_t> place_bits;
  std::vector<uint8_t> symbol;
};

// The residuals that have a symbol of their own.
struct Support {
  int32_t first = 0;
  uint32_t count = 0;
};

struct Histogram {
  std::array<uint32_t, 2 * kReach + 1> counts{};
  uint32_t raw = 0;
  uint32_t zero = 0;
  uint32_t far = 0;

  uint64_t total() const { return uint64_t{raw} + zero + far; }
};

class ChunkEncoder {
 public:
  ChunkEncoder(const ChunkInput& in, ChunkValues values)
      : in_(in), values_(std::move(values)), coded_(in.tokens * in.width), histograms_(kResidualTables) {
    fit_ = FitChunk(values_.values.View());
    fit_.model.step = values_.step;
    fit_.model.mantissa = values_.mantissa;
    fit_.model.signed_zeros = values_.signed_zeros;
  }

  Status Encode(ByteWriter& writer) {
    Analyze();
    SLUICE_RETURN_IF_ERROR(FitTables());
    const std::vector<uint8_t> raw = WriteRawBits();
    SLUICE_ASSIGN_OR_RETURN(const std::vector<uint8_t> coded, EncodeSymbols());
    fit_.model.Write(writer);
    writer.PutVarint(coded.size());
    writer.PutBytes(coded);
    writer.PutBytes(raw);
    return OkStatus();
  }

 private:
  void Analyze() {
    ExpectedRow expected(in_.width);
    for (size_t t = 0; t < in_.tokens; ++t) {
      ExpectRow(t, expected);
      std::copy_n(expected.table.begin(), in_.width, coded_.table.begin() + static_cast<ptrdiff_t>(t * in_.width));
      fit_.model.grid() ? AnalyzeGrid(t, expected) : AnalyzeFloats(t, expected);
    }
  }

  void ExpectRow(size_t t, ExpectedRow& expected) const {
    const int64_t reference = fit_.reference[t];
    const std::span<const float> other =
        reference < 0 ? std::span<const float>(fit_.model.center) : values_.values.row(static_cast<size_t>(reference));
    fit_.model.Expect(fit_.row_class[t], other, expected);
  }

  void AnalyzeFloats(size_t t, const ExpectedRow& expected) {
    const std::span<const float> row = values_.values.row(t);
    const int mantissa = fit_.model.mantissa;
    size_t i = t * in_.width;
    for (size_t c = 0; c < row.size(); ++c, ++i) {
      const int k = expected.k[c], octave = ExponentOf(row[c]) - k;
      // NaN has an octave far above.
      if (octave < -1 - kMaxDepth || octave >= 20) {
        AnalyzeOther(t, c, expected.table[c]);
        continue;
      }
      const LatticeParts parts = SplitFloat(row[c], mantissa, k);
      SetPlace(i, parts.place, parts.place_bits);
      SetResidual(i, parts.bucket - expected.bucket[c], expected.table[c]);
    }
  }

  void AnalyzeOther(size_t t, size_t c, size_t table) {
    const float value = values_.values.row(t)[c];
    if (value != 0) return KeepRaw(t, c, table);
    const size_t i = t * in_.width + c;
    SetPlace(i, std::bit_cast<uint32_t>(value) >> 31, fit_.model.signed_zeros ? 1 : 0);
    coded_.residual[i] = kZeroMark;
    ++histograms_[table].zero;
  }

  void AnalyzeGrid(size_t t, const ExpectedRow& expected) {
    for (size_t c = 0; c < in_.width; ++c) {
      const float value = values_.values.row(t)[c];
      const int k = expected.k[c];
      const auto integer = static_cast<int32_t>(value == value ? value : 0);
      const int32_t bucket = integer >> k;
      if (value != value || std::abs(bucket) > kBucketLimit) {
        KeepRaw(t, c, expected.table[c]);
        continue;
      }
      const size_t i = t * in_.width + c;
      SetPlace(i, static_cast<uint32_t>(integer) & ((1u << k) - 1), k);
      SetResidual(i, bucket - expected.bucket[c], expected.table[c]);
    }
  }

  void SetPlace(size_t i, uint32_t place, int bits) {
    coded_.place[i] = place;
    coded_.place_bits[i] = static_cast<uint8_t>(bits);
  }

  void SetResidual(size_t i, int32_t residual, size_t table) {
    Histogram& histogram = histograms_[table];
    if (static_cast<uint32_t>(residual + kReach) <= 2 * kReach) {
      coded_.residual[i] = static_cast<int16_t>(residual);
      ++histogram.counts[static_cast<size_t>(residual + kReach)];
    } else {
      coded_.residual[i] = kFarMark;
      ++histogram.far;
    }
  }

  // The decoder will have the center in its place.
  void KeepRaw(size_t t, size_t c, size_t table) {
    const size_t i = t * in_.width + c;
    SetPlace(i, WordAt(in_.bytes, in_.dtype, i), static_cast<int>(8 * DTypeSize(in_.dtype)));
    coded_.residual[i] = kRawMark;
    values_.values.row(t)[c] = fit_.model.center[c];
    ++histograms_[table].raw;
  }

  Status FitTables() {
    std::vector<uint64_t> class_counts(fit_.model.classes.size());
    for (const uint8_t row_class : fit_.row_class) ++class_counts[row_class];
    SLUICE_ASSIGN_OR_RETURN(fit_.model.row_class, FrequencyTable::FromWeights(class_counts, kActivationPrecision));
    for (size_t i = 0; i < histograms_.size(); ++i) {
      SLUICE_ASSIGN_OR_RETURN(fit_.model.residual[i], FitTable(histograms_[i]));
    }
    return OkStatus();
  }

  // A table over the residuals between the two thin tails.
  static Result<std::optional<ResidualTable>> FitTable(const Histogram& histogram) {
    const auto& counts = histogram.counts;
    uint64_t total = 0;
    for (const uint32_t count : counts) total += count;
    if (total + histogram.total() == 0) return std::optional<ResidualTable>();
    size_t low = 0, high = counts.size();
    uint64_t below = 0, above = 0;
    while (low < high && below + counts[low] <= total >> kTailShift) below += counts[low++];
    while (high > low && above + counts[high - 1] <= total >> kTailShift) above += counts[--high];
    const size_t most = kMaxResidualSymbols - kFirstResidual;
    while (high - low > most) counts[low] < counts[high - 1] ? below += counts[low++] : above += counts[--high];
    std::vector<uint64_t> weights = {histogram.raw, histogram.zero, histogram.far + below + above};
    weights.insert(weights.end(), counts.begin() + static_cast<ptrdiff_t>(low),
                   counts.begin() + static_cast<ptrdiff_t>(high));
    SLUICE_ASSIGN_OR_RETURN(FrequencyTable table, FrequencyTable::FromWeights(weights, kActivationPrecision));
    return std::optional<ResidualTable>({static_cast<int32_t>(low) - kReach, std::move(table)});
  }

  static size_t SymbolOf(int32_t residual, const Support& support) {
    const uint32_t offset = static_cast<uint32_t>(residual - support.first);
    if (offset < support.count) return offset + kFirstResidual;
    if (residual == kRawMark) return kRawSymbol;
    return residual == kZeroMark ? kZeroSymbol : kFarSymbol;
  }

  std::array<Support, kResidualTables> Supports() const {
    std::array<Support, kResidualTables> supports{};
    for (size_t i = 0; i < kResidualTables; ++i) {
      const auto& table = fit_.model.residual[i];
      if (table) supports[i] = {table->first, static_cast<uint32_t>(table->frequencies.size() - kFirstResidual)};
    }
    return supports;
  }

  std::vector<uint8_t> WriteRawBits() {
    const std::array<Support, kResidualTables> supports = Supports();
    BitPacker raw(std::accumulate(coded_.place_bits.begin(), coded_.place_bits.end(), size_t{0}));
    ExpectedRow expected(in_.width);
    int64_t last_distance = 0;
    for (size_t t = 0; t < in_.tokens; ++t) {
      if (fit_.reference[t] >= 0) {
        const int64_t distance = static_cast<int64_t>(t) - fit_.reference[t];
        raw.Put(distance == last_distance ? 1 : 0, 1);
        if (distance != last_distance) raw.Put(static_cast<uint64_t>(distance - 1), std::bit_width(t - 1));
        last_distance = distance;
      }
      bool expected_again = false;
      for (size_t c = 0; c < in_.width; ++c) {
        const size_t i = t * in_.width + c;
        const size_t symbol = SymbolOf(coded_.residual[i], supports[coded_.table[i]]);
        if (symbol == kFarSymbol) {
          if (!expected_again) ExpectRow(t, expected);
          expected_again = true;
          raw.Put(static_cast<uint64_t>(BucketOf(t, c, expected.k[c]) + (1 << (kFarBits - 1))), kFarBits);
        }
        raw.Put(coded_.place[i], coded_.place_bits[i]);
        coded_.symbol[i] = static_cast<uint8_t>(symbol);
      }
    }
    return std::move(raw).Take();
  }

  int32_t BucketOf(size_t t, size_t c, int k) const {
    const float value = values_.values.View().row(t)[c];
    if (fit_.model.grid()) return static_cast<int32_t>(value) >> k;
    return SplitFloat(value, fit_.model.mantissa, k).bucket;
  }

  // Row classes first, then the elements.
  Result<std::vector<uint8_t>> EncodeSymbols() {
    const int lanes = LanesFor(in_.tokens + coded_.place.size());
    SLUICE_ASSIGN_OR_RETURN(RansStack stack, RansStack::Create(lanes, kActivationPrecision));
    PrependSymbols(PackResidualTables(fit_.model), coded_.place.size(), coded_.table.data(), coded_.symbol.data(),
                   stack);
    for (size_t t = in_.tokens; t-- > 0;) stack.Push(fit_.model.row_class->At(fit_.row_class[t]));
    std::vector<uint8_t> bytes;
    stack.Finish(bytes);
    return bytes;
  }

  ChunkInput in_;
  ChunkValues values_;
  ChunkFit fit_;
  CodedElements coded_;
  std::vector<Histogram> histograms_;
};

}  // namespace

Status EncodeChunk(const ChunkInput& in, ChunkValues values, ByteWriter& writer) {
  return ChunkEncoder(in, std::move(values)).Encode(writer);
}

}  // namespace sluice
