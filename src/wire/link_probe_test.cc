#include "wire/link_probe.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "wire/tiny_network_test.h"

namespace sluice {
namespace {

TEST(LinkProbeTest, MatchesWhatTheNodeTakes) {
  const TestNode node = TestNode::Serve(3, 6, "fp16", {}, {"int8", "fp32"});
  const auto report = ProbeLink(*LinkPeer::Make(node.server->address(), {}), 10);
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->codecs, (std::vector<std::string>{"plain:fp16", "plain:int8", "plain:fp32"}));
  EXPECT_GT(report->speed.bits_per_second, 1e6);
  EXPECT_LT(report->speed.round_trip_seconds, 1);
}

TEST(LinkProbeTest, MatchesTheCutRunThroughEachCodecOfANode) {
  const TestNode node = TestNode::Serve(3, 6, "fp16", {}, {"int8"});
  const HeadRequest request = RequestOf(30, 5);
  for (const char* codec : {"fp16", "int8"}) {
    const auto outcome = TestHead::Connect(3, codec, node.server->address()).head->Generate(request, nullptr);
    ASSERT_TRUE(outcome.ok()) << outcome.status().ToString();
    EXPECT_EQ(IdsOf(*outcome), TinyNetwork::CutRun(request, 3, codec));
  }
  const auto refused = TestHead::Connect(3, "fp32", node.server->address()).head->Generate(request, nullptr);
  EXPECT_EQ(refused.status().code(), StatusCode::kMismatch);
  EXPECT_NE(refused.status().message().find("fp16 (plain:fp16), int8 (plain:int8)"), std::string::npos)
      << refused.status().ToString();
}

TEST(LinkProbeTest, RejectsCallersWithoutTheToken) {
  NodeOptions options;
  options.trust.token = "s3cret";
  const TestNode node = TestNode::Serve(3, 6, "fp32", options);
  EXPECT_EQ(ProbeLink(*LinkPeer::Make(node.server->address(), {}), 10).status().code(), StatusCode::kDenied);
  EXPECT_EQ(ProbeLink(*LinkPeer::Make("127.0.0.1:9", {}), 1).status().code(), StatusCode::kUnavailable);
}

}  // namespace
}  // namespace sluice
