// The session protocol. Proves, for every message that a peer might send: a Hello that is taken is within the node's
// limits and is what the node holds; a frame that is decoded has as many rows as it said, and none of its sizes made
// anybody allocate more; every failure that a peer names becomes a status with words that can be shown.
#include <algorithm>

#include "fuzz_input.h"
#include "wire/handshake.h"
#include "wire/link_codec.h"
#include "wire/wire_status.h"

namespace sluice {
namespace {

constexpr uint32_t kWidth = 16;

struct Node {
  StageInfo stage{
      .begin = 3, .end = 6, .total = 6, .width = kWidth, .context = 200, .model = {}, .bytes_per_position = 64};
  WireLimits limits{.chunk_tokens = 64};
  std::unique_ptr<LinkCodec> codec = *OpenLinkCodec("int8", {stage.model, kWidth, 3});
};

void CheckTakenHello(const wire::Hello& hello, const Node& node) {
  if (!CheckHello(hello, node.stage, *node.codec, node.limits).ok()) return;
  FUZZ_REQUIRE(hello.positions() >= 1 && hello.positions() <= node.stage.context);
  FUZZ_REQUIRE(hello.chunk_tokens() >= 1 && hello.chunk_tokens() <= node.limits.chunk_tokens);
  FUZZ_REQUIRE(hello.session().size() == 32 && hello.hops() <= kMaxHops);
  FUZZ_REQUIRE(static_cast<size_t>(hello.stop_size()) <= kMaxStopTokens);
  const wire::Hello next = ForwardedHello(hello, node.stage, *node.codec);
  FUZZ_REQUIRE(next.hops() == hello.hops() + 1 && next.layers().end() == node.stage.end);
}

void CheckFrame(const wire::Frame& frame, LinkReceiver& receiver, bool& broken) {
  if (broken) return;
  const LinkFrame coded{frame.tokens(), frame.stored(), {frame.payload().begin(), frame.payload().end()}};
  const Result<Matrix<float>> hidden = receiver.Pull(coded);
  broken = !hidden.ok();
  if (broken) FUZZ_REQUIRE(hidden.status().code() != StatusCode::kInternal);
  if (!broken) FUZZ_REQUIRE(hidden->rows() == frame.tokens() && hidden->cols() == kWidth);
}

void CheckWords(const wire::Failure& failure, std::string_view bytes) {
  for (const Status& status :
       {FromFailure(failure), FromGrpc({grpc::StatusCode::INTERNAL, "x", std::string(bytes)}, "p")}) {
    FUZZ_REQUIRE(!status.ok() && status.message().size() < 4096);
    FUZZ_REQUIRE(std::none_of(status.message().begin(), status.message().end(),
                              [](char c) { return static_cast<unsigned char>(c) < ' '; }));
  }
}

/// Messages one behind the other: a byte pair with the length of each, then its bytes.
void Talk(std::span<const uint8_t> bytes) {
  static const Node* const node = new Node;
  LinkReceiver receiver(*node->codec);
  bool broken = false;
  while (bytes.size() >= 2) {
    const size_t length = std::min<size_t>(bytes[0] | bytes[1] << 8, bytes.size() - 2);
    const std::string_view message(reinterpret_cast<const char*>(bytes.data() + 2), length);
    wire::Request request;
    if (request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      if (request.has_hello()) CheckTakenHello(request.hello(), *node);
      if (request.has_frame()) CheckFrame(request.frame(), receiver, broken);
    }
    wire::Reply reply;
    if (reply.ParseFromArray(message.data(), static_cast<int>(message.size()))) CheckWords(reply.failure(), message);
    bytes = bytes.subspan(2 + length);
  }
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::Talk({data, size});
  return 0;
}
