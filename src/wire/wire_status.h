#ifndef SLUICE_WIRE_WIRE_STATUS_H_
#define SLUICE_WIRE_WIRE_STATUS_H_

#include <grpcpp/support/status.h>

#include <string>
#include <string_view>

#include "base/status.h"
#include "session.pb.h"

namespace sluice {

/// The code under which gRPC carries a status: the one table of it.
grpc::StatusCode GrpcCode(StatusCode code);

/// A status as a message, with the node that it happened on.
wire::Failure ToFailure(const Status& status, std::string_view node);
/// An unknown code becomes Internal.
Status FromFailure(const wire::Failure& failure);

/// Ends a stream: the Failure is in the details. Ok stays Ok.
grpc::Status ToGrpc(const Status& status, std::string_view node);
/// What a stream ended with. Without details of ours it is the transport's word: Unavailable unless it says otherwise,
/// Denied when the certificates do not agree. `peer` is named in the message.
Status FromGrpc(const grpc::Status& status, std::string_view peer);

/// Whether the same session may succeed when it is tried again.
inline bool MayRetry(const Status& status) { return status.code() == StatusCode::kUnavailable; }

/// Protocol buffers keep their complaints to themselves; else a peer's bad strings fill our standard error. What
/// matters comes as a status.
void SilenceMessages();

}  // namespace sluice

#endif  // SLUICE_WIRE_WIRE_STATUS_H_
