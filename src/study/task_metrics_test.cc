#include "study/task_metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/file.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

class TaskMetricsGoldenTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* set = std::getenv("SLUICE_GOLDEN");
    const fs::path golden = set != nullptr ? fs::path(set) : fs::path(SLUICE_SOURCE_DIR) / "../shared/golden";
    const auto text = ReadFile(golden / "metrics.json");
    if (!text.ok()) GTEST_SKIP() << "no golden metrics: " << text.status().ToString();
    json_ = nlohmann::json::parse(*text);
  }

  nlohmann::json json_;
};

TEST_F(TaskMetricsGoldenTest, GoldenAnswersScoreAsTheOfficialScript) {
  AnswerScore total;
  const auto& cases = json_["squad"]["cases"];
  ASSERT_GT(cases.size(), 0u);
  for (const auto& c : cases) {
    const std::string prediction = c["prediction"];
    const auto answers = c["answers"].get<std::vector<std::string>>();
    EXPECT_EQ(*NormalizeAnswer(prediction), c["normalized"].get<std::string>());
    const auto score = ScoreAnswer(prediction, answers);
    ASSERT_TRUE(score.ok());
    EXPECT_EQ(score->exact_match, c["exact_match"].get<double>()) << prediction;
    EXPECT_NEAR(score->f1, c["f1"].get<double>(), 1e-12) << prediction;
    total.exact_match += score->exact_match;
    total.f1 += score->f1;
  }
  const double percent = 100.0 / static_cast<double>(cases.size());
  EXPECT_NEAR(percent * total.exact_match, json_["squad"]["total"]["exact_match"].get<double>(), 1e-9);
  EXPECT_NEAR(percent * total.f1, json_["squad"]["total"]["f1"].get<double>(), 1e-9);
}

TEST_F(TaskMetricsGoldenTest, GoldenLabelsScoreAsTheLibrary) {
  const auto& cases = json_["classification"];
  ASSERT_GT(cases.size(), 0u);
  for (const auto& c : cases) {
    const auto labels = c["labels"].get<std::vector<int>>(), predictions = c["predictions"].get<std::vector<int>>();
    const auto counts = CountBinary(labels, predictions);
    ASSERT_TRUE(counts.ok());
    EXPECT_EQ(counts->true_positive, c["tp"].get<uint64_t>());
    EXPECT_EQ(counts->true_negative, c["tn"].get<uint64_t>());
    EXPECT_EQ(counts->false_positive, c["fp"].get<uint64_t>());
    EXPECT_EQ(counts->false_negative, c["fn"].get<uint64_t>());
    EXPECT_EQ(counts->total(), labels.size());
    EXPECT_NEAR(*Accuracy(labels, predictions), c["accuracy"].get<double>(), 1e-12);
    EXPECT_NEAR(counts->F1(), c["f1"].get<double>(), 1e-12);
    EXPECT_NEAR(counts->Matthews(), c["matthews"].get<double>(), 1e-12);
  }
}

TEST(TaskMetricsTest, MatchesScoresByHand) {
  const std::vector<int> labels = {1, 1, 0, 0, 1}, predictions = {1, 0, 0, 1, 1};
  const BinaryCounts counts = *CountBinary(labels, predictions);
  EXPECT_NEAR(counts.F1(), 2.0 / 3, 1e-15);
  EXPECT_NEAR(counts.Matthews(), (2.0 * 1 - 1 * 1) / std::sqrt(3.0 * 3 * 2 * 2), 1e-15);
  const std::vector<int> classes = {7, 3, -1}, guesses = {7, 2, -1};
  EXPECT_NEAR(*Accuracy(classes, guesses), 2.0 / 3, 1e-15);
  EXPECT_EQ(*NormalizeAnswer("  The (theme) \xE2\x80\x9C"
                             "a\xE2\x80\x9D  AN-d "),
            "theme \xE2\x80\x9C \xE2\x80\x9D and");
  const std::vector<std::string> answers = {"new york city", "york"};
  EXPECT_NEAR(ScoreAnswer("York City", answers)->f1, 0.8, 1e-15);
}

TEST(TaskMetricsTest, RejectsListsThatDoNotMatch) {
  const std::vector<int> two = {0, 1}, three = {0, 1, 1}, other = {0, 2};
  EXPECT_EQ(Accuracy(two, three).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Accuracy({}, {}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(CountBinary(two, three).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(CountBinary(two, other).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(CountBinary(two, std::vector<int>{-1, 0}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ScoreAnswer("x", {}).status().code(), StatusCode::kInvalidArgument);
  const std::vector<std::string> broken = {"\xFF"};
  EXPECT_EQ(ScoreAnswer("x", broken).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(NormalizeAnswer("\xC3").status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace sluice
