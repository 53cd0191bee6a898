#include "cli/torch_library.h"

#include <dlfcn.h>

#include "base/shared_part.h"

namespace sluice {

Result<TorchVerbFunction> LoadTorchVerbs() {
  const auto part = LoadSharedPart("libsluice_torch.so", RTLD_NOW | RTLD_LOCAL);
  if (!part.ok()) {
    return Unsupported(
        "this command runs a transformer and needs the torch part of sluice (build with "
        "-DSLUICE_TORCH=ON; Debian packages libtorch-dev and libopenblas0-openmp): " +
        part.status().message());
  }
  SLUICE_ASSIGN_OR_RETURN(void* run, FindSymbol(*part, kTorchVerbSymbol));
  return reinterpret_cast<TorchVerbFunction>(run);
}

}  // namespace sluice
