#ifndef SLUICE_BASE_STATUS_H_
#define SLUICE_BASE_STATUS_H_

#include <cassert>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace sluice {

/// Why an operation failed. The values are stable: they are exit codes' and the wire's vocabulary.
enum class StatusCode : uint8_t {
  kOk = 0,
  kInvalidArgument = 1,  ///< The caller asked for something that cannot be: mend the request.
  kTruncated = 2,        ///< Input ended early: more bytes may help.
  kCorrupt = 3,          ///< Input is damaged: more bytes cannot help.
  kUnsupported = 4,      ///< Input is newer than, or outside, what this build handles.
  kMismatch = 5,         ///< Input is sound but belongs to another model, codec, cut or build.
  kInternal = 6,         ///< A bug, or a condition that should not occur.
  kIo = 7,               ///< The operating system refused to open, read, write or rename.
  kInterrupted = 8,      ///< The user or the system asked to stop.
  kUnavailable = 9,      ///< A peer cannot be reached, is full or is going away: trying again later may help.
  kDenied = 10,          ///< A peer does not accept the credentials that were shown, or none were.
  kTimedOut = 11,        ///< A deadline passed.
};

/// Name of a code as it is printed, for example "Corrupt".
std::string_view StatusCodeName(StatusCode code);

/// Exit code of the program for a status: 0 Ok, 1 Internal, 2 InvalidArgument, 3 Truncated, 4 Corrupt, 5 Unsupported,
/// 6 Mismatch, 7 Io, 8 Unavailable, 9 Denied, 10 TimedOut, 130 Interrupted.
int ExitCode(StatusCode code);

/// The outcome of an operation: Ok, or a code with a message that says what, where, expected and got.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

  /// "Corrupt: frame 3: checksum 0x12, expected 0x34".
  std::string ToString() const;

  /// The same status with `where` and ": " before its message. Ok stays Ok.
  Status WithContext(std::string_view where) const;

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

inline Status OkStatus() { return Status(); }
Status InvalidArgument(std::string message);
Status Truncated(std::string message);
Status Corrupt(std::string message);
Status Unsupported(std::string message);
Status Mismatch(std::string message);
Status Internal(std::string message);
Status IoError(std::string message);
Status Interrupted(std::string message);
Status Unavailable(std::string message);
Status Denied(std::string message);
Status TimedOut(std::string message);

/// `status`, but Corrupt where its code is `code`: what elsewhere is a caller's mistake or a lack of bytes, and comes
/// from a whole file here.
Status AsCorrupt(const Status& status, StatusCode code);

/// `status`, but InvalidArgument where it is not Ok: what a caller hands to a writer is an argument, not a file.
Status AsArgument(const Status& status);

/// A value or the Status that explains its absence. Reading the value of a failed result is a bug (asserted).
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T result) : state_(std::move(result)) {}  // NOLINT(google-explicit-constructor)
  Result(Status status) : state_(std::move(status)) { assert(!std::get<Status>(state_).ok()); }  // NOLINT

  bool ok() const { return std::holds_alternative<T>(state_); }
  Status status() const { return ok() ? Status() : std::get<Status>(state_); }

  T& value() & {
    assert(ok());
    return std::get<T>(state_);
  }
  const T& value() const& {
    assert(ok());
    return std::get<T>(state_);
  }
  T&& value() && {
    assert(ok());
    return std::get<T>(std::move(state_));
  }

  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<T, Status> state_;
};

#define SLUICE_CONCAT_INNER(a, b) a##b
#define SLUICE_CONCAT(a, b) SLUICE_CONCAT_INNER(a, b)

/// Returns from the calling function when `expr` (a Status) is not Ok.
#define SLUICE_RETURN_IF_ERROR(expr)               \
  do {                                             \
    ::sluice::Status sluice_status = (expr);       \
    if (!sluice_status.ok()) return sluice_status; \
  } while (false)

/// Evaluates `expr` (a Result<T>), returns its status when it failed, else assigns its value to `lhs`.
#define SLUICE_ASSIGN_OR_RETURN(lhs, expr) \
  SLUICE_ASSIGN_OR_RETURN_INNER(SLUICE_CONCAT(sluice_result_, __LINE__), lhs, expr)
#define SLUICE_ASSIGN_OR_RETURN_INNER(result, lhs, expr) \
  auto result = (expr);                                  \
  if (!result.ok()) return result.status();              \
  lhs = std::move(result).value()

}  // namespace sluice

#endif  // SLUICE_BASE_STATUS_H_
