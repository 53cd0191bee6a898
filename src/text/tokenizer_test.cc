#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "text/bpe_vocab.h"
#include "text/byte_level_bpe.h"
#include "text/llama2c_vocab.h"
#include "text/sentencepiece_model.h"
#include "text/sentencepiece_train.h"
#include "text/tokenizer_json.h"
#include "text/utf8.h"
#include "text/word_piece.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int32_t>;

/// The 256 characters of the byte-level alphabet in the order of their bytes.
std::vector<std::string> Alphabet() {
  std::vector<std::string> characters(256);
  for (uint32_t code = 0, found = 0; found < 256; ++code) {
    const std::string character =
        code < 0x80 ? std::string(1, static_cast<char>(code))
                    : std::string{static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
    const auto byte = ByteLevelBytes(character);
    if (!byte.ok()) continue;
    characters[static_cast<uint8_t>((*byte)[0])] = character;
    ++found;
  }
  return characters;
}

std::string Quote(const std::string& text) {
  return text == "\"" || text == "\\" ? "\"\\" + text + "\"" : "\"" + text + "\"";
}

/// A byte-level vocabulary: the bytes are ids 0 .. 255, `more` follows.
std::string ByteVocabulary(const std::vector<std::string>& more) {
  std::string json = "{";
  int id = 0;
  for (const std::string& character : Alphabet()) json += Quote(character) + ": " + std::to_string(id++) + ",";
  for (const std::string& token : more) json += Quote(token) + ": " + std::to_string(id++) + ",";
  json.back() = '}';
  return json;
}

std::unique_ptr<Tokenizer> SmallByteLevel() {
  auto tokenizer =
      ParseGpt2Files(ByteVocabulary({"ab", "abc", "aa", "<|endoftext|>"}), "#version: 0.2\na b\nab c\na a\n", {});
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().ToString();
  return std::move(tokenizer).value();
}

std::string RandomBytes(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

/// A llama2.c file: <unk>, BOS, EOS, the bytes, then `pieces` with falling scores.
std::string Llama2cFile(const std::vector<std::string>& pieces) {
  ByteWriter writer;
  writer.Put<int32_t>(8);
  const auto put = [&](const std::string& piece, float score) {
    writer.Put<float>(score);
    writer.Put<int32_t>(static_cast<int32_t>(piece.size()));
    writer.PutString(piece);
  };
  for (const char* piece : {"<unk>", "\n<s>\n", "\n</s>\n"}) put(piece, 0);
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof(name), "<0x%02X>", static_cast<unsigned>(byte));
    put(name, 0);
  }
  float score = 0;
  for (const std::string& piece : pieces) put(piece, score--);
  return {writer.bytes().begin(), writer.bytes().end()};
}

Result<std::unique_ptr<Tokenizer>> ParseLlama2c(const std::string& file) {
  return ParseLlama2cVocab(AsBytes(file), {});
}

fs::path Data(const char* name) {
  const char* folder = std::getenv("SLUICE_DATA");
  return (folder != nullptr ? fs::path(folder) : fs::path(SLUICE_SOURCE_DIR) / "../shared/data") / name;
}

TEST(TokenizerTest, MatchesMergesByRankFromTheLeft) {
  const auto tokenizer = SmallByteLevel();
  EXPECT_EQ(*tokenizer->Encode("abcab"), (Ids{257, 256}));
  EXPECT_EQ(*tokenizer->Encode("aaa"), (Ids{258, 'a'}));
  EXPECT_EQ(*tokenizer->Encode("aab"), (Ids{'a', 256}));
  EXPECT_EQ(*tokenizer->Encode(""), Ids{});
  EXPECT_EQ(tokenizer->bos(), 259);
  EXPECT_EQ(tokenizer->Encode("<|endoftext|>")->size(), 13u);
  EXPECT_EQ(*tokenizer->Decode(Ids{259}), "<|endoftext|>");
}

TEST(TokenizerTest, RoundTripsAnyBytesAtByteLevel) {
  const auto tokenizer = SmallByteLevel();
  std::vector<std::string> texts = {std::string(3, '\0'),   "\xFF",         "abc\xC3",
                                    "\xC3\xA9\xE2\x82 abc", "\xED\xA0\x80", "  \n\n x"};
  for (uint32_t seed = 0; seed < 50; ++seed) texts.push_back(RandomBytes(1000, seed));
  for (const std::string& text : texts) {
    const auto ids = tokenizer->Encode(text);
    ASSERT_TRUE(ids.ok()) << ids.status().ToString();
    EXPECT_EQ(*tokenizer->Decode(*ids), text);
  }
  if (!fs::exists(Data("tok-gpt2"))) GTEST_SKIP() << "no tokenizers in " << Data("");
  const auto gpt2 = LoadTokenizer(Data("tok-gpt2"));
  ASSERT_TRUE(gpt2.ok()) << gpt2.status().ToString();
  for (const std::string& text : texts) EXPECT_EQ(*(*gpt2)->Decode(*(*gpt2)->Encode(text)), text);
}

TEST(TokenizerTest, MatchesNormalizedAddedTokensOfTokenizerJson) {
  const std::string model =
      R"("model": {"type": "BPE", "vocab": )" + ByteVocabulary({"ab"}) + R"(, "merges": ["a b"]})";
  const std::string rest = R"(, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}, "normalizer": )";
  const std::string added =
      R"(, "added_tokens": [{"id": 257, "content": "  ", "special": false}, {"id": 258, "content": "<s>", "special": true}])";
  const auto tokenizer = ParseTokenizerJson("{" + model + rest + R"({"type": "NFC"})" + added + "}", {});
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().ToString();
  EXPECT_EQ(*(*tokenizer)->Encode("ab   ab"), (Ids{256, 257, ' ', 256}));
  EXPECT_EQ((*tokenizer)->Encode("<s>")->size(), 3u);
  EXPECT_EQ(*(*tokenizer)->Encode("e\xCC\x81"), *(*tokenizer)->Encode("\xC3\xA9"));
  const auto refused = ParseTokenizerJson("{" + model + rest + R"({"type": "Lowercase"}})", {});
  EXPECT_EQ(refused.status().code(), StatusCode::kUnsupported) << refused.status().ToString();
}

TEST(TokenizerTest, MatchesLlama2cRule) {
  const auto tokenizer = ParseLlama2c(Llama2cFile({"ab", "bc", " a", "a", "b", "c", " "}));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().ToString();
  EXPECT_EQ(*(*tokenizer)->Encode("abc"), (Ids{265, 259, 264}));  // space, ab, c: "ab" has the best score
  EXPECT_EQ(*(*tokenizer)->Encode("a\xC3\xA9"), (Ids{261, 3 + 0xC3, 3 + 0xA9}));
  EXPECT_EQ(*(*tokenizer)->Decode(Ids{1, 261, 3 + 0xC3, 3 + 0xA9, 2}), "a\xC3\xA9");
  EXPECT_EQ(*(*tokenizer)->Decode(*(*tokenizer)->Encode("  a bc\n")), "  a bc\n");
  EXPECT_EQ((*tokenizer)->bos(), 1);
}

TEST(TokenizerTest, CostsNoQuadraticTimeOnOneLongWord) {
  const auto tokenizer = ParseLlama2c(Llama2cFile({"ab", "ba", "abab", "a", "b", " "}));
  ASSERT_TRUE(tokenizer.ok());
  std::string text;
  for (int i = 0; i < 200000; ++i) text += "ab";
  EXPECT_EQ((*tokenizer)->Encode(text)->size(), 100001u);
  EXPECT_EQ(SmallByteLevel()->Encode(std::string(400000, 'a'))->size(), 200000u);
}

TEST(TokenizerTest, RejectsIdsOutOfVocabulary) {
  const auto tokenizer = SmallByteLevel();
  for (const int32_t id : {-1, 260, INT32_MIN, INT32_MAX}) {
    const auto text = tokenizer->Decode(Ids{1, id});
    EXPECT_EQ(text.status().code(), StatusCode::kInvalidArgument);
    EXPECT_NE(text.status().message().find("token 1 has id " + std::to_string(id)), std::string::npos);
  }
}

TEST(TokenizerTest, RejectsInvalidUtf8WithItsOffset) {
  const auto tokenizer = ParseLlama2c(Llama2cFile({"a"}));
  ASSERT_TRUE(tokenizer.ok());
  const auto ids = (*tokenizer)->Encode("abcd\x80");
  EXPECT_EQ(ids.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(ids.status().message().find("offset 4"), std::string::npos) << ids.status().message();
  for (const char* bad :
       {"\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF0\x80\x80\x80", "\xE2\x82", "\xFF"}) {
    EXPECT_EQ(ValidUtf8Prefix(std::string("12345678") + bad), 8u);
  }
  EXPECT_TRUE(ValidateUtf8("\xF4\x8F\xBF\xBF\xED\x9F\xBF\xC2\x80").ok());
}

TEST(TokenizerTest, RejectsStoppedEncoding) {
  const auto tokenizer = SmallByteLevel();
  std::string text;
  for (int i = 0; i < 400000; ++i) text += "abc ";
  const auto ids = tokenizer->Encode(text, [](uint64_t) { return Interrupted("stop"); });
  EXPECT_EQ(ids.status().code(), StatusCode::kInterrupted);
}

TEST(TokenizerTest, RejectsDamagedGpt2Files) {
  const std::string vocab = ByteVocabulary({"ab"});
  const auto code = [](const std::string& vocabulary, const std::string& merges) {
    return ParseGpt2Files(vocabulary, merges, {}).status().code();
  };
  ASSERT_EQ(code(vocab, "a b\n"), StatusCode::kOk);
  EXPECT_EQ(code(vocab.substr(0, vocab.size() / 2), ""), StatusCode::kTruncated);
  EXPECT_EQ(code("[1, 2]", ""), StatusCode::kCorrupt);
  EXPECT_EQ(code("{}", ""), StatusCode::kCorrupt);
  EXPECT_EQ(code(R"({"a": -1})", ""), StatusCode::kCorrupt);
  EXPECT_EQ(code(R"({"a": 0, "b": 0})", ""), StatusCode::kCorrupt);
  EXPECT_EQ(code(R"({"a": 0, "b": 4000000000})", ""), StatusCode::kCorrupt);
  EXPECT_EQ(code(R"({"a": 18446744073709551615})", ""), StatusCode::kCorrupt);
  EXPECT_EQ(code(R"({"a": 1.5})", ""), StatusCode::kCorrupt);
  EXPECT_EQ(code(R"({"a": 0})", ""), StatusCode::kCorrupt);  // no tokens for the other bytes
  EXPECT_EQ(code(vocab, "a c\n"), StatusCode::kCorrupt);     // "ac" is no token
  EXPECT_EQ(code(vocab, "a zz\n"), StatusCode::kCorrupt);
  EXPECT_EQ(code(vocab, "a b\na b\n"), StatusCode::kCorrupt);
  EXPECT_EQ(code(vocab, "ab\n"), StatusCode::kCorrupt);
}

TEST(TokenizerTest, RegressesNestedJsonThatExhaustsTheStack) {
  const size_t depth = 1'000'000;
  const std::string deep = std::string(depth, '[') + std::string(depth, ']');
  const std::string head = R"({"model": {"type": "BPE"}, "pre_tokenizer": )";
  EXPECT_EQ(ParseTokenizerJson(head + deep + "}", {}).status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(ParseTokenizerJson(head + deep.substr(0, depth), {}).status().code(), StatusCode::kCorrupt);
  const std::string quoted = R"("\"[)" + deep.substr(0, depth) + "\"";
  EXPECT_EQ(ParseTokenizerJson(head + quoted + "}", {}).status().code(), StatusCode::kUnsupported);
}

TEST(TokenizerTest, RejectsDamagedTokenizerJson) {
  const auto code = [](const std::string& text) { return ParseTokenizerJson(text, {}).status().code(); };
  EXPECT_EQ(code(""), StatusCode::kTruncated);
  EXPECT_EQ(code(R"({"model": )"), StatusCode::kTruncated);
  EXPECT_EQ(code("{]"), StatusCode::kCorrupt);
  EXPECT_EQ(code("7"), StatusCode::kCorrupt);
  EXPECT_EQ(code(R"({"model": {"type": "Unigram"}})"), StatusCode::kUnsupported);
  EXPECT_EQ(code(R"({"model": {"type": "BPE"}})"), StatusCode::kUnsupported);
  EXPECT_EQ(code(R"({"model": {"type": "BPE", "byte_fallback": true}})"), StatusCode::kUnsupported);
  EXPECT_EQ(code(R"({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
                     "added_tokens": [{"id": -5, "content": "x"}], "model": {"type": "BPE"}})"),
            StatusCode::kCorrupt);
  EXPECT_EQ(code(std::string(100000, '[')), StatusCode::kCorrupt);
}

TEST(TokenizerTest, RejectsDamagedLlama2cFiles) {
  const std::string file = Llama2cFile({"ab", "a", "b"});
  const auto code = [](const std::string& bytes) { return ParseLlama2c(bytes).status().code(); };
  ASSERT_EQ(code(file), StatusCode::kOk);
  EXPECT_EQ(code(""), StatusCode::kTruncated);
  EXPECT_EQ(code(file.substr(0, file.size() - 1)), StatusCode::kTruncated);
  EXPECT_EQ(code(file.substr(0, 99)), StatusCode::kTruncated);
  const auto with = [&](size_t at, int32_t value) {
    std::string changed = file;
    StoreLe(value, changed.data() + at);
    return code(changed);
  };
  EXPECT_EQ(with(0, 0), StatusCode::kCorrupt);
  EXPECT_EQ(with(0, INT32_MAX), StatusCode::kCorrupt);
  EXPECT_EQ(with(8, -1), StatusCode::kCorrupt);
  EXPECT_EQ(with(8, INT32_MAX), StatusCode::kCorrupt);
  EXPECT_EQ(with(4, 0x7FC00000), StatusCode::kCorrupt);  // a score that is NaN
  EXPECT_EQ(code(Llama2cFile({"a", "a"})), StatusCode::kCorrupt);
  EXPECT_EQ(code(Llama2cFile({"<0x41>"})), StatusCode::kCorrupt);
  EXPECT_EQ(code(Llama2cFile({"\xC3"})), StatusCode::kCorrupt);
  std::string headless = file;
  headless[headless.find("<0x41>") + 1] = '1';
  EXPECT_EQ(code(headless), StatusCode::kCorrupt);
}

TEST(TokenizerTest, RejectsDamagedWordPieceVocabulary) {
  const auto code = [](const char* text) { return ParseWordPieceVocab(text, {}).status().code(); };
  EXPECT_EQ(code("[UNK]\na\n##b\n"), StatusCode::kOk);
  EXPECT_EQ(code(""), StatusCode::kCorrupt);
  EXPECT_EQ(code("a\nb\n"), StatusCode::kCorrupt);
  EXPECT_EQ(code("[UNK]\na\na\n"), StatusCode::kCorrupt);
  EXPECT_EQ(code("[UNK]\n\na\n"), StatusCode::kCorrupt);
}

class TokenizerFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) /
              ("sluice_text_" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
    ASSERT_TRUE(MakeFolder(folder_).ok());
  }
  void TearDown() override { fs::remove_all(folder_); }
  void Write(const char* name, const std::string& content) {
    ASSERT_TRUE(WriteFileAtomic(folder_ / name, content).ok());
  }
  StatusCode LoadCode() const { return LoadTokenizer(folder_).status().code(); }

  fs::path folder_;
};

TEST_F(TokenizerFolderTest, MatchesPrecedenceOfFiles) {
  Write("vocab.txt", "[UNK]\na\n");
  EXPECT_EQ((*LoadTokenizer(folder_))->kind(), "wordpiece");
  Write("vocab.json", ByteVocabulary({"ab"}));
  Write("merges.txt", "a b\n");
  const auto first = LoadTokenizer(folder_);
  EXPECT_EQ((*first)->kind(), "byte-level-bpe");
  Write("merges.txt", "a b\n\n");
  EXPECT_NE((*LoadTokenizer(folder_))->identity(), (*first)->identity());
  Write("tok9.bin", Llama2cFile({"a"}));
  EXPECT_EQ((*LoadTokenizer(folder_))->kind(), "llama2c-bpe");
  EXPECT_EQ((*LoadTokenizer(folder_ / "vocab.json"))->identity(), (*LoadTokenizer(folder_ / "vocab.json"))->identity());
  Write("tokenizer.bin", Llama2cFile({"a"}));
  EXPECT_EQ(LoadCode(), StatusCode::kInvalidArgument);  // two of a kind
  ASSERT_TRUE(TrainSentencePiece("some words, some more words\n", 270, folder_ / "tokenizer.model").ok());
  EXPECT_EQ((*LoadTokenizer(folder_))->kind(), "sentencepiece");
}

TEST_F(TokenizerFolderTest, RejectsFoldersWithoutTokenizer) {
  EXPECT_EQ(LoadCode(), StatusCode::kInvalidArgument);
  EXPECT_EQ(LoadTokenizer(folder_ / "absent").status().code(), StatusCode::kIo);
  EXPECT_EQ(LoadTokenizer(folder_ / "absent.model").status().code(), StatusCode::kIo);
  Write("vocab.json", "{}");
  EXPECT_EQ(LoadCode(), StatusCode::kInvalidArgument);  // merges.txt is missing
}

TEST_F(TokenizerFolderTest, RoundTripsTrainedSentencePiece) {
  std::string text;
  for (int i = 0; i < 60; ++i) {
    text += "First Citizen:\nBefore we proceed any further,  hear me speak " + std::to_string(i * 37) +
            ".\n\nAll:\n\tSpeak, speak.\n";
  }
  ASSERT_TRUE(TrainSentencePiece(text, 360, folder_ / "tokenizer.model").ok());
  const auto tokenizer = LoadTokenizer(folder_);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().ToString();
  EXPECT_EQ((*tokenizer)->vocab_size(), 360);
  EXPECT_EQ((*tokenizer)->bos(), 1);
  EXPECT_EQ((*tokenizer)->eos(), 2);
  EXPECT_LT((*tokenizer)->Encode(text)->size(), text.size() / 2);
  for (const std::string& sample : {text, std::string("a  b\n\n c\t\n"), std::string("  lead"), std::string("trail  "),
                                    std::string("\n"), std::string(" "), std::string("\xE6\x97\xA5\xE6\x9C\xAC\n"),
                                    std::string("nul\0 inside", 11), std::string("<s></s><unk><0x41>")}) {
    EXPECT_EQ(*(*tokenizer)->Decode(*(*tokenizer)->Encode(sample)), sample);
  }
  ASSERT_TRUE(TrainSentencePiece(text, 360, folder_ / "again.model").ok());
  EXPECT_EQ(*ReadFile(folder_ / "again.model"), *ReadFile(folder_ / "tokenizer.model"));
}

TEST_F(TokenizerFolderTest, RejectsImpossibleTraining) {
  const fs::path model = folder_ / "tokenizer.model";
  EXPECT_EQ(TrainSentencePiece("", 300, model).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(TrainSentencePiece("abc\xFF", 300, model).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(TrainSentencePiece("abc abc\n", 100, model).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(TrainSentencePiece("abc abc\n", 5000, model).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(TrainSentencePiece("some words, some more words\n", 270, folder_ / "no" / "such").code(), StatusCode::kIo);
  EXPECT_FALSE(fs::exists(model));
}

TEST_F(TokenizerFolderTest, RejectsDamagedSentencePieceModels) {
  ASSERT_TRUE(TrainSentencePiece("some words, some more words\n", 270, folder_ / "tokenizer.model").ok());
  const std::string model = *ReadFile(folder_ / "tokenizer.model");
  EXPECT_EQ(ParseSentencePieceModel(model.substr(0, model.size() - 1), {}).status().code(), StatusCode::kTruncated);
  EXPECT_EQ(ParseSentencePieceModel("", {}).status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(ParseSentencePieceModel("not a model", {}).status().code(), StatusCode::kCorrupt);
  std::mt19937 random(1);
  for (int i = 0; i < 300; ++i) {
    std::string flipped = model;
    flipped[random() % flipped.size()] ^= static_cast<char>(1 << random() % 8);
    const auto tokenizer = ParseSentencePieceModel(flipped, {});
    if (tokenizer.ok()) (void)(*tokenizer)->Encode("some more words\n and others");
  }
}

}  // namespace
}  // namespace sluice
