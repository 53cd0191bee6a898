#ifndef SLUICE_CLI_TORCH_LIBRARY_H_
#define SLUICE_CLI_TORCH_LIBRARY_H_

#include <string>

#include "base/status.h"

namespace sluice {

/// Signature of the one function that the torch island exports: runs a verb, returns its exit code.
using TorchVerbFunction = int (*)(int argc, char** argv);
inline constexpr const char* kTorchVerbSymbol = "SluiceRunTorchVerb";

/// Loads libsluice_torch.so from beside the program (../lib, then the installed library folder).
/// Errors: Unsupported with where it was looked for and what to do, when this build or machine has no torch island.
Result<TorchVerbFunction> LoadTorchVerbs();

}  // namespace sluice

#endif  // SLUICE_CLI_TORCH_LIBRARY_H_
