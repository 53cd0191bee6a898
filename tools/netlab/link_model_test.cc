#include "link_model.h"

#include <gtest/gtest.h>

#include <vector>

namespace sluice {
namespace {

constexpr int64_t kMs = 1'000'000;

TEST(LinkModelTest, MatchesRateAndDelayOfTheProfile) {
  LinkModel link({.megabits = 8, .delay_ms = 20, .queue_ms = 1000}, 1);  // 1,000 bytes take 1 ms
  for (int64_t i = 1; i <= 100; ++i) EXPECT_EQ(link.Offer(0, 1000), (i + 20) * kMs);
  EXPECT_EQ(link.Offer(500 * kMs, 2000), 522 * kMs) << "an idle line starts at once";
}

TEST(LinkModelTest, RejectsWhatTheQueueCannotHold) {
  LinkModel link({.megabits = 8, .queue_ms = 10}, 1);
  int64_t sent = 0;
  for (int i = 0; i < 100; ++i) sent += link.Offer(0, 1000).has_value();
  EXPECT_EQ(sent, 11);
  EXPECT_EQ(link.dropped(), 89);
  EXPECT_TRUE(link.Offer(5 * kMs, 1000).has_value());
}

TEST(LinkModelTest, MatchesItselfWithTheSameSeedAndKeepsTheOrder) {
  const LinkProfile profile{.delay_ms = 5, .jitter_ms = 30, .loss_percent = 10};
  LinkModel one(profile, 7), two(profile, 7), other(profile, 8);
  int64_t last = 0, different = 0;
  for (int64_t i = 0; i < 10'000; ++i) {
    const auto a = one.Offer(i * kMs, 1500);
    EXPECT_EQ(a, two.Offer(i * kMs, 1500));
    different += a != other.Offer(i * kMs, 1500);
    if (!a) continue;
    EXPECT_GE(*a, last);
    EXPECT_GE(*a, (i + 5) * kMs);
    last = *a;
  }
  EXPECT_GT(different, 1000);
  EXPECT_NEAR(static_cast<double>(one.lost()), 1000, 100);
  EXPECT_EQ(one.dropped(), 0);
}

}  // namespace
}  // namespace sluice
