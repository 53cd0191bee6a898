// Entropy coding there and back. Data: lanes, precision, seal, weights, then operations with their operands until the
// bytes end. Proves: tables made of any weights keep their guarantees; whatever is pushed, raw bits, escapes and
// Gaussians among it, comes back the same; the two encoders give the same bytes; with another seal, a byte less or
// a byte more, the same elements never come back as whole.
#include <algorithm>
#include <numeric>
#include <variant>
#include <vector>

#include "fuzz_input.h"
#include "prob/gaussian_tables.h"
#include "prob/static_table.h"
#include "rans/rans_decoder.h"
#include "rans/rans_encoder.h"
#include "rans/rans_stack.h"
#include "rans_script.h"

namespace sluice {
namespace {

constexpr size_t kMaxOperations = 1 << 14;

/// One element as it was pushed.
struct Operation {
  enum Kind : uint8_t { kSymbol, kEscape, kGaussian, kBits } kind;
  int64_t value;
  int32_t mean;
  int parameter;  ///< scale of a Gaussian, number of raw bits
};

struct Tables {
  StaticTable table;
  const GaussianTables& gaussians;
};

Operation Draw(FuzzInput& input, const StaticTable& table) {
  const auto kind = static_cast<Operation::Kind>(input.InRange(0, 3));
  switch (kind) {
    case Operation::kSymbol:
      return {kind, table.first() + static_cast<int64_t>(input.Word() % table.count()), 0, 0};
    case Operation::kEscape:
      return {kind, static_cast<int32_t>(input.Word()), 0, 0};
    case Operation::kGaussian: {
      const int scale = static_cast<int>(input.InRange(0, kScaleCodes - 1));
      const auto mean = static_cast<int32_t>(input.Word());
      const auto value = static_cast<int32_t>(input.Word());
      return {kind, input.Byte() % 4 == 0 ? value : (mean >> 4) + value % 64, mean, scale};
    }
    default: {
      const int bits = static_cast<int>(input.InRange(0, 32));
      return {kind, static_cast<int64_t>(input.Word() & ((uint64_t{1} << bits) - 1)), 0, bits};
    }
  }
}

template <IntervalSink Sink>
void Push(const Operation& operation, const Tables& tables, Sink& sink) {
  switch (operation.kind) {
    case Operation::kSymbol:
    case Operation::kEscape:
      return EncodeStatic(tables.table, operation.value, sink);
    case Operation::kGaussian:
      return EncodeGaussian(tables.gaussians, static_cast<int32_t>(operation.value), operation.mean,
                            operation.parameter, sink);
    case Operation::kBits:
      return sink.PushBits(static_cast<uint32_t>(operation.value), operation.parameter);
  }
}

int64_t Pop(const Operation& operation, const Tables& tables, RansDecoder& decoder) {
  switch (operation.kind) {
    case Operation::kGaussian:
      return DecodeGaussian(tables.gaussians, operation.mean, operation.parameter, decoder);
    case Operation::kBits:
      return decoder.PopBits(operation.parameter);
    default:
      return DecodeStatic(tables.table, decoder);
  }
}

/// Notes what is pushed, so that a stack can be given the same from the end.
struct Recorder {
  struct Bits {
    uint32_t value;
    int count;
  };
  std::vector<std::variant<Interval, Bits>> elements;
  void Push(Interval interval) { elements.emplace_back(interval); }
  void PushBits(uint32_t value, int count) { elements.emplace_back(Bits{value, count}); }
};

std::vector<uint8_t> EncodeByStack(const Recorder& recorder, int lanes, int precision, uint32_t seal) {
  Result<RansStack> stack = RansStack::Create(lanes, precision, seal);
  FUZZ_REQUIRE(stack.ok());
  for (auto element = recorder.elements.rbegin(); element != recorder.elements.rend(); ++element) {
    if (const auto* interval = std::get_if<Interval>(&*element))
      stack->Push(*interval);
    else
      stack->PushBits(std::get<Recorder::Bits>(*element).value, std::get<Recorder::Bits>(*element).count);
  }
  std::vector<uint8_t> bytes;
  stack->Finish(bytes);
  return bytes;
}

void CheckGuarantees(const StaticTable& table) {
  const std::vector<uint32_t> frequencies = table.Frequencies();
  const uint32_t sum = std::accumulate(frequencies.begin(), frequencies.end(), 0u);
  FUZZ_REQUIRE(sum == uint32_t{1} << table.precision());
  for (const uint32_t frequency : frequencies) FUZZ_REQUIRE(frequency >= 1 && frequency < sum);
}

/// Whether the bytes decode to exactly the operations and end as they should.
bool Decodes(std::span<const uint8_t> bytes, int lanes, int precision, uint32_t seal, const Tables& tables,
             const std::vector<Operation>& operations) {
  Result<RansDecoder> decoder = RansDecoder::Create(bytes, lanes, precision);
  RequireInputFault(decoder.status());
  if (!decoder.ok()) return false;
  bool same = true;
  for (const Operation& operation : operations) same &= Pop(operation, tables, *decoder) == operation.value;
  return decoder->Finish(seal).ok() && same;
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  FuzzInput input(data, size);
  const int lanes = static_cast<int>(input.InRange(1, kMaxRansLanes));
  const int precision = static_cast<int>(input.InRange(kMinRansPrecision, kMaxRansPrecision));
  const uint32_t seal = input.Byte() % 2 == 0 ? kRansDefaultSeal : input.Word() % kRansSealLimit;
  std::vector<uint64_t> weights(input.InRange(1, 60));
  for (uint64_t& weight : weights) weight = input.Byte() % 3 == 0 ? uint64_t{input.Word()} << 31 : input.Byte();
  const auto first = static_cast<int32_t>(input.InRange(0, 100)) - 50;
  Result<StaticTable> table = StaticTable::FromWeights(first, weights, input.Byte(), precision);
  FUZZ_REQUIRE(table.ok());
  CheckGuarantees(*table);
  const Tables tables = {std::move(*table), FuzzGaussians(precision)};

  Result<RansEncoder> encoder = RansEncoder::Create(lanes, precision);
  Recorder recorder;
  std::vector<Operation> operations;
  while (!input.empty() && operations.size() < kMaxOperations) {
    operations.push_back(Draw(input, tables.table));
    Push(operations.back(), tables, *encoder);
    Push(operations.back(), tables, recorder);
  }
  const std::vector<uint8_t> bytes = encoder->Finish(seal);
  FUZZ_REQUIRE(bytes == EncodeByStack(recorder, lanes, precision, seal));

  const auto decodes = [&](std::span<const uint8_t> given, uint32_t given_seal) {
    return Decodes(given, lanes, precision, given_seal, tables, operations);
  };
  FUZZ_REQUIRE(decodes(bytes, seal));
  FUZZ_REQUIRE(!decodes(bytes, seal ^ 2));
  if (!bytes.empty()) FUZZ_REQUIRE(!decodes(std::span(bytes).first(bytes.size() - 1), seal));
  std::vector<uint8_t> longer = bytes;
  longer.push_back(0);
  FUZZ_REQUIRE(!decodes(longer, seal));
  return 0;
}
