#ifndef SLUICE_TOOLS_HOUSE_FILES_H_
#define SLUICE_TOOLS_HOUSE_FILES_H_

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"

namespace sluice {

/// A text file of the repository; `path` is relative to the root with forward slashes.
struct HouseFile {
  std::string path;
  std::string text;
};

/// Something that breaks a rule. A warning is printed and does not fail the check.
struct Finding {
  std::string path;
  size_t line = 0;  ///< 1-based; 0 for the file as a whole.
  std::string message;
  bool warning = false;

  /// "src/base/x.h:12: message".
  std::string ToString() const;
};

/// Every C++, CMake, Markdown, JSON, shell, JavaScript and CSS file, and files named Makefile or run, under `root`,
/// sorted by path. What is built or fetched (build*, out, node_modules) and hidden folders other than .ci are left out.
/// Errors: Io.
Result<std::vector<HouseFile>> ReadHouse(const std::filesystem::path& root);

/// Prints the findings to standard error and returns the exit code: 1 when one of them is more than a warning.
int Report(const char* check, const std::vector<Finding>& findings, size_t files);

}  // namespace sluice

#endif  // SLUICE_TOOLS_HOUSE_FILES_H_
