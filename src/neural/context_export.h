#ifndef SLUICE_NEURAL_CONTEXT_EXPORT_H_
#define SLUICE_NEURAL_CONTEXT_EXPORT_H_

#include <cstdint>
#include <vector>

#include "neural/context_coder.h"

namespace sluice {

/// The pack of a trained context codec, codec "context" of docs/format.md: the same integers, and the transform with
/// its inverse. Errors: as ContextNetwork::Check; InvalidArgument for a precision above 14 bits, which no kernel reads,
/// or a transform without an inverse.
Result<std::vector<uint8_t>> PackContext(const StoredContext& stored);

}  // namespace sluice

#endif  // SLUICE_NEURAL_CONTEXT_EXPORT_H_
