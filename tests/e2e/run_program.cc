// Output goes to unnamed files, not to pipes: a program that says much never blocks, and nobody has to read in turns.
#include "run_program.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <thread>

#include "base/clock.h"

namespace sluice {
namespace {

constexpr auto kPollInterval = std::chrono::milliseconds(2);

const char* ProgramPath() {
  const char* other = std::getenv("SLUICE_TEST_PROGRAM");
  return other != nullptr && *other != '\0' ? other : SLUICE_PROGRAM;
}

std::string Contents(std::FILE* file) {
  std::string text;
  std::rewind(file);
  char buffer[4096];
  for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, file)) > 0;) text.append(buffer, n);
  return text;
}

// The same without moving the place where the program writes, which it shares.
std::string ContentsSoFar(std::FILE* file) {
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = pread(fileno(file), buffer, sizeof buffer, static_cast<off_t>(text.size()))) > 0;) {
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

// The table of README and --help, written down a second time so that a change shows.
int ExitCodeNamed(std::string_view code) {
  static const std::map<std::string_view, int> table = {
      {"Internal", 1}, {"InvalidArgument", 2}, {"Truncated", 3}, {"Corrupt", 4},   {"Unsupported", 5},  {"Mismatch", 6},
      {"Io", 7},       {"Unavailable", 8},     {"Denied", 9},    {"TimedOut", 10}, {"Interrupted", 130}};
  return table.at(code);
}

}  // namespace

std::ostream& operator<<(std::ostream& stream, const Outcome& outcome) {
  constexpr size_t kShown = 2000;
  stream << "exit code " << outcome.exit_code;
  if (outcome.signal != 0) stream << ", ended by signal " << outcome.signal;
  if (outcome.timed_out) stream << ", killed after its time was over";
  return stream << "\n  out: " << outcome.out.substr(0, kShown) << "\n  err: " << outcome.err.substr(0, kShown);
}

RunningProgram::RunningProgram(const Arguments& arguments, const RunOptions& options)
    : options_(options), out_(std::tmpfile(), &std::fclose), err_(std::tmpfile(), &std::fclose) {
  if (!out_ || !err_) throw std::runtime_error("cannot create a temporary file");
  pid_ = fork();
  if (pid_ < 0) throw std::runtime_error("cannot fork");
  if (pid_ == 0) Become(arguments);
}

void RunningProgram::Become(const Arguments& arguments) const {
  if (options_.largest_file > 0) {
    // Ignored, so that a write fails with an error as on a full disk instead of ending the program.
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{options_.largest_file, options_.largest_file};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
  dup2(fileno(out_.get()), STDOUT_FILENO);
  dup2(fileno(err_.get()), STDERR_FILENO);
  std::vector<char*> argv = {const_cast<char*>("sluice")};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  execv(ProgramPath(), argv.data());
  constexpr int kNotFound = 127;
  _exit(kNotFound);
}

RunningProgram::~RunningProgram() {
  if (Ended()) return;
  Send(SIGKILL);
  waitpid(pid_, nullptr, 0);
}

bool RunningProgram::Ended() {
  if (!ended_) ended_ = waitpid(pid_, &wait_status_, WNOHANG) == pid_;
  return ended_;
}

void RunningProgram::Send(int signal) const { kill(pid_, signal); }

std::string RunningProgram::OutSoFar() const { return ContentsSoFar(out_.get()); }
std::string RunningProgram::ErrSoFar() const { return ContentsSoFar(err_.get()); }

Outcome RunningProgram::Wait() {
  Outcome outcome;
  const Clock::time_point start = Clock::now();
  while (!Ended()) {
    std::this_thread::sleep_for(kPollInterval);
    if (!outcome.timed_out && SecondsSince(start) > options_.timeout_seconds) {
      outcome.timed_out = true;
      Send(SIGKILL);
    }
  }
  if (WIFEXITED(wait_status_)) outcome.exit_code = WEXITSTATUS(wait_status_);
  if (WIFSIGNALED(wait_status_)) outcome.signal = WTERMSIG(wait_status_);
  outcome.out = Contents(out_.get());
  outcome.err = Contents(err_.get());
  return outcome;
}

Outcome Sluice(const Arguments& arguments, const RunOptions& options) {
  return RunningProgram(arguments, options).Wait();
}

::testing::AssertionResult Succeeded(const Outcome& outcome) {
  if (outcome.exit_code == 0 && !outcome.timed_out) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "expected success, got " << outcome;
}

::testing::AssertionResult Refused(const Outcome& outcome, std::string_view code, std::string_view part) {
  const bool named = outcome.err.find(": " + std::string(code) + ": ") != std::string::npos;
  if (outcome.exit_code == ExitCodeNamed(code) && named && outcome.err.find(part) != std::string::npos &&
      outcome.out.empty()) {
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure() << "expected " << code << " (exit code " << ExitCodeNamed(code) << ") with '"
                                       << part << "' on standard error, got " << outcome;
}

}  // namespace sluice
