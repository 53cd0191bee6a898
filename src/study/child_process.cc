// fork and exec rather than posix_spawn: between the two the child asks the kernel to be killed with its parent
// (PR_SET_PDEATHSIG), so that a study that was killed leaves nobody behind who writes into the folder that its
// successor resumes from. Only async-signal-safe calls stand between them.
#include "study/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

#include "base/file.h"

namespace sluice {
namespace {

int OpenForOutput(const std::filesystem::path& path) {
  return ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
}

[[noreturn]] void Become(const char* program, char* const* arguments, int out, int err, pid_t parent) {
  constexpr int kCannotRun = 127;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) _exit(kCannotRun);
  ::setpgid(0, 0);
  const int nothing = ::open("/dev/null", O_RDONLY);
  if (nothing < 0 || ::dup2(nothing, STDIN_FILENO) < 0 || ::dup2(out, STDOUT_FILENO) < 0 ||
      ::dup2(err, STDERR_FILENO) < 0) {
    _exit(kCannotRun);
  }
  ::execv(program, arguments);
  constexpr char kMessage[] = "the program cannot be run\n";
  if (::write(STDERR_FILENO, kMessage, sizeof(kMessage) - 1) < 0) _exit(kCannotRun);
  _exit(kCannotRun);
}

}  // namespace

ChildProcess::ChildProcess(pid_t pid) : pid_(pid), started_(Clock::now()) {}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), started_(other.started_), end_(other.end_) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(started_, other.started_);
  std::swap(end_, other.end_);
  return *this;
}

ChildProcess::~ChildProcess() {
  if (pid_ < 0) return;
  Send(SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

Result<ChildProcess> ChildProcess::Start(const std::filesystem::path& program,
                                         const std::vector<std::string>& arguments, const std::filesystem::path& out,
                                         const std::filesystem::path& err) {
  std::string name = "sluice";
  std::vector<std::string> texts = arguments;
  std::vector<char*> list = {name.data()};
  for (std::string& text : texts) list.push_back(text.data());
  list.push_back(nullptr);
  const int out_file = OpenForOutput(out);
  if (out_file < 0) return SystemError("create", out);
  const int err_file = OpenForOutput(err);
  if (err_file < 0) {
    const Status status = SystemError("create", err);
    ::close(out_file);
    return status;
  }
  ::signal(SIGCHLD, SIG_DFL);  // where it is ignored, and that is inherited, nobody can learn how a process ended
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) Become(program.c_str(), list.data(), out_file, err_file, parent);
  const Status forked = pid < 0 ? SystemError("run", program) : OkStatus();
  ::close(out_file);
  ::close(err_file);
  SLUICE_RETURN_IF_ERROR(forked);
  return ChildProcess(pid);
}

bool ChildProcess::Ended() {
  if (pid_ < 0) return true;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) != pid_) return false;
  pid_ = -1;
  end_.seconds = SecondsSince(started_);
  if (WIFEXITED(status)) end_.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) end_.signal = WTERMSIG(status);
  return true;
}

void ChildProcess::Send(int signal) const {
  if (pid_ >= 0) ::kill(pid_, signal);
}

}  // namespace sluice
