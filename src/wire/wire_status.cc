// Our codes travel as numbers inside the details of gRPC's status, because gRPC's own codes are fewer in some places
// and more in others. Only what the transport itself reports is translated back from them: there, nearly everything
// means that the peer is gone.
#include "wire/wire_status.h"

#include <fmt/format.h>
#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <array>

namespace sluice {
namespace {

constexpr int kLastCode = static_cast<int>(StatusCode::kTimedOut);

/// How OpenSSL and gRPC say that a certificate was not accepted.
constexpr std::array<std::string_view, 4> kCertificateWords = {"certificate verify failed", "Peer name",
                                                               "Hostname Verification", "peer did not return a cert"};

constexpr size_t kMostName = 128;
constexpr size_t kMostWords = 2048;

/// What a peer wrote ends up on somebody's terminal, and in the headers of the stream before: no control characters,
/// and not more than fits.
std::string Legible(std::string_view text, size_t most) {
  size_t size = std::min(most, text.size());
  while (size < text.size() && size > 0 && (text[size] & 0xc0) == 0x80) --size;  // not in the middle of a character
  std::string kept(text.substr(0, size));
  for (char& c : kept) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '?';
  }
  return text.size() > most ? kept + "..." : kept;
}

}  // namespace

grpc::StatusCode GrpcCode(StatusCode code) {
  switch (code) {
    case StatusCode::kOk:
      return grpc::StatusCode::OK;
    case StatusCode::kInvalidArgument:
      return grpc::StatusCode::INVALID_ARGUMENT;
    case StatusCode::kTruncated:
      return grpc::StatusCode::OUT_OF_RANGE;
    case StatusCode::kCorrupt:
      return grpc::StatusCode::DATA_LOSS;
    case StatusCode::kUnsupported:
      return grpc::StatusCode::UNIMPLEMENTED;
    case StatusCode::kMismatch:
      return grpc::StatusCode::FAILED_PRECONDITION;
    case StatusCode::kIo:
      return grpc::StatusCode::ABORTED;
    case StatusCode::kInterrupted:
      return grpc::StatusCode::CANCELLED;
    case StatusCode::kUnavailable:
      return grpc::StatusCode::UNAVAILABLE;
    case StatusCode::kDenied:
      return grpc::StatusCode::UNAUTHENTICATED;
    case StatusCode::kTimedOut:
      return grpc::StatusCode::DEADLINE_EXCEEDED;
    case StatusCode::kInternal:
      break;
  }
  return grpc::StatusCode::INTERNAL;
}

wire::Failure ToFailure(const Status& status, std::string_view node) {
  wire::Failure failure;
  failure.set_code(static_cast<uint32_t>(status.code()));
  failure.set_message(status.message());
  failure.set_node(std::string(node));
  return failure;
}

Status FromFailure(const wire::Failure& failure) {
  const bool known = failure.code() > 0 && failure.code() <= kLastCode;
  const StatusCode code = known ? static_cast<StatusCode>(failure.code()) : StatusCode::kInternal;
  return Status(code,
                fmt::format("{}: {}", Legible(failure.node(), kMostName), Legible(failure.message(), kMostWords)));
}

grpc::Status ToGrpc(const Status& status, std::string_view node) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(GrpcCode(status.code()), status.message(), ToFailure(status, node).SerializeAsString());
}

Status FromGrpc(const grpc::Status& status, std::string_view peer) {
  if (status.ok()) return OkStatus();
  wire::Failure failure;
  if (!status.error_details().empty() && failure.ParseFromString(status.error_details()) && failure.code() != 0) {
    return FromFailure(failure);
  }
  const std::string message = fmt::format("{}: {}", peer, status.error_message());
  for (const std::string_view words : kCertificateWords) {
    if (message.find(words) != std::string::npos) return Denied(message);
  }
  switch (status.error_code()) {
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::PERMISSION_DENIED:
      return Denied(message);
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return TimedOut(message);
    case grpc::StatusCode::UNIMPLEMENTED:
      return Unsupported(message + " (is a sluice node listening there?)");
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::FAILED_PRECONDITION:
      return InvalidArgument(message);
    default:
      return Unavailable(message);
  }
}

void SilenceMessages() { google::protobuf::SetLogHandler(nullptr); }

}  // namespace sluice
