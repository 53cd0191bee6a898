#include "program_test_base.h"

#include <stdlib.h>

#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>

namespace sluice {
namespace {

namespace fs = std::filesystem;

// Every file below a folder with its content.
std::map<std::string, std::string> Snapshot(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    files[entry.path().string()] = entry.is_regular_file() ? FileBytes(entry.path()) : "folder";
  }
  return files;
}

std::string Difference(const std::map<std::string, std::string>& before,
                       const std::map<std::string, std::string>& after) {
  std::string text;
  for (const auto& [path, content] : after) {
    const auto old = before.find(path);
    if (old == before.end()) text += "new: " + path + "\n";
    if (old != before.end() && old->second != content) text += "changed: " + path + "\n";
  }
  for (const auto& [path, content] : before) {
    if (!after.contains(path)) text += "gone: " + path + "\n";
  }
  return text;
}

std::string CommandOf(const Arguments& arguments) {
  std::string line = "sluice";
  for (const std::string& argument : arguments) line += " " + argument;
  return line;
}

}  // namespace

ProgramTest::ProgramTest() {
  std::string pattern = (fs::temp_directory_path() / "sluice-e2e-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot create a folder for the test");
  folder_ = pattern;
}

ProgramTest::~ProgramTest() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

fs::path ProgramTest::Write(std::string_view name, std::string_view content) const {
  WriteBytes(Path(name), content);
  return Path(name);
}

fs::path ProgramTest::Copy(const fs::path& from, std::string_view name) const {
  fs::create_directory(Path(name));
  for (const auto& entry : fs::directory_iterator(from)) {
    if (entry.is_regular_file()) fs::copy_file(entry.path(), Path(name) / entry.path().filename());
  }
  return Path(name);
}

void ProgramTest::ExpectRefused(const Arguments& arguments, std::string_view code, std::string_view part,
                                const RunOptions& options) const {
  SCOPED_TRACE(CommandOf(arguments));
  TinyModels::Get();
  const auto here = Snapshot(folder_), models = Snapshot(tiny().folder);
  EXPECT_TRUE(Refused(Sluice(arguments, options), code, part));
  EXPECT_EQ(Difference(here, Snapshot(folder_)), "");
  EXPECT_EQ(Difference(models, Snapshot(tiny().folder)), "");
}

std::string FileBytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

void WriteBytes(const fs::path& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
}

}  // namespace sluice
