// The checks read the working tree rather than git's index: they run in an unpacked release as well, and see a file
// before it is added.
#include "house_files.h"

#include <algorithm>
#include <cstdio>
#include <set>
#include <string_view>
#include <system_error>

#include "base/file.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxFileBytes = uint64_t{4} << 20;

bool IsLeftOut(const fs::path& folder) {
  const std::string name = folder.filename().string();
  return (name.starts_with('.') && name != ".ci") || name.starts_with("build") || name == "out" ||
         name == "node_modules";
}

bool IsText(const fs::path& path) {
  static const std::set<std::string> kExtensions = {".h",  ".cc", ".in",  ".txt",  ".cmake", ".md",
                                                    ".sh", ".js", ".css", ".json", ".proto"};
  const std::string name = path.filename().string();
  return name == "Makefile" || name == "run" || kExtensions.contains(path.extension().string());
}

// Data that a program made or a person wrote for a program is no source: models, goldens, corpora, results.
bool IsData(const std::string& path) {
  const bool document = path.ends_with(".md");
  for (const std::string_view folder : {"models/", "results/", "tests/golden/", "fuzz/corpus/", "bench/results/"}) {
    if (path.starts_with(folder) && !document) return true;
  }
  return false;
}

}  // namespace

std::string Finding::ToString() const {
  return path + (line > 0 ? ":" + std::to_string(line) : "") + ": " + (warning ? "warning: " : "") + message;
}

Result<std::vector<HouseFile>> ReadHouse(const fs::path& root) {
  std::vector<HouseFile> files;
  std::error_code error;
  for (fs::recursive_directory_iterator at(root, error), end; !error && at != end; at.increment(error)) {
    if (at->is_directory(error)) {
      if (IsLeftOut(at->path())) at.disable_recursion_pending();
      continue;
    }
    const std::string path = at->path().lexically_relative(root).generic_string();
    if (!at->is_regular_file(error) || !IsText(at->path()) || IsData(path)) continue;
    SLUICE_ASSIGN_OR_RETURN(std::string text, ReadFile(at->path(), kMaxFileBytes));
    files.push_back({path, std::move(text)});
  }
  if (error) return IoError(root.string() + ": " + error.message());
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return files;
}

int Report(const char* check, const std::vector<Finding>& findings, size_t files) {
  size_t errors = 0;
  for (const Finding& finding : findings) {
    std::fprintf(stderr, "%s\n", finding.ToString().c_str());
    errors += finding.warning ? 0 : 1;
  }
  std::fprintf(stderr, "%s: %zu files, %zu errors, %zu warnings\n", check, files, errors, findings.size() - errors);
  return errors > 0 ? 1 : 0;
}

}  // namespace sluice
