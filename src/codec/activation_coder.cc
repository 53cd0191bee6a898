// Hidden states without a model of the network. Each row is predicted from the earlier row most like it (row_matcher),
// as far as such rows have been worth trusting (chunk_fit). An element is then coded as the distance between the bucket
// that it lies in and the bucket that was expected, by a table chosen from the spread to be expected, and its place in
// the bucket in raw bits, because the low bits of a float are noise (value_lattice). Lossless and lossy differ only in
// the values (chunk_values). Here is what surrounds that: the modes of a payload, and the search for a step.
#include "codec/activation_coder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/bytes.h"
#include "codec/chunk_decoder.h"
#include "codec/chunk_encoder.h"
#include "codec/chunk_values.h"

namespace sluice {
namespace {

constexpr uint8_t kStored = 0;
constexpr uint8_t kModelled = 1;

Result<std::vector<uint8_t>> EncodeWithStep(const ChunkInput& in, const FidelitySpec& spec, double step) {
  ByteWriter writer;
  writer.Put<uint8_t>(kModelled);
  SLUICE_RETURN_IF_ERROR(EncodeChunk(in, MakeValues(in, spec, step), writer));
  return std::move(writer).Take();
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

std::vector<uint8_t> StoredAs(std::span<const uint8_t> bytes, DType source, DType target, size_t count) {
  if (source == target) return {bytes.begin(), bytes.end()};
  std::vector<uint8_t> out(count * DTypeSize(target));
  for (size_t i = 0; i < count; ++i) {
    StoreLe<float>(FloatOf(source, WordAt(bytes, source, i)), out.data() + 4 * i);
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
  if (!IsHiddenType(dtype)) return InvalidArgument(fmt::format("{} is not F32, F16 or BF16", DTypeName(dtype)));
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
  if (!IsHiddenType(dtype)) return InvalidArgument(fmt::format("{} is not F32, F16 or BF16", DTypeName(dtype)));
  const DType target = DecodedType(dtype, spec);
  ByteReader reader(payload);
  SLUICE_ASSIGN_OR_RETURN(const uint8_t mode, reader.Get<uint8_t>());
  if (mode == kStored) {
    SLUICE_ASSIGN_OR_RETURN(const auto bytes, reader.GetBytes(tokens * width * DTypeSize(dtype)));
    if (reader.remaining() != 0) return Corrupt(fmt::format("{} bytes are left over", reader.remaining()));
    return StoredAs(bytes, dtype, target, tokens * width);
  }
  if (mode != kModelled) return Corrupt(fmt::format("chunk mode {}, expected 0 or 1", mode));
  return DecodeChunk(reader, {tokens, width, dtype, target});
}

}  // namespace sluice
