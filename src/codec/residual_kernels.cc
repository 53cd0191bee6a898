// The kernels take whole rounds of lanes; elements of the stem and those that are left of a round go one by one.
#include "codec/residual_kernels.h"

#include <algorithm>
#include <array>
#include <vector>

namespace sluice {
namespace {

constexpr size_t kBlock = 4096;

void PrependOne(const RansKernelTables& tables, uint16_t row, uint8_t symbol, RansStack& stack) {
  stack.Push(EncoderEntryInterval(tables.entries[row * kKernelRowStride + symbol]));
}

void TakeOne(const RansKernelTables& tables, uint16_t row, RansDecoder& decoder, uint8_t* symbol) {
  *symbol = tables.owners[(size_t{row} << tables.precision) + decoder.Peek()];
  const uint16_t* const start = tables.starts.data() + row * kKernelRowStride + *symbol;
  decoder.Advance({start[0], uint32_t{start[1]} - start[0]});
}

void PackTable(const FrequencyTable& table, size_t row, RansKernelTables& packed) {
  uint64_t* const entries = packed.entries.data() + row * kKernelRowStride;
  uint16_t* const starts = packed.starts.data() + row * kKernelRowStride;
  uint8_t* const owners = packed.owners.data() + (row << packed.precision);
  for (size_t symbol = 0; symbol < table.size(); ++symbol) {
    const Interval interval = table.At(symbol);
    entries[symbol] = PackEncoderEntry(interval, false);
    starts[symbol] = static_cast<uint16_t>(interval.start);
    starts[symbol + 1] = static_cast<uint16_t>(interval.start + interval.freq);
    std::fill_n(owners + interval.start, interval.freq, static_cast<uint8_t>(symbol));
  }
}

}  // namespace

RansKernelTables PackResidualTables(const ChunkModel& model) {
  RansKernelTables packed;
  packed.precision = kActivationPrecision;
  packed.entries.resize(kResidualTables * kKernelRowStride);
  packed.starts.resize(kResidualTables * kKernelRowStride + kKernelSlack);
  packed.owners.resize(kResidualTables << kActivationPrecision);
  for (size_t row = 0; row < kResidualTables; ++row) {
    if (model.residual[row]) PackTable(model.residual[row]->frequencies, row, packed);
  }
  return packed;
}

void PrependSymbols(const RansKernelTables& tables, size_t count, const uint16_t* rows, const uint8_t* symbols,
                    RansStack& stack) {
  const auto lanes = static_cast<size_t>(stack.lanes());
  size_t end = count;
  while (end > 0 && stack.laned() == 0) {
    --end;
    PrependOne(tables, rows[end], symbols[end], stack);
  }
  std::array<uint16_t, kBlock + kKernelSlack> words;
  std::array<uint8_t, kBlock / 4 + kKernelSlack> marks;
  while (end >= lanes) {
    const size_t size = std::min(end, kBlock) / lanes * lanes;
    end -= size;
    const size_t written = BestRansKernels().encode({tables, rows + end, symbols + end, size, stack.lanes(),
                                                     stack.AlignedStates().data(), words.data(), marks.data()});
    stack.AddLaned(size);
    stack.words().insert(stack.words().end(), words.begin(), words.begin() + static_cast<ptrdiff_t>(written));
  }
  while (end > 0) {
    --end;
    PrependOne(tables, rows[end], symbols[end], stack);
  }
}

void TakeSymbols(const RansKernelTables& tables, size_t count, const uint16_t* rows, RansDecoder& decoder,
                 uint8_t* symbols) {
  const RansDecoder::Cursor cursor = decoder.Aligned();
  const auto lanes = static_cast<uint64_t>(decoder.lanes());
  const uint64_t rounds = std::min<uint64_t>(count, cursor.laned) / lanes;
  size_t done = 0;
  if (rounds > 0) {
    const RansDecodeProgress progress =
        BestRansKernels().decode({tables, rows, static_cast<size_t>(rounds * lanes), decoder.lanes(), cursor.states,
                                  cursor.words, cursor.word_count, symbols});
    decoder.Skip(progress.elements, progress.words);
    done = progress.elements;
  }
  for (; done < count; ++done) TakeOne(tables, rows[done], decoder, symbols + done);
}

}  // namespace sluice
