#include "wire/wire_status.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(WireStatusTest, RoundTripsEveryCode) {
  for (int code = 1; code <= static_cast<int>(StatusCode::kTimedOut); ++code) {
    const Status status(static_cast<StatusCode>(code), "what, where");
    const Status back = FromGrpc(ToGrpc(status, "tail"), "10.0.0.2:7070");
    EXPECT_EQ(back.code(), status.code());
    EXPECT_EQ(back.message(), "tail: what, where");
  }
  EXPECT_TRUE(ToGrpc(OkStatus(), "tail").ok());
}

TEST(WireStatusTest, MatchesWhatTheTransportSays) {
  const auto code = [](grpc::StatusCode grpc_code, const char* message) {
    return FromGrpc(grpc::Status(grpc_code, message), "peer").code();
  };
  EXPECT_EQ(code(grpc::StatusCode::UNAVAILABLE, "connection refused"), StatusCode::kUnavailable);
  EXPECT_EQ(code(grpc::StatusCode::UNAVAILABLE, "Ssl handshake failed: certificate verify failed"),
            StatusCode::kDenied);
  EXPECT_EQ(code(grpc::StatusCode::UNKNOWN, "stream removed"), StatusCode::kUnavailable);
  EXPECT_EQ(code(grpc::StatusCode::UNIMPLEMENTED, ""), StatusCode::kUnsupported);
  EXPECT_EQ(code(grpc::StatusCode::DEADLINE_EXCEEDED, ""), StatusCode::kTimedOut);
}

TEST(WireStatusTest, RejectsControlCharactersAndEndlessWordsOfAPeer) {
  wire::Failure failure;
  failure.set_code(static_cast<uint32_t>(StatusCode::kMismatch));
  failure.set_node("tail\n");
  failure.set_message("\x1b[2Jcodec");
  EXPECT_EQ(FromFailure(failure).message(), "tail?: ?[2Jcodec");
  failure.set_message(std::string(100'000, 'x'));
  EXPECT_LT(FromFailure(failure).message().size(), 3000U);
}

TEST(WireStatusTest, RejectsCodesItDoesNotKnow) {
  wire::Failure failure;
  failure.set_code(200);
  EXPECT_EQ(FromFailure(failure).code(), StatusCode::kInternal);
  EXPECT_EQ(FromGrpc(grpc::Status(grpc::StatusCode::INTERNAL, "x", "\xff\xff not a message"), "p").code(),
            StatusCode::kUnavailable);
}

}  // namespace
}  // namespace sluice
