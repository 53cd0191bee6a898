// Expectations are made for a whole row at once: the loop has no branch, so that the compiler turns it into vector
// instructions, and nothing but additions, multiplications, comparisons and conversions of floats, which give the same
// on every machine. The rest is bytes: a model is read field by field, each checked, before anything is allocated by
// it.
#include "codec/chunk_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/half.h"
#include "base/vector_clones.h"

namespace sluice {
namespace {

constexpr int kSpreadInBucketsLog2 = 2;  // a bucket is a quarter to a fifth of the spread wide where floats allow it
constexpr int kLowestRatioLog2 = -3;
constexpr size_t kTotal = size_t{1} << kActivationPrecision;

void WriteFrequencies(const FrequencyTable& table, ByteWriter& writer) {
  for (const uint32_t frequency : table.Frequencies()) writer.PutVarint(frequency);
}

Result<FrequencyTable> ReadFrequencies(ByteReader& reader, size_t count) {
  std::vector<uint32_t> frequencies(count);
  for (uint32_t& frequency : frequencies) {
    SLUICE_ASSIGN_OR_RETURN(const uint64_t read, reader.GetVarint());
    if (read >= kTotal) return Corrupt(fmt::format("a frequency of {}", read));
    frequency = static_cast<uint32_t>(read);
  }
  return FrequencyTable::FromFrequencies(frequencies, kActivationPrecision);
}

void WriteResidualTable(const std::optional<ResidualTable>& table, ByteWriter& writer) {
  writer.PutVarint(table ? table->frequencies.size() : 0);
  if (!table) return;
  writer.PutVarint(ZigZag(table->first));
  WriteFrequencies(table->frequencies, writer);
}

Result<std::optional<ResidualTable>> ReadResidualTable(ByteReader& reader) {
  SLUICE_ASSIGN_OR_RETURN(const uint64_t count, reader.GetVarint());
  if (count == 0) return std::optional<ResidualTable>();
  if (count < kFirstResidual || count > kMaxResidualSymbols)
    return Corrupt(fmt::format("a table of {} symbols", count));
  SLUICE_ASSIGN_OR_RETURN(const uint64_t zigzag, reader.GetVarint());
  if (zigzag > 2 * kTotal) return Corrupt(fmt::format("a table that begins at {}", UnZigZag(zigzag)));
  SLUICE_ASSIGN_OR_RETURN(FrequencyTable frequencies, ReadFrequencies(reader, count));
  return std::optional<ResidualTable>({static_cast<int32_t>(UnZigZag(zigzag)), std::move(frequencies)});
}

Status ReadChannels(ByteReader& reader, size_t width, ChunkModel& model) {
  SLUICE_ASSIGN_OR_RETURN(const auto centers, reader.GetBytes(2 * width));
  SLUICE_ASSIGN_OR_RETURN(const auto spreads, reader.GetBytes(2 * width));
  model.center.resize(width);
  model.spread.resize(width);
  for (size_t c = 0; c < width; ++c) {
    model.center[c] = Bfloat16ToFloat(LoadLe<uint16_t>(centers.data() + 2 * c));
    model.spread[c] = LoadLe<int16_t>(spreads.data() + 2 * c);
    if (!std::isfinite(model.center[c])) return Corrupt(fmt::format("channel {}: a center of {}", c, model.center[c]));
    if (model.spread[c] < -kSpreadLimit || model.spread[c] > kSpreadLimit) {
      return Corrupt(fmt::format("channel {}: a spread of 2^({} / 4)", c, model.spread[c]));
    }
  }
  return OkStatus();
}

Status ReadClasses(ByteReader& reader, ChunkModel& model) {
  SLUICE_ASSIGN_OR_RETURN(const uint8_t count, reader.Get<uint8_t>());
  if (count < 2 || count > kMaxRowClasses) return Corrupt(fmt::format("{} row classes", count));
  for (size_t i = 0; i < count; ++i) {
    RowClass row_class;
    SLUICE_ASSIGN_OR_RETURN(row_class.weight, reader.Get<uint8_t>());
    SLUICE_ASSIGN_OR_RETURN(row_class.spread, reader.Get<int8_t>());
    if (row_class.weight < 1 || row_class.weight > 64) {
      return Corrupt(fmt::format("row class {}: a weight of {}/64", i, row_class.weight));
    }
    model.classes.push_back(row_class);
  }
  SLUICE_ASSIGN_OR_RETURN(model.row_class, ReadFrequencies(reader, count));
  return OkStatus();
}

Status ReadLattice(ByteReader& reader, ChunkModel& model) {
  SLUICE_ASSIGN_OR_RETURN(model.step, reader.Get<double>());
  SLUICE_ASSIGN_OR_RETURN(const uint8_t mantissa, reader.Get<uint8_t>());
  SLUICE_ASSIGN_OR_RETURN(const uint8_t signed_zeros, reader.Get<uint8_t>());
  if (!std::isfinite(model.step) || model.step < 0) return Corrupt(fmt::format("a step of {}", model.step));
  if (mantissa > (model.grid() ? 0 : kMantissaBits)) return Corrupt(fmt::format("a mantissa of {} bits", mantissa));
  if (signed_zeros > (model.grid() ? 0 : 1)) return Corrupt(fmt::format("a sign of zero of {}", signed_zeros));
  model.mantissa = mantissa;
  model.signed_zeros = signed_zeros != 0;
  return OkStatus();
}

struct ExpectationLimits {
  int natural_offset;  // from the exponent bits of x to its place unit
  int lowest;          // of k
  int highest;
};

SLUICE_VECTOR_CLONES
void ExpectValues(std::span<const float> reference, const float* __restrict middle,
                  const int16_t* __restrict channel_spread, float weight, int class_spread, ExpectationLimits limits,
                  ExpectedRow& expected) {
  constexpr float kLimit = kBucketLimit;
  const float* p = reference.data();
  int32_t* __restrict out_k = expected.k.data();
  int32_t* __restrict out_bucket = expected.bucket.data();
  uint16_t* __restrict out_table = expected.table.data();
  for (size_t c = 0; c < reference.size(); ++c) {
    const float x = middle[c] + weight * (p[c] - middle[c]);
    const int level = channel_spread[c] + class_spread;
    const int natural = static_cast<int>((std::bit_cast<uint32_t>(x) >> kMantissaBits) & 0xFF) + limits.natural_offset;
    const int wanted = std::max((level >> 2) - kSpreadInBucketsLog2, natural);
    const int k = std::min(std::max(wanted, limits.lowest), limits.highest);
    const float scaled = x * PowerOfTwo(-k);
    const float limited = scaled < -kLimit ? -kLimit : (scaled > kLimit ? kLimit : scaled);
    const int32_t toward_zero = static_cast<int32_t>(limited);
    const int32_t bucket = toward_zero - (static_cast<float>(toward_zero) > limited ? 1 : 0);
    const int32_t phase = std::min(static_cast<int32_t>((limited - static_cast<float>(bucket)) * kPhases), kPhases - 1);
    const int ratio = std::min(std::max(level - 4 * k - 4 * kLowestRatioLog2, 0), kRatioCount - 1);
    const int phased = ratio * kPhases + phase;
    out_k[c] = k;
    out_bucket[c] = bucket;
    out_table[c] = static_cast<uint16_t>(ratio < kPhasedRatios ? phased : ratio + kPhasedRatios * (kPhases - 1));
  }
}

}  // namespace

void ChunkModel::Expect(size_t row_class_index, std::span<const float> reference, ExpectedRow& expected) const {
  const float weight = static_cast<float>(classes[row_class_index].weight) / 64;
  const ExpectationLimits limits = grid() ? ExpectationLimits{-1000, 0, kMaxGridBits}
                                          : ExpectationLimits{-127 - mantissa, -kExponentLimit, kExponentLimit};
  ExpectValues(reference, center.data(), spread.data(), weight, classes[row_class_index].spread, limits, expected);
}

void ChunkModel::Write(ByteWriter& writer) const {
  writer.Put<double>(step);
  writer.Put<uint8_t>(static_cast<uint8_t>(mantissa));
  writer.Put<uint8_t>(signed_zeros ? 1 : 0);
  for (const float value : center) writer.Put<uint16_t>(FloatToBfloat16(value));
  for (const int16_t value : spread) writer.Put<int16_t>(value);
  writer.Put<uint8_t>(static_cast<uint8_t>(classes.size()));
  for (const RowClass& row : classes) {
    writer.Put<uint8_t>(row.weight);
    writer.Put<int8_t>(row.spread);
  }
  WriteFrequencies(*row_class, writer);
  for (const auto& table : residual) WriteResidualTable(table, writer);
}

Result<ChunkModel> ChunkModel::Read(ByteReader& reader, size_t width) {
  ChunkModel model;
  SLUICE_RETURN_IF_ERROR(ReadLattice(reader, model));
  SLUICE_RETURN_IF_ERROR(ReadChannels(reader, width, model));
  SLUICE_RETURN_IF_ERROR(ReadClasses(reader, model));
  for (auto& table : model.residual) {
    SLUICE_ASSIGN_OR_RETURN(table, ReadResidualTable(reader));
  }
  return model;
}

}  // namespace sluice
