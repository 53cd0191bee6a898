#ifndef SLUICE_BASE_SHARED_PART_H_
#define SLUICE_BASE_SHARED_PART_H_

#include <string>

#include "base/status.h"

namespace sluice {

/// Loads one of our own shared libraries, looked for where the code that calls this was loaded from and in the library
/// folder beside it (build tree and installation alike), never on the system's search path. It stays loaded.
/// `flags` as dlopen takes them.
/// Errors: Unsupported naming every place that was looked at, or the linker's reason.
Result<void*> LoadSharedPart(const std::string& file, int flags);

/// Address of an exported function. Errors: Internal when the part does not have it.
Result<void*> FindSymbol(void* part, const char* symbol);

}  // namespace sluice

#endif  // SLUICE_BASE_SHARED_PART_H_
