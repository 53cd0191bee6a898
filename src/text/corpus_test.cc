#include "text/corpus.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "text/word_piece.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using Windows = std::vector<TokenWindow>;

class CorpusTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) /
              ("sluice_corpus_" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
    ASSERT_TRUE(MakeFolder(folder_).ok());
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path Write(const char* name, const std::string& content) {
    EXPECT_TRUE(WriteFileAtomic(folder_ / name, content).ok());
    return folder_ / name;
  }
  StatusCode ReadCode(const std::string& content, const CorpusOptions& options = {}) {
    const std::vector<fs::path> files = {Write("text.txt", content)};
    return ReadText(files, options).status().code();
  }

  fs::path folder_;
};

TEST_F(CorpusTest, MatchesPreparedText) {
  const std::string text = "One.\n<|endoftext|>\nTwo.\n\nThree <|endoftext|>\n\n\n<|endoftext|>";
  EXPECT_EQ(PrepareText(text, {}), "One.\nTwo.\n\nThree <|endoftext|>\n\n\n");
  EXPECT_EQ(PrepareText(text, {.split_documents = false, .drop_blank_lines = false}), text);
  EXPECT_EQ(PrepareText(text, {.split_documents = true, .drop_blank_lines = true}),
            "One.\nTwo.\nThree <|endoftext|>\n");
}

TEST_F(CorpusTest, MatchesFilesInOrder) {
  const std::vector<fs::path> files = {Write("a.txt", "first"), Write("b.txt", "second\n"), Write("c.txt", "third")};
  EXPECT_EQ(*ReadText(files), "first\nsecond\nthird");
}

TEST_F(CorpusTest, RejectsBadFiles) {
  EXPECT_EQ(ReadText({}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadCode(""), StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadCode(" \n\t\n"), StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadCode("<|endoftext|>\n"), StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadCode("twelve bytes", {.max_bytes = 11}), StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadCode("twelve bytes", {.max_bytes = 12}), StatusCode::kOk);
  const std::vector<fs::path> absent = {folder_ / "absent.txt"};
  EXPECT_EQ(ReadText(absent).status().code(), StatusCode::kIo);
  const std::vector<fs::path> invalid = {Write("bad.txt", "good\xFE")};
  const Status status = ReadText(invalid).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("bad.txt"), std::string::npos);
  EXPECT_NE(status.message().find("offset 4"), std::string::npos);
}

TEST_F(CorpusTest, MatchesWindows) {
  const std::vector<int32_t> ids = {10, 11, 12, 13, 14};
  EXPECT_EQ(*CutWindows(ids, 1, 3), (Windows{{1, 10, 11}, {1, 12, 13}, {1, 14}}));
  EXPECT_EQ(*CutWindows(ids, 1, 3, true), (Windows{{1, 10, 11}, {1, 12, 13}}));
  EXPECT_EQ(*CutWindows(ids, std::nullopt, 5, true), (Windows{{10, 11, 12, 13, 14}}));
  EXPECT_EQ(*CutWindows(ids, std::nullopt, 4), (Windows{{10, 11, 12, 13}, {14}}));
  EXPECT_EQ(CutWindows(ids, 1, 1).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(CutWindows({}, 1, 8).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(CutWindows(ids, 1, 8, true).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(CorpusTest, MatchesWindowsOfFiles) {
  const auto tokenizer = ParseWordPieceVocab("[UNK]\n[CLS]\none\ntwo\n", {});
  ASSERT_TRUE(tokenizer.ok());
  const std::vector<fs::path> files = {Write("a.txt", "one two\n"), Write("b.txt", "Two three\n")};
  EXPECT_EQ(*LoadWindows(**tokenizer, files, 4), (Windows{{1, 2, 3, 3}, {1, 0}}));
}

}  // namespace
}  // namespace sluice
