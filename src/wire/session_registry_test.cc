#include "wire/session_registry.h"

#include <gtest/gtest.h>

#include <optional>
#include <thread>

namespace sluice {
namespace {

TEST(SessionRegistryTest, RejectsMoreThanThereIsRoomFor) {
  WireLimits limits;
  limits.sessions = 2;
  limits.state_bytes = 100;
  SessionRegistry registry(limits);
  const auto nothing = [](const Status&) {};
  const auto first = registry.Admit("a", 0, 60, nothing);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(registry.Admit("b", 0, 41, nothing).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(registry.Admit("b", 0, UINT64_MAX, nothing).status().code(), StatusCode::kUnavailable);
  {
    const auto second = registry.Admit("b", 0, 40, nothing);
    ASSERT_TRUE(second.ok());
    EXPECT_EQ(registry.Admit("c", 0, 0, nothing).status().code(), StatusCode::kUnavailable);
  }
  EXPECT_TRUE(registry.Admit("c", 0, 0, nothing).ok());
  registry.Drain();
  EXPECT_EQ(registry.Admit("d", 0, 0, nothing).status().code(), StatusCode::kUnavailable);
  EXPECT_FALSE(registry.WaitEmpty(0.01));
}

TEST(SessionRegistryTest, MatchesALaterAttemptWithItsFormerSelf) {
  WireLimits limits;
  limits.sessions = 1;
  SessionRegistry registry(limits);
  std::thread leaves;
  std::optional<SessionRegistry::Place> held;
  Status why;
  auto old = registry.Admit("a", 0, 10, [&](Status status) {
    why = std::move(status);
    leaves = std::thread([&] { held.reset(); });
  });
  held.emplace(*std::move(old));
  const auto again = registry.Admit("a", 1, 10, [](const Status&) {});
  leaves.join();
  EXPECT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(why.code(), StatusCode::kInterrupted);
}

}  // namespace
}  // namespace sluice
