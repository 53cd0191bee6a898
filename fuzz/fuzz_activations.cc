// Chunks of an archive there and back. Data: type, fidelity, bound, width, then the elements. Proves: elements of any
// bits are encoded or refused as the caller's fault; lossless gives every bit back; absolute and relative bounds hold
// for every finite element, and infinities and NaN stay what they are; a payload that lost its last byte is refused.
#include <algorithm>
#include <cmath>

#include "codec/activation_coder.h"
#include "format/dtype.h"
#include "fuzz_input.h"

namespace sluice {
namespace {

constexpr size_t kMaxBytes = 1 << 12;

void CheckBound(const FidelitySpec& spec, float x, float y) {
  if (std::isnan(x)) return FUZZ_REQUIRE(std::isnan(y));
  if (std::isinf(x)) return FUZZ_REQUIRE(x == y);
  const double error = std::fabs(double{x} - double{y});
  if (spec.kind == Fidelity::kAbsolute) FUZZ_REQUIRE(error <= spec.bound);
  if (spec.kind != Fidelity::kRelative) return;
  FUZZ_REQUIRE(error <= spec.bound * std::fabs(double{x}));
  if (std::fabs(x) < 0x1p-126f) FUZZ_REQUIRE(error == 0);
}

FidelitySpec DrawFidelity(FuzzInput& input) {
  const auto kind = static_cast<Fidelity>(input.InRange(0, 3));
  const double mantissa = 1 + input.Byte() / 256.0;
  const int exponent = static_cast<int>(input.InRange(0, 60)) - 40;
  switch (kind) {
    case Fidelity::kLossless:
      return {};
    case Fidelity::kAbsolute:
      return {kind, std::ldexp(mantissa, exponent)};
    case Fidelity::kRelative:
      return {kind, std::ldexp(mantissa, std::min(exponent, -2))};
    default:
      return {kind, 0.1 + mantissa * 7};
  }
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  FuzzInput input(data, size);
  const DType dtypes[] = {DType::kF32, DType::kF16, DType::kBf16};
  const DType dtype = dtypes[input.InRange(0, 2)];
  const FidelitySpec spec = DrawFidelity(input);
  const size_t width = input.InRange(1, 40);
  const size_t row = width * DTypeSize(dtype);
  std::span<const uint8_t> bytes = input.Bytes(kMaxBytes);
  const size_t tokens = bytes.size() / row;
  if (tokens == 0) return 0;
  bytes = bytes.first(tokens * row);
  const Result<std::vector<uint8_t>> payload = EncodeActivations(bytes, dtype, tokens, width, spec);
  RequireInputFault(payload.status());
  if (!payload.ok()) return 0;
  const auto decoded = DecodeActivations(*payload, dtype, tokens, width, spec);
  FUZZ_REQUIRE(decoded.ok());
  if (spec.kind == Fidelity::kLossless) {
    FUZZ_REQUIRE(std::ranges::equal(*decoded, bytes));
  } else {
    const std::vector<uint64_t> shape = {tokens, width};
    const auto before = ToFloats({"", dtype, shape, bytes});
    const auto after = ToFloats({"", DType::kF32, shape, *decoded});
    FUZZ_REQUIRE(before.ok() && after.ok() && before->size() == after->size());
    for (size_t i = 0; i < before->size(); ++i) CheckBound(spec, (*before)[i], (*after)[i]);
  }
  const auto cut = DecodeActivations(std::span(*payload).first(payload->size() - 1), dtype, tokens, width, spec);
  RequireInputFault(cut.status());
  FUZZ_REQUIRE(!cut.ok());
  return 0;
}
