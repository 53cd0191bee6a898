#ifndef SLUICE_TESTS_E2E_RUN_PROGRAM_H_
#define SLUICE_TESTS_E2E_RUN_PROGRAM_H_

#include <gtest/gtest.h>
#include <sys/types.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

using Arguments = std::vector<std::string>;

/// How a program ended and what it said.
struct Outcome {
  int exit_code = -1;  ///< -1 when a signal ended it
  int signal = 0;
  bool timed_out = false;
  std::string out;
  std::string err;

  /// Standard output as JSON; a discarded value when it is not JSON.
  nlohmann::json Json() const { return nlohmann::json::parse(out, nullptr, false); }
};
/// What went wrong, for failure messages.
std::ostream& operator<<(std::ostream& stream, const Outcome& outcome);

struct RunOptions {
  double timeout_seconds = 300;  ///< then the program is killed; machines that run tests may be busy
  uint64_t largest_file = 0;     ///< bytes a written file may have, as on a full disk; 0: no limit
};

/// `sluice ARGUMENTS` as a process of its own. SLUICE_TEST_PROGRAM names another program than the one of this build.
class RunningProgram {
 public:
  explicit RunningProgram(const Arguments& arguments, const RunOptions& options = {});
  /// Kills it when it still runs.
  ~RunningProgram();
  RunningProgram(const RunningProgram&) = delete;
  RunningProgram& operator=(const RunningProgram&) = delete;

  bool Ended();
  void Send(int signal) const;
  pid_t pid() const { return pid_; }
  /// What it has said until now; it may go on.
  std::string OutSoFar() const;
  std::string ErrSoFar() const;
  Outcome Wait();

 private:
  using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

  [[noreturn]] void Become(const Arguments& arguments) const;

  RunOptions options_;
  File out_;
  File err_;
  pid_t pid_ = -1;
  bool ended_ = false;
  int wait_status_ = 0;
};

/// Runs `sluice ARGUMENTS` to its end.
Outcome Sluice(const Arguments& arguments, const RunOptions& options = {});

/// Exit code 0, no signal, in time.
::testing::AssertionResult Succeeded(const Outcome& outcome);
/// Ended by itself with this status: its name and `part` on standard error, its exit code, nothing on standard output.
::testing::AssertionResult Refused(const Outcome& outcome, std::string_view code, std::string_view part = "");

}  // namespace sluice

#endif  // SLUICE_TESTS_E2E_RUN_PROGRAM_H_
