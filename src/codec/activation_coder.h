#ifndef SLUICE_CODEC_ACTIVATION_CODER_H_
#define SLUICE_CODEC_ACTIVATION_CODER_H_

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "format/dtype.h"

namespace sluice {

/// How close to the original an archive must stay.
enum class Fidelity : uint8_t {
  kLossless = 0,  ///< every bit, NaN payloads and signed zeros included
  kAbsolute = 1,  ///< |x' - x| <= bound
  kRelative = 2,  ///< |x' - x| <= bound * |x|; exact below 2^-126
  kBits = 3,      ///< the finest uniform step that needs at most `bound` bits an element, chunk by chunk
};

struct FidelitySpec {
  Fidelity kind = Fidelity::kLossless;
  double bound = 0;
};

/// Errors: InvalidArgument for a bound that is not finite and positive (relative: below 1; bits: 0.1 to 32).
Status CheckFidelity(const FidelitySpec& spec);

/// Type of what comes back: the source's when lossless, F32 otherwise.
DType DecodedType(DType source, const FidelitySpec& spec);

/// Encodes a chunk of hidden states without any model, whatever they are.
/// Data: bytes hold [tokens, width] of F32, F16 or BF16, tokens and width at least 1. Exact: see Fidelity; infinities
/// and NaN are always kept exactly. Errors: InvalidArgument for type, size or bound. Cost: about 25 bytes of memory an
/// element.
Result<std::vector<uint8_t>> EncodeActivations(std::span<const uint8_t> bytes, DType dtype, size_t tokens, size_t width,
                                               const FidelitySpec& spec);

/// Inverse: bytes of DecodedType. The caller has bounded tokens * width. Threads: any number.
/// Errors: Truncated or Corrupt for anything that EncodeActivations does not write; reads and allocates only what
/// tokens * width explains.
Result<std::vector<uint8_t>> DecodeActivations(std::span<const uint8_t> payload, DType dtype, size_t tokens,
                                               size_t width, const FidelitySpec& spec);

}  // namespace sluice

#endif  // SLUICE_CODEC_ACTIVATION_CODER_H_
