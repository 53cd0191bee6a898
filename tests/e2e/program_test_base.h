#ifndef SLUICE_TESTS_E2E_PROGRAM_TEST_BASE_H_
#define SLUICE_TESTS_E2E_PROGRAM_TEST_BASE_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>
#include <string_view>

#include "run_program.h"
#include "tiny_models.h"

namespace sluice {

/// A folder of its own for each test, and the tiny models.
class ProgramTest : public ::testing::Test {
 protected:
  ProgramTest();
  ~ProgramTest() override;

  const TinyModels& tiny() const { return TinyModels::Get(); }
  std::filesystem::path Path(std::string_view name) const { return folder_ / name; }
  /// Writes a file into the folder and gives its path.
  std::filesystem::path Write(std::string_view name, std::string_view content) const;
  /// Copies the files of a model or codec, without its run, into a new folder of this test.
  std::filesystem::path Copy(const std::filesystem::path& from, std::string_view name) const;

  /// Runs the program and expects that it refuses as Refused() says, writing, changing and leaving nothing: neither in
  /// the test's folder nor beside the models.
  void ExpectRefused(const Arguments& arguments, std::string_view code, std::string_view part = "",
                     const RunOptions& options = {}) const;

 private:
  std::filesystem::path folder_;
};

/// The bytes of a file. Throws when it cannot be read.
std::string FileBytes(const std::filesystem::path& path);
void WriteBytes(const std::filesystem::path& path, std::string_view bytes);

}  // namespace sluice

#endif  // SLUICE_TESTS_E2E_PROGRAM_TEST_BASE_H_
