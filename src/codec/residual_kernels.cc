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
  *symbol = tables.SymbolAt(row, decoder.Peek());
  decoder.Advance(tables.IntervalOf(row, *symbol));
}

}  // namespace

RansKernelTables PackResidualTables(const ChunkModel& model) {
  RansKernelTables packed;
  packed.precision = kActivationPrecision;
  packed.Resize(kResidualTables);
  for (size_t row = 0; row < kResidualTables; ++row) {
    if (!model.residual[row]) continue;
    const FrequencyTable& table = model.residual[row]->frequencies;
    for (size_t s = 0; s < table.size(); ++s) packed.Add(row, static_cast<uint8_t>(s), table.At(s), false);
    packed.FinishRow(row);
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
