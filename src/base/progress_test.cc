#include "base/progress.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(ProgressTest, MatchesReadableDurations) {
  EXPECT_EQ(FormatDuration(12.4), "12 s");
  EXPECT_EQ(FormatDuration(245), "4:05");
  EXPECT_EQ(FormatDuration(3723), "1:02:03");
}

TEST(ProgressTest, MatchesTheFinalStateOnItsOwnLine) {
  testing::internal::CaptureStderr();
  {
    ProgressBar bar("train", 10, 4);
    bar.Update(7, "loss 1.0");
    bar.Update(10, "loss 0.5");
  }
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("train [########################] 100.0 %  loss 0.5"), std::string::npos) << text;
  EXPECT_EQ(text.back(), '\n');
}

}  // namespace
}  // namespace sluice
