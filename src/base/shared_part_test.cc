#include "base/shared_part.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

namespace sluice {
namespace {

TEST(SharedPartTest, RejectsAnAbsentPartNamingThePlaces) {
  const auto part = LoadSharedPart("libsluice_no_such_part.so", RTLD_NOW);
  EXPECT_EQ(part.status().code(), StatusCode::kUnsupported);
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe");
  const std::string beside = (program.parent_path() / "libsluice_no_such_part.so").string();
  EXPECT_NE(part.status().message().find(beside), std::string::npos) << part.status().ToString();
  EXPECT_NE(part.status().message().find("lib/libsluice_no_such_part.so"), std::string::npos);
}

// The test above again, in a process that was started under the name of another program.
TEST(SharedPartTest, MatchesTheProgramWhateverItIsCalled) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    execl("/proc/self/exe", "/bin/sh", "--gtest_filter=SharedPartTest.RejectsAnAbsentPartNamingThePlaces", nullptr);
    _exit(127);
  }
  int how = 0;
  ASSERT_EQ(waitpid(child, &how, 0), child);
  EXPECT_TRUE(WIFEXITED(how) && WEXITSTATUS(how) == 0) << how;
}

TEST(SharedPartTest, RejectsAnAbsentSymbol) {
  EXPECT_EQ(FindSymbol(dlopen(nullptr, RTLD_NOW), "SluiceNoSuchSymbol").status().code(), StatusCode::kInternal);
}

}  // namespace
}  // namespace sluice
