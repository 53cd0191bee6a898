// The head of an archive's chunk: what the decoder needs to expect every element as the encoder did. Read validates
// each field against the ranges that the arithmetic of Expect and of the lattice needs.
#include "codec/chunk_model.h"

#include <fmt/format.h>

#include "base/half.h"

namespace sluice {
namespace {

constexpr int kLowestExponent = -160;
constexpr int kHighestExponent = 160;
constexpr uint64_t kMaxTableSymbols = uint64_t{1} << kActivationPrecision;

void WriteTable(const std::optional<StaticTable>& table, ByteWriter& writer) {
  if (!table) {
    writer.PutVarint(0);
    return;
  }
  const std::vector<uint32_t> frequencies = table->Frequencies();
  writer.PutVarint(frequencies.size());
  writer.PutVarint(ZigZag(table->first()));
  for (const uint32_t frequency : frequencies) writer.PutVarint(frequency);
}

Result<std::optional<StaticTable>> ReadTable(ByteReader& reader) {
  SLUICE_ASSIGN_OR_RETURN(const uint64_t size, reader.GetVarint());
  if (size == 0) return std::optional<StaticTable>();
  if (size > kMaxTableSymbols) return Corrupt(fmt::format("a table of {} symbols", size));
  SLUICE_ASSIGN_OR_RETURN(const uint64_t first, reader.GetVarint());
  if (UnZigZag(first) != static_cast<int32_t>(UnZigZag(first))) return Corrupt("a table that begins beyond 32 bits");
  std::vector<uint32_t> frequencies(size);
  for (uint32_t& frequency : frequencies) {
    SLUICE_ASSIGN_OR_RETURN(const uint64_t value, reader.GetVarint());
    if (value > kMaxTableSymbols) return Corrupt(fmt::format("a frequency of {}", value));
    frequency = static_cast<uint32_t>(value);
  }
  SLUICE_ASSIGN_OR_RETURN(StaticTable table, StaticTable::FromFrequencies(static_cast<int32_t>(UnZigZag(first)),
                                                                          frequencies, false, kActivationPrecision));
  return std::optional<StaticTable>(std::move(table));
}

Status ReadChannels(ByteReader& reader, size_t width, ChunkModel& model) {
  // 4 bytes a channel: refused before anything is allocated when they are not there.
  if (reader.remaining() / 4 < width) {
    return Truncated(
        fmt::format("byte {}: {} channels expected, {} bytes left", reader.offset(), width, reader.remaining()));
  }
  model.center.resize(width);
  model.spread.resize(width);
  for (float& center : model.center) {
    SLUICE_ASSIGN_OR_RETURN(const uint16_t bits, reader.Get<uint16_t>());
    center = Bfloat16ToFloat(bits);
    if (!std::isfinite(center)) return Corrupt(fmt::format("byte {}: a center of {}", reader.offset(), center));
  }
  for (int16_t& spread : model.spread) {
    SLUICE_ASSIGN_OR_RETURN(spread, reader.Get<int16_t>());
    if (std::abs(spread) > kSpreadLimit)
      return Corrupt(fmt::format("byte {}: a spread of {}", reader.offset(), spread));
  }
  return OkStatus();
}

Status ReadClasses(ByteReader& reader, ChunkModel& model) {
  SLUICE_ASSIGN_OR_RETURN(const uint8_t count, reader.Get<uint8_t>());
  if (count == 0 || count > kMaxRowClasses) return Corrupt(fmt::format("{} row classes", count));
  model.classes.resize(count);
  for (RowClass& row_class : model.classes) {
    SLUICE_ASSIGN_OR_RETURN(row_class.weight, reader.Get<uint8_t>());
    SLUICE_ASSIGN_OR_RETURN(row_class.spread, reader.Get<int8_t>());
    if (row_class.weight > 64) return Corrupt(fmt::format("a reference weight of {}/64", row_class.weight));
  }
  return OkStatus();
}

}  // namespace

void ChunkModel::Write(ByteWriter& writer) const {
  writer.Put<double>(step);
  writer.Put<uint8_t>(static_cast<uint8_t>(lattice.mantissa));
  writer.Put<int16_t>(static_cast<int16_t>(lattice.lowest));
  writer.Put<uint8_t>(signed_zeros ? 1 : 0);
  for (const float value : center) writer.Put<uint16_t>(FloatToBfloat16(value));
  for (const int16_t value : spread) writer.Put<int16_t>(value);
  writer.Put<uint8_t>(static_cast<uint8_t>(classes.size()));
  for (const RowClass& row : classes) {
    writer.Put<uint8_t>(row.weight);
    writer.Put<int8_t>(row.spread);
  }
  WriteTable(row_class, writer);
  WriteTable(depth, writer);
  for (const auto& table : residual) WriteTable(table, writer);
}

Result<ChunkModel> ChunkModel::Read(ByteReader& reader, size_t width) {
  ChunkModel model;
  SLUICE_ASSIGN_OR_RETURN(model.step, reader.Get<double>());
  SLUICE_ASSIGN_OR_RETURN(model.lattice.mantissa, reader.Get<uint8_t>());
  SLUICE_ASSIGN_OR_RETURN(model.lattice.lowest, reader.Get<int16_t>());
  SLUICE_ASSIGN_OR_RETURN(const uint8_t flags, reader.Get<uint8_t>());
  if (!std::isfinite(model.step) || model.step < 0) return Corrupt(fmt::format("a step of {}", model.step));
  if (model.lattice.mantissa > 52 || model.lattice.lowest < kLowestExponent ||
      model.lattice.lowest > kHighestExponent) {
    return Corrupt(fmt::format("a lattice of {} bits from 2^{}", model.lattice.mantissa, model.lattice.lowest));
  }
  if (flags > 1) return Corrupt(fmt::format("flags {:#x}", flags));
  model.signed_zeros = flags == 1;
  SLUICE_RETURN_IF_ERROR(ReadChannels(reader, width, model));
  SLUICE_RETURN_IF_ERROR(ReadClasses(reader, model));
  SLUICE_ASSIGN_OR_RETURN(model.row_class, ReadTable(reader));
  SLUICE_ASSIGN_OR_RETURN(model.depth, ReadTable(reader));
  for (auto& table : model.residual) {
    SLUICE_ASSIGN_OR_RETURN(table, ReadTable(reader));
  }
  return model;
}

}  // namespace sluice
