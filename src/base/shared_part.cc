#include "base/shared_part.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <filesystem>

namespace sluice {
namespace {

namespace fs = std::filesystem;

// The folder of the program or library that this code was linked into.
fs::path OwnFolder() {
  Dl_info info{};
  std::error_code error;
  if (dladdr(reinterpret_cast<const void*>(&OwnFolder), &info) == 0 || info.dli_fname == nullptr) return {};
  const fs::path own = fs::canonical(info.dli_fname, error);
  // The program itself may be named as it was called; the system knows better.
  return error ? fs::read_symlink("/proc/self/exe", error).parent_path() : own.parent_path();
}

}  // namespace

Result<void*> LoadSharedPart(const std::string& file, int flags) {
  std::string tried;
  const fs::path folder = OwnFolder();
  for (const char* place : {".", "../lib", "../lib/x86_64-linux-gnu", "../lib/aarch64-linux-gnu"}) {
    const fs::path path = (folder / place / file).lexically_normal();
    tried += "\n  " + path.string();
    if (!fs::exists(path)) continue;
    void* part = dlopen(path.c_str(), flags);
    if (part == nullptr) return Unsupported(fmt::format("{}: {}", path.string(), dlerror()));
    return part;
  }
  return Unsupported(fmt::format("{} is not installed; looked for:{}", file, tried));
}

Result<void*> FindSymbol(void* part, const char* symbol) {
  void* address = dlsym(part, symbol);
  if (address == nullptr) return Internal(fmt::format("the shared part has no {}", symbol));
  return address;
}

}  // namespace sluice
