#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>

#include "base/bytes.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("sluice_file_test_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  size_t Entries() const { return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), {})); }

  fs::path folder_;
};

TEST_F(FileTest, RoundTripsBytes) {
  const fs::path path = folder_ / "a";
  ASSERT_TRUE(WriteFileAtomic(path, std::string_view("one")).ok());
  ASSERT_TRUE(WriteFileAtomic(path, std::string_view("two")).ok());
  EXPECT_EQ(*ReadFile(path), "two");
  EXPECT_EQ(Entries(), 1u);
}

TEST_F(FileTest, RoundTripsAnEmptyFile) {
  ASSERT_TRUE(WriteFileAtomic(folder_ / "empty", std::string_view()).ok());
  EXPECT_TRUE(MappedFile::Open(folder_ / "empty")->bytes().empty());
}

TEST_F(FileTest, RejectsMissingFilesAndFolders) {
  EXPECT_EQ(MappedFile::Open(folder_ / "absent").status().code(), StatusCode::kIo);
  EXPECT_EQ(ReadFile(folder_).status().code(), StatusCode::kIo);
  EXPECT_EQ(WriteFileAtomic(folder_ / "no" / "such", std::string_view("x")).code(), StatusCode::kIo);
  EXPECT_EQ(WriteFileAtomic(folder_, std::string_view("x")).code(), StatusCode::kIo);
  const std::string long_name(300, 'a');
  EXPECT_EQ(WriteFileAtomic(folder_ / long_name / "x", std::string_view("x")).code(), StatusCode::kIo);
}

TEST_F(FileTest, RejectsFilesOverTheLimit) {
  ASSERT_TRUE(WriteFileAtomic(folder_ / "a", std::string_view("12345")).ok());
  EXPECT_EQ(ReadFile(folder_ / "a", 4).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(FileTest, RejectsAFullDiskAndKeepsTheOldFile) {
  const fs::path path = folder_ / "a";
  ASSERT_TRUE(WriteFileAtomic(path, std::string_view("old")).ok());
  // A file size limit makes write() fail in the middle, as a full disk does.
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit{};
  getrlimit(RLIMIT_FSIZE, &old_limit);
  const rlimit small{1000, old_limit.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const Status status = WriteFileAtomic(path, std::string(5000, 'x'));
  setrlimit(RLIMIT_FSIZE, &old_limit);
  EXPECT_EQ(status.code(), StatusCode::kIo) << status.ToString();
  EXPECT_EQ(*ReadFile(path), "old");
  EXPECT_EQ(Entries(), 1u);
}

// A pipe stands for /dev/null, which root could replace by a file.
TEST_F(FileTest, Regresses_DevicesAreNotReplaced) {
  const fs::path pipe = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(WriteFileAtomic(pipe, std::string_view("x")).code(), StatusCode::kIo);
  EXPECT_TRUE(fs::is_fifo(pipe));
  EXPECT_EQ(Entries(), 1u);
}

TEST_F(FileTest, Regresses_LinksStayLinks) {
  const fs::path file = folder_ / "file", link = folder_ / "link";
  ASSERT_TRUE(WriteFileAtomic(file, std::string_view("old")).ok());
  fs::create_symlink("file", link);
  ASSERT_TRUE(WriteFileAtomic(link, std::string_view("new")).ok());
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(*ReadFile(file), "new");
}

TEST_F(FileTest, RoundTripsNothingWithoutCommit) {
  {
    auto file = AtomicFile::Create(folder_ / "a");
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->Write(AsBytes("x")).ok());
  }
  EXPECT_EQ(Entries(), 0u);
}

}  // namespace
}  // namespace sluice
