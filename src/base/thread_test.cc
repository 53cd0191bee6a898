#include "base/thread.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sluice {
namespace {

TEST(ThreadTest, MatchesAThreadThatRuns) {
  int value = 0;
  Result<std::thread> thread = StartThread([&] { value = 7; });
  ASSERT_TRUE(thread.ok()) << thread.status().ToString();
  thread->join();
  EXPECT_EQ(value, 7);
}

// In a process of its own, which the limit ends with; root has no limit, so it becomes somebody else.
TEST(ThreadTest, RejectsBeyondTheLimitOfThreads) {
  constexpr uid_t kNobody = 65534;
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (geteuid() == 0 && setuid(kNobody) != 0) _exit(100);
    const rlimit none{0, 0};
    if (setrlimit(RLIMIT_NPROC, &none) != 0) _exit(101);
    Result<std::thread> thread = StartThread([] {});
    if (thread.ok()) thread->join();
    _exit(static_cast<int>(thread.status().code()));
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), static_cast<int>(StatusCode::kUnavailable));
}

}  // namespace
}  // namespace sluice
