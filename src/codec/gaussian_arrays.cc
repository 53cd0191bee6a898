// Arrays go through the coder in blocks of 1024 values. The kernels take whole rounds of lanes; what is left of a
// block, the stem of the stream and single-lane streams go element by element. The kernels code a symbol that stands
// for all escapes and tell only whether a block has any: then a second pass over the block adds the raw bits, which the
// format keeps apart from the lanes' elements for that purpose. All but few blocks are done without a branch on a
// value.
#include "codec/gaussian_arrays.h"

#include <algorithm>
#include <string>

#include "base/bytes.h"
#include "base/touch_pages.h"

namespace sluice {
namespace {

/// Marks of a kernel in eight bytes.
constexpr size_t kMarksAtOnce = 32;

/// How many elements a kernel gets at once: whole rounds of lanes and whole bytes of marks.
size_t PieceFor(int lanes) {
  const auto unit = static_cast<size_t>(4 * lanes);
  return ReadAhead::kPiece / unit * unit;
}
static_assert(ReadAhead::kPiece >= 4 * kMaxRansLanes);

/// Collects raw bits in the order of decoding and hands them to a stack in the opposite one.
class RawBits {
 public:
  void PushBits(uint32_t value, int count) { items_[size_++] = {value, count}; }
  void Push(Interval /*interval*/) {}
  void MoveTo(RansStack& stack) {
    while (size_ > 0) {
      --size_;
      stack.PushBits(items_[size_].value, items_[size_].count);
    }
  }

 private:
  struct Item {
    uint32_t value;
    int count;
  };
  std::array<Item, 36> items_;  // an escape has at most 34 pieces, the low bits are one more
  size_t size_ = 0;
};

}  // namespace

GaussianArrayEncoder::GaussianArrayEncoder(const GaussianArrayTables& tables, const RansKernels& kernels)
    : tables_(tables), kernels_(kernels), stack_(*RansStack::Create(1, tables.precision())) {}

Status GaussianArrayEncoder::Begin(int lanes, uint32_t seal) {
  if (lanes < 1 || lanes > kMaxRansLanes) {
    return InvalidArgument("gaussian arrays: lanes: expected 1 to 64, got " + std::to_string(lanes));
  }
  stack_.Reset(lanes, seal);
  return OkStatus();
}

Status GaussianArrayEncoder::Prepend(std::span<const int16_t> values, const GaussianParameters& parameters) {
  return PrependAll(values, parameters);
}

Status GaussianArrayEncoder::Prepend(std::span<const int32_t> values, const GaussianParameters& parameters) {
  return PrependAll(values, parameters);
}

template <typename T>
Status GaussianArrayEncoder::PrependAll(std::span<const T> values, const GaussianParameters& parameters) {
  SLUICE_RETURN_IF_ERROR(parameters.Check(values.size()));
  for (size_t end = values.size(); end > 0;) {
    const size_t size = std::min(end, GaussianBlock::kSize);
    end -= size;
    block_.TakeParameters(tables_.tables(), parameters, end, size);
    block_.TakeValues(values.subspan(end, size));
    const size_t next = end - std::min(end, GaussianBlock::kSize);  // backwards, which no processor foresees
    ahead_ = ReadAhead(PieceFor(stack_.lanes()));
    parameters.AddTo(ahead_, next, end);
    ahead_.Add(values.subspan(next, end - next));
    PrependBlock(values.data() + end);
  }
  return OkStatus();
}

template <typename T>
void GaussianArrayEncoder::PrependBlock(const T* values) {
  size_t end = block_.count;
  while (end > 0 && stack_.laned() == 0) {
    --end;
    PushOne(values[end], end);
  }
  const size_t begin = end % static_cast<size_t>(stack_.lanes());
  if (begin < end) RunKernel(begin, end);
  for (size_t i = end; i > begin;) {
    // Eight bytes of marks at once: escapes are rare.
    if (block_.whole && (i - begin) % kMarksAtOnce == 0 &&
        LoadLe<uint64_t>(marks_.data() + (i - begin - kMarksAtOnce) / 4) == 0) {
      i -= kMarksAtOnce;
      continue;
    }
    --i;
    if (!block_.whole || (marks_[(i - begin) / 4] >> (i - begin) % 4 & 1) != 0) PushRawBits(values[i], i);
  }
  for (end = begin; end > 0;) {
    --end;
    PushOne(values[end], end);
  }
}

void GaussianArrayEncoder::RunKernel(size_t begin, size_t end) {
  const size_t piece = PieceFor(stack_.lanes());
  for (size_t count = 0; end > begin; end -= count) {
    ahead_.Step();
    count = (end - begin - 1) % piece + 1;  // what is not a whole piece comes first
    const size_t at = end - count;
    const size_t words = kernels_.encode({tables_.kernel_tables(), block_.rows.data() + at, block_.symbols.data() + at,
                                          count, stack_.lanes(), stack_.AlignedStates().data(), words_.data(),
                                          marks_.data() + (at - begin) / 4});
    stack_.AddLaned(count);
    stack_.words().insert(stack_.words().end(), words_.begin(), words_.begin() + static_cast<ptrdiff_t>(words));
  }
}

void GaussianArrayEncoder::PushOne(int32_t value, size_t i) {
  const uint64_t entry = tables_.kernel_tables().entries[block_.rows[i] * kKernelRowStride + block_.symbols[i]];
  if (!block_.whole || EncoderEntryMarked(entry)) PushRawBits(value, i);
  stack_.Push(EncoderEntryInterval(entry));
}

void GaussianArrayEncoder::PushRawBits(int32_t value, size_t i) {
  RawBits raw;
  const StaticTable& table = tables_.TableOfRow(block_.rows[i]);
  const int low_bits = block_.whole ? 0 : block_.low_bits[i];
  const int64_t offset = int64_t{value >> low_bits} - block_.CenterOf(i);
  if (table.SymbolOf(offset) == table.count()) EncodeStatic(table, offset, raw);
  if (low_bits > 0) raw.PushBits(static_cast<uint32_t>(value) & ((1u << low_bits) - 1), low_bits);
  raw.MoveTo(stack_);
}

Result<GaussianArrayDecoder> GaussianArrayDecoder::Create(const GaussianArrayTables& tables,
                                                          std::span<const uint8_t> bytes, int lanes,
                                                          const RansKernels& kernels) {
  SLUICE_ASSIGN_OR_RETURN(RansDecoder decoder, RansDecoder::Create(bytes, lanes, tables.precision()));
  return GaussianArrayDecoder(tables, std::move(decoder), kernels);
}

Status GaussianArrayDecoder::Decode(const GaussianParameters& parameters, std::span<int16_t> values) {
  return DecodeAll(parameters, values);
}

Status GaussianArrayDecoder::Decode(const GaussianParameters& parameters, std::span<int32_t> values) {
  return DecodeAll(parameters, values);
}

template <typename T>
Status GaussianArrayDecoder::DecodeAll(const GaussianParameters& parameters, std::span<T> values) {
  SLUICE_RETURN_IF_ERROR(parameters.Check(values.size()));
  for (size_t begin = 0; begin < values.size();) {
    const size_t size = std::min(values.size() - begin, GaussianBlock::kSize);
    block_.TakeParameters(tables_.tables(), parameters, begin, size);
    const size_t next = begin + size, end = std::min(next + GaussianBlock::kSize, values.size());
    ReadAhead ahead(GaussianBlock::kSize);
    parameters.AddTo(ahead, next, end);
    ahead.Step();
    TouchPages(values.data() + next, (end - next) * sizeof(T));
    if (!DecodeBlock(values.data() + begin)) {
      return Corrupt("gaussian arrays: a value from " + std::to_string(begin) + " on does not fit in " +
                     std::to_string(8 * sizeof(T)) + " bits");
    }
    begin = next;
  }
  return OkStatus();
}

template <typename T>
bool GaussianArrayDecoder::DecodeBlock(T* values) {
  bool fits = true;
  const auto give = [&](size_t i) {
    const int32_t value = ValueOf(i);
    values[i] = static_cast<T>(value);
    fits &= value == int32_t{values[i]};
  };
  const size_t done = RunKernel();
  const bool every = !block_.GiveValues(done, values) || !block_.whole;
  for (size_t i = 0; i < done; ++i) {
    if (!every) i = block_.FindEscape(i, done);
    if (i < done) give(i);
  }
  for (size_t i = done; i < block_.count; ++i) {
    block_.symbols[i] = PopSymbol(i);
    give(i);
  }
  return fits;
}

size_t GaussianArrayDecoder::RunKernel() {
  const RansDecoder::Cursor cursor = decoder_.Aligned();
  // The last element of the lanes is left out: raw bits behind it belong to the stem.
  const auto lanes = static_cast<uint64_t>(decoder_.lanes());
  const uint64_t most = std::min<uint64_t>(block_.count, std::max<uint64_t>(cursor.laned, 1) - 1);
  const RansDecodeProgress progress =
      kernels_.decode({tables_.kernel_tables(), block_.rows.data(), static_cast<size_t>(most / lanes * lanes),
                       decoder_.lanes(), cursor.states, cursor.words, cursor.word_count, block_.symbols.data()});
  decoder_.Skip(progress.elements, progress.words);
  return progress.elements;
}

uint8_t GaussianArrayDecoder::PopSymbol(size_t i) {
  const RansKernelTables& tables = tables_.kernel_tables();
  const size_t row = block_.rows[i];
  const uint8_t symbol = tables.SymbolAt(row, decoder_.Peek());
  decoder_.Advance(tables.IntervalOf(row, symbol));
  return symbol;
}

int32_t GaussianArrayDecoder::ValueOf(size_t i) {
  int64_t value = int64_t{block_.symbols[i]} - GaussianArrayTables::kKernelCenter;
  if (block_.symbols[i] == 0) value = tables_.TableOfRow(block_.rows[i]).ValueOf(DecodeEscape(decoder_));
  value += block_.CenterOf(i);
  if (!block_.whole && block_.low_bits[i] > 0) {
    value = (value << block_.low_bits[i]) + static_cast<int64_t>(decoder_.PopBits(block_.low_bits[i]));
  }
  return SaturateToInt32(value);
}

}  // namespace sluice
