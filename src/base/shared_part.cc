#include "base/shared_part.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <link.h>

#include <filesystem>

namespace sluice {
namespace {

namespace fs = std::filesystem;

// The folder of the program or library that this code was linked into; empty where the system does not say.
fs::path OwnFolder() {
  Dl_info info{};
  link_map* map = nullptr;
  if (dladdr1(reinterpret_cast<const void*>(&OwnFolder), &info, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP) == 0 ||
      map == nullptr) {
    return {};
  }
  // The loader names a library by its path, and the program not at all: the name it was called by may be anybody's.
  std::error_code error;
  const bool is_program = map->l_name[0] == '\0';
  return fs::canonical(is_program ? "/proc/self/exe" : map->l_name, error).parent_path();
}

}  // namespace

Result<void*> LoadSharedPart(const std::string& file, int flags) {
  std::string tried;
  const fs::path folder = OwnFolder();
  if (folder.empty()) return Unsupported(fmt::format("{}: where this program is cannot be told", file));
  for (const char* place : {".", "../lib", "../lib/x86_64-linux-gnu", "../lib/aarch64-linux-gnu"}) {
    const fs::path path = (folder / place / file).lexically_normal();
    tried += "\n  " + path.string();
    std::error_code error;
    if (!fs::exists(path, error)) continue;
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
