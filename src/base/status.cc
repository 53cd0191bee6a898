#include "base/status.h"

namespace sluice {

std::string_view StatusCodeName(StatusCode code) {
  switch (code) {
    case StatusCode::kOk:
      return "Ok";
    case StatusCode::kInvalidArgument:
      return "InvalidArgument";
    case StatusCode::kTruncated:
      return "Truncated";
    case StatusCode::kCorrupt:
      return "Corrupt";
    case StatusCode::kUnsupported:
      return "Unsupported";
    case StatusCode::kMismatch:
      return "Mismatch";
    case StatusCode::kInternal:
      return "Internal";
    case StatusCode::kIo:
      return "Io";
    case StatusCode::kInterrupted:
      return "Interrupted";
    case StatusCode::kUnavailable:
      return "Unavailable";
    case StatusCode::kDenied:
      return "Denied";
    case StatusCode::kTimedOut:
      return "TimedOut";
  }
  return "Unknown";
}

int ExitCode(StatusCode code) {
  switch (code) {
    case StatusCode::kOk:
      return 0;
    case StatusCode::kInternal:
      return 1;
    case StatusCode::kInvalidArgument:
      return 2;
    case StatusCode::kTruncated:
      return 3;
    case StatusCode::kCorrupt:
      return 4;
    case StatusCode::kUnsupported:
      return 5;
    case StatusCode::kMismatch:
      return 6;
    case StatusCode::kIo:
      return 7;
    case StatusCode::kInterrupted:
      return 130;
    case StatusCode::kUnavailable:
      return 8;
    case StatusCode::kDenied:
      return 9;
    case StatusCode::kTimedOut:
      return 10;
  }
  return 1;
}

std::string Status::ToString() const {
  if (ok()) return "Ok";
  return std::string(StatusCodeName(code_)) + ": " + message_;
}

Status Status::WithContext(std::string_view where) const {
  if (ok()) return *this;
  return Status(code_, std::string(where) + ": " + message_);
}

Status InvalidArgument(std::string message) { return {StatusCode::kInvalidArgument, std::move(message)}; }
Status Truncated(std::string message) { return {StatusCode::kTruncated, std::move(message)}; }
Status Corrupt(std::string message) { return {StatusCode::kCorrupt, std::move(message)}; }
Status Unsupported(std::string message) { return {StatusCode::kUnsupported, std::move(message)}; }
Status Mismatch(std::string message) { return {StatusCode::kMismatch, std::move(message)}; }
Status Internal(std::string message) { return {StatusCode::kInternal, std::move(message)}; }
Status IoError(std::string message) { return {StatusCode::kIo, std::move(message)}; }
Status Interrupted(std::string message) { return {StatusCode::kInterrupted, std::move(message)}; }
Status Unavailable(std::string message) { return {StatusCode::kUnavailable, std::move(message)}; }
Status Denied(std::string message) { return {StatusCode::kDenied, std::move(message)}; }
Status TimedOut(std::string message) { return {StatusCode::kTimedOut, std::move(message)}; }

Status AsCorrupt(const Status& status, StatusCode code) {
  return status.code() == code ? Corrupt(status.message()) : status;
}

Status AsArgument(const Status& status) { return status.ok() ? status : InvalidArgument(status.message()); }

}  // namespace sluice
