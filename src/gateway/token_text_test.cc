#include "gateway/token_text.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <random>

#include "text/utf8.h"

namespace sluice {
namespace {

std::unique_ptr<Tokenizer> Shipped() {
  return std::move(*LoadTokenizer(std::filesystem::path(SLUICE_SOURCE_DIR) / "models/default"));
}

TEST(TokenTextTest, RoundTripsAnyTextInWholeCharacters) {
  const auto tokenizer = Shipped();
  for (const std::string text :
       {"Once upon a time", "a  b", "naïve – “quoted” 😀😀 漢字", " leading", "x\xEF\xBF\xBDy"}) {
    const auto before = tokenizer->Encode("ROMEO:"), ids = tokenizer->Encode(text);
    ASSERT_TRUE(ids.ok());
    auto pieces = TokenText::After(*tokenizer, *before);
    ASSERT_TRUE(pieces.ok());
    std::vector<int32_t> all = *before;
    std::string shown;
    for (const int32_t id : *ids) {
      const auto piece = pieces->Add(id);
      ASSERT_TRUE(piece.ok());
      EXPECT_TRUE(ValidateUtf8(*piece).ok()) << text;
      shown += *piece;
      all.push_back(id);
    }
    shown += *pieces->Flush();
    EXPECT_EQ("ROMEO:" + shown, *tokenizer->Decode(all));
  }
}

TEST(TokenTextTest, MatchesTheDecodedTextForAnyTokens) {
  const auto tokenizer = Shipped();
  std::mt19937 random(5);
  for (int round = 0; round < 50; ++round) {
    auto pieces = TokenText::After(*tokenizer, {});
    std::vector<int32_t> ids;
    std::string shown;
    for (int i = 0; i < 40; ++i) {
      // Many of the tokens that are single bytes, so that characters are broken in all ways.
      const auto most = static_cast<uint32_t>(i % 2 == 0 ? tokenizer->vocab_size() : 260);
      ids.push_back(static_cast<int32_t>(random() % most));
      shown += *pieces->Add(ids.back());
    }
    shown += *pieces->Flush();
    EXPECT_EQ(shown, *tokenizer->Decode(ids)) << "round " << round;
  }
}

TEST(TokenTextTest, RejectsAnIdOutsideTheVocabulary) {
  const auto tokenizer = Shipped();
  auto pieces = TokenText::After(*tokenizer, {});
  EXPECT_EQ(pieces->Add(tokenizer->vocab_size()).status().code(), StatusCode::kInvalidArgument);
}

TEST(TokenTextTest, MatchesWhatMayStillChange) {
  EXPECT_EQ(UnsettledBytes(""), 0U);
  EXPECT_EQ(UnsettledBytes("abc"), 0U);
  EXPECT_EQ(UnsettledBytes("a\xC3"), 1U);
  EXPECT_EQ(UnsettledBytes("é"), 0U);
  EXPECT_EQ(UnsettledBytes("a\xF0\x9F\x98"), 3U);
  EXPECT_EQ(UnsettledBytes("\xF0\x9F\x98\x80"), 0U);
  EXPECT_EQ(UnsettledBytes("\x80\x80\x80\x80"), 0U) << "no character begins there";
  EXPECT_EQ(UnsettledBytes("a\xEF\xBF\xBD"), 3U);
  EXPECT_EQ(UnsettledBytes("\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"), 9U);
}

/// What a scanner shows, with a bar after each piece.
std::string Scanned(std::vector<std::string> stops, const std::vector<std::string>& pieces) {
  StopScanner scanner(std::move(stops));
  std::string shown;
  for (const std::string& piece : pieces) shown += scanner.Add(piece) + "|";
  const bool stopped = scanner.stopped();
  return shown + scanner.Flush() + (stopped ? "#" : ".");
}

TEST(StopScannerTest, MatchesStopStringsWhereverTheyLie) {
  EXPECT_EQ(Scanned({}, {"ab", "c"}), "ab|c|.");
  EXPECT_EQ(Scanned({"END"}, {"abEND", "c"}), "ab||#");
  EXPECT_EQ(Scanned({"END"}, {"abE", "N", "Dcd"}), "ab|||#") << "held back until it is complete";
  EXPECT_EQ(Scanned({"END"}, {"abE", "N", "cd"}), "ab||ENcd|.");
  EXPECT_EQ(Scanned({"END"}, {"abEN"}), "ab|EN.") << "nothing follows";
  EXPECT_EQ(Scanned({"aab"}, {"a", "a", "a", "b"}), "||a||#") << "begins again inside of itself";
  EXPECT_EQ(Scanned({"xyz", "y"}, {"wx", "y"}), "w|x|#") << "the first that is complete";
  EXPECT_EQ(Scanned({"bc", "abcd"}, {"abc"}), "a|#") << "a short one inside of a longer one";
  EXPECT_EQ(Scanned({"\n\n"}, {"a\n", "b\n", "\n"}), "a|\nb||#");
}

TEST(StopScannerTest, RoundTripsAnyCutOfAText) {
  const std::string text = "ab\nabab\nabc and so on abcabd";
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    StopScanner scanner({"abcabc", "\nUser:"});
    std::string shown;
    for (size_t at = 0; at < text.size();) {
      const size_t length = 1 + random() % 5;
      shown += scanner.Add(text.substr(at, length));
      at += length;
    }
    EXPECT_EQ(shown + scanner.Flush(), text);
    EXPECT_FALSE(scanner.stopped());
  }
}

}  // namespace
}  // namespace sluice
