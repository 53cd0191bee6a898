// The inner loops of the entropy coder for every instruction set that this CPU has. Data: precision, lanes, tables,
// states, symbols, and bytes that stand for damaged words. Proves: every kernel gives the same words, states and marks
// as plain C++, for any tables, lanes and states; every kernel decodes them to the symbols that went in; on damaged
// words all give the same symbols as far as two of them came, and none leaves its arrays.
#include <algorithm>
#include <vector>

#include "fuzz_input.h"
#include "prob/frequency_table.h"
#include "simd/rans_kernels.h"

namespace sluice {
namespace {

constexpr size_t kMaxElements = 4096;

struct Case {
  RansKernelTables tables;
  int lanes = 0;
  std::vector<size_t> symbols_of_row;
  std::vector<uint16_t> rows;    // with slack
  std::vector<uint8_t> symbols;  // with slack
  size_t count = 0;
  std::vector<uint32_t> states;
};

void AddRow(FuzzInput& input, Case& made) {
  const size_t row = made.symbols_of_row.size();
  const int precision = made.tables.precision;
  std::vector<uint64_t> weights(input.InRange(2, 255));
  for (uint64_t& weight : weights) weight = input.Byte();
  weights.back() = uint64_t{input.Byte()} << input.InRange(0, 31);
  const Result<FrequencyTable> table = FrequencyTable::FromWeights(weights, precision);
  FUZZ_REQUIRE(table.ok());
  for (size_t symbol = 0; symbol < table->size(); ++symbol) {
    made.tables.Add(row, static_cast<uint8_t>(symbol), table->At(symbol), symbol % 7 == 0);
  }
  made.tables.FinishRow(row);
  made.symbols_of_row.push_back(table->size());
}

Case Draw(FuzzInput& input) {
  Case made;
  made.tables.precision = static_cast<int>(input.InRange(kMinKernelPrecision, kMaxKernelPrecision));
  made.lanes = static_cast<int>(input.InRange(1, 64));
  const uint32_t rows = input.InRange(1, 4);
  made.tables.Resize(rows);
  for (uint32_t row = 0; row < rows; ++row) AddRow(input, made);
  for (int lane = 0; lane < made.lanes; ++lane) {
    made.states.push_back((uint32_t{1} << 15) + input.Word() % ((uint32_t{1} << 31) - (uint32_t{1} << 15)));
  }
  const size_t rounds = input.InRange(0, static_cast<uint32_t>(kMaxElements / static_cast<size_t>(made.lanes)));
  made.count = std::min<size_t>(rounds, 64) * static_cast<size_t>(made.lanes);
  for (size_t i = 0; i < made.count; ++i) {
    const uint8_t drawn = input.Byte();
    const size_t row = drawn % made.symbols_of_row.size();
    made.rows.push_back(static_cast<uint16_t>(row));
    made.symbols.push_back(static_cast<uint8_t>((drawn / 4 + i) % made.symbols_of_row[row]));
  }
  made.rows.resize(made.count + kKernelSlack);
  made.symbols.resize(made.count + kKernelSlack);
  return made;
}

struct Encoded {
  std::vector<uint32_t> states;
  std::vector<uint16_t> words;  // in the order of decoding
  std::vector<uint8_t> marks;

  friend bool operator==(const Encoded&, const Encoded&) = default;
};

Encoded Encode(const RansKernels& kernels, const Case& given) {
  Encoded out{given.states, std::vector<uint16_t>(given.count + kKernelSlack),
              std::vector<uint8_t>(given.count / 4 + kKernelSlack)};
  const RansEncodeBatch batch = {given.tables, given.rows.data(), given.symbols.data(), given.count,
                                 given.lanes,  out.states.data(), out.words.data(),     out.marks.data()};
  out.words.resize(kernels.encode(batch));
  std::ranges::reverse(out.words);
  out.marks.resize(given.count / 4);
  return out;
}

struct Decoded {
  RansDecodeProgress progress;
  std::vector<uint32_t> states;
  std::vector<uint8_t> symbols;
};

Decoded Decode(const RansKernels& kernels, const Case& given, std::span<const uint32_t> states,
               std::span<const uint16_t> words) {
  Decoded out{{}, {states.begin(), states.end()}, std::vector<uint8_t>(given.count + kKernelSlack)};
  const RansDecodeBatch batch = {given.tables, given.rows.data(), given.count,
                                 given.lanes,  out.states.data(), reinterpret_cast<const uint8_t*>(words.data()),
                                 words.size(), out.symbols.data()};
  out.progress = kernels.decode(batch);
  FUZZ_REQUIRE(out.progress.elements <= given.count && out.progress.words <= words.size());
  FUZZ_REQUIRE(out.progress.elements % static_cast<size_t>(given.lanes) == 0);
  return out;
}

void Compare(const Decoded& a, const Decoded& b) {
  const size_t both = std::min(a.progress.elements, b.progress.elements);
  FUZZ_REQUIRE(std::equal(a.symbols.begin(), a.symbols.begin() + static_cast<std::ptrdiff_t>(both), b.symbols.begin()));
  if (a.progress.elements != b.progress.elements) return;
  FUZZ_REQUIRE(a.progress.words == b.progress.words && a.states == b.states);
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  FuzzInput input(data, size);
  const Case given = Draw(input);
  std::vector<uint16_t> damaged(given.count);
  for (uint16_t& word : damaged) word = static_cast<uint16_t>(input.Byte() << 8 | input.Byte());
  const Encoded plain = Encode(PlainRansKernels(), given);
  const Decoded plain_damaged = Decode(PlainRansKernels(), given, given.states, damaged);
  for (const RansKernels& kernels : AllRansKernels()) {
    FUZZ_REQUIRE(Encode(kernels, given) == plain);
    const Decoded decoded = Decode(kernels, given, plain.states, plain.words);
    const auto end = static_cast<std::ptrdiff_t>(decoded.progress.elements);
    FUZZ_REQUIRE(std::equal(decoded.symbols.begin(), decoded.symbols.begin() + end, given.symbols.begin()));
    Compare(Decode(kernels, given, given.states, damaged), plain_damaged);
  }
  return 0;
}
