// The piece-wise path against the library on the whole text, which is what it must equal.
#include "text/sentencepiece_model.h"

#include <gtest/gtest.h>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "text/sentencepiece_train.h"

namespace sluice {
namespace {

/// Words, runs of spaces, newlines, digits, characters without a piece, and the library's own space mark.
std::string RandomText(uint32_t seed, size_t words) {
  static const char* const kParts[] = {"the",
                                       "cat",
                                       " ",
                                       "  ",
                                       "   ",
                                       "\n",
                                       "\n\n",
                                       ",",
                                       ".",
                                       "12",
                                       "\xE6\x97\xA5",
                                       "\xC3\xA9",
                                       "\xE2\x96\x81",
                                       "sat",
                                       "on",
                                       " a",
                                       " the",
                                       "\t",
                                       "\xF0\x9F\x98\x80",
                                       "caterpillar"};
  std::mt19937 random(seed);
  std::string text;
  for (size_t i = 0; i < words; ++i) text += kParts[random() % std::size(kParts)];
  return text;
}

/// Trains a model with settings of its own.
std::string Train(const std::string& type, bool prefix, bool bytes, const char* vocabulary) {
  struct OneText final : sentencepiece::SentenceIterator {
    bool done() const override { return given; }
    void Next() override { given = true; }
    const std::string& value() const override { return text; }
    sentencepiece::util::Status status() const override { return {}; }
    std::string text;
    bool given = false;
  } corpus;
  for (int i = 0; i < 40; ++i)
    corpus.text += "the cat sat on a mat, the caterpillar on the other cat. " + RandomText(99, 3);
  const std::unordered_map<std::string, std::string> settings = {{"model_type", type},
                                                                 {"vocab_size", vocabulary},
                                                                 {"hard_vocab_limit", "false"},
                                                                 {"byte_fallback", bytes ? "true" : "false"},
                                                                 {"add_dummy_prefix", prefix ? "true" : "false"},
                                                                 {"normalization_rule_name", "identity"},
                                                                 {"remove_extra_whitespaces", "false"},
                                                                 {"max_sentence_length", "1000000"},
                                                                 {"num_threads", "1"},
                                                                 {"minloglevel", "3"}};
  std::string model;
  const auto status = sentencepiece::SentencePieceTrainer::Train(settings, &corpus, &model);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return model;
}

void ExpectSameAsLibrary(const std::string& model) {
  sentencepiece::SentencePieceProcessor library;
  ASSERT_TRUE(library.LoadFromSerializedProto(model).ok());
  const auto tokenizer = ParseSentencePieceModel(model, {});
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().ToString();
  for (uint32_t seed = 0; seed < 200; ++seed) {
    const std::string text = RandomText(seed, 1 + seed);
    const auto ids = (*tokenizer)->Encode(text);
    ASSERT_TRUE(ids.ok()) << ids.status().ToString();
    ASSERT_EQ(*ids, library.EncodeAsIds(text)) << text;
    ASSERT_EQ(*(*tokenizer)->Decode(*ids), library.DecodeIds(*ids)) << text;
  }
}

TEST(SentencePieceModelTest, MatchesLibraryWithPrefix) { ExpectSameAsLibrary(Train("bpe", true, true, "310")); }
TEST(SentencePieceModelTest, MatchesLibraryWithoutPrefix) { ExpectSameAsLibrary(Train("bpe", false, true, "310")); }
TEST(SentencePieceModelTest, MatchesLibraryWithUnknowns) { ExpectSameAsLibrary(Train("bpe", true, false, "60")); }
TEST(SentencePieceModelTest, MatchesLibraryWithUnknownsWithoutPrefix) {
  ExpectSameAsLibrary(Train("bpe", false, false, "60"));
}
TEST(SentencePieceModelTest, MatchesLibraryOnUnigram) { ExpectSameAsLibrary(Train("unigram", true, true, "310")); }

}  // namespace
}  // namespace sluice
