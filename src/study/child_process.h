#ifndef SLUICE_STUDY_CHILD_PROCESS_H_
#define SLUICE_STUDY_CHILD_PROCESS_H_

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

namespace sluice {

/// How a process ended.
struct ProcessEnd {
  int exit_code = -1;  ///< -1 when a signal ended it
  int signal = 0;
  double seconds = 0;  ///< wall clock
  bool ok() const { return exit_code == 0; }
};

/// A process of our own that never outlives us: it is killed when we end, however we end.
///
/// It has a process group of its own, so that Ctrl-C on the terminal reaches us alone and it is told once, by us.
class ChildProcess {
 public:
  /// Starts `program` with these arguments; its output goes to two files. Errors: Io.
  static Result<ChildProcess> Start(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                                    const std::filesystem::path& out, const std::filesystem::path& err);

  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  /// Kills it when it still runs.
  ~ChildProcess();

  /// Whether it has ended. Does not wait.
  bool Ended();
  /// Needs: Ended().
  const ProcessEnd& end() const { return end_; }
  void Send(int signal) const;

 private:
  explicit ChildProcess(pid_t pid);

  pid_t pid_ = -1;  // -1: ended or moved from
  Clock::time_point started_;
  ProcessEnd end_;
};

}  // namespace sluice

#endif  // SLUICE_STUDY_CHILD_PROCESS_H_
