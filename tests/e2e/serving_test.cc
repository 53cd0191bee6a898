// A chain of devices as processes of their own on one machine, with the shipped model; every id is compared.
#include <signal.h>

#include "serving_test_base.h"

namespace sluice {
namespace {

class ServingTest : public ServingProgramTest {};

TEST_F(ServingTest, MatchesOneProcessOverOneToFourNodes) {
  const Node last = Serve(5, 6, "fp32", "");
  const Node third = Serve(3, 5, "fp32", last.address);
  const Node second = Serve(1, 3, "fp32", third.address);
  const Node half = Serve(3, 6, "fp32", "");
  for (const Arguments& sampling : {greedy_, seeded_}) {
    const auto uncut = Ids(sampling);
    ASSERT_GE(uncut.size(), 10U);
    EXPECT_EQ(Ids(Joined(sampling, {"--codec", "fp32", "--cut", "3"})), uncut);
    EXPECT_EQ(Ids(Joined(sampling, Head(3, "fp32", half.address))), uncut) << "two nodes";
    EXPECT_EQ(Ids(Joined(sampling, Head(3, "fp32", third.address))), uncut) << "three nodes";
    EXPECT_EQ(Ids(Joined(sampling, Head(1, "fp32", second.address))), uncut) << "four nodes";
  }
}

TEST_F(ServingTest, MatchesOneProcessWithEightSessionsAtOnce) {
  const Node tail = Serve(4, 6, "fp32", "");
  const Node relay = Serve(2, 4, "fp32", tail.address);
  std::vector<std::unique_ptr<RunningProgram>> heads;
  const auto sampling = [](int seed) {
    return Arguments{"--temperature", "1", "--seed", std::to_string(seed), "--max-tokens", "30"};
  };
  for (int i = 0; i < 8; ++i) {
    heads.push_back(std::make_unique<RunningProgram>(Generate(Joined(sampling(i), Head(2, "fp32", relay.address)))));
  }
  for (int i = 0; i < 8; ++i) {
    const Outcome outcome = heads[static_cast<size_t>(i)]->Wait();
    ASSERT_TRUE(Succeeded(outcome));
    EXPECT_EQ(outcome.Json()["ids"], Ids(sampling(i))) << "seed " << i;
  }
}

TEST_F(ServingTest, MatchesTheCutRunThroughLossyCodecs) {
  const std::string text = Shipped("text/shakespeare-select.txt");
  ASSERT_TRUE(Succeeded(Sluice({"encode", "--model", Shipped("default"), "--codec", "fp32", "--cut", "3", "--text",
                                text, "--threads", "1", "--quiet", "--out", Path("h.slc")})));
  ASSERT_TRUE(Succeeded(Sluice({"decode", "--in", Path("h.slc"), "--out", Path("h.safetensors")})));
  ASSERT_TRUE(Succeeded(Sluice({"fit-static", "--hidden", Path("h.safetensors"), "--bits-per-token", "500", "--cut",
                                "3", "--out", Path("static.pack"), "--quiet"})));
  for (const std::string& codec :
       {std::string("fp16"), std::string("int8"), Shipped("default-codec"), Path("static.pack").string()}) {
    const Node tail = Serve(3, 6, codec, "");
    for (const Arguments& sampling : {greedy_, seeded_}) {
      const Outcome apart = Sluice(Generate(Joined(sampling, Head(3, codec, tail.address))));
      const Outcome together = Sluice(Generate(Joined(sampling, {"--codec", codec, "--cut", "3"})));
      ASSERT_TRUE(Succeeded(apart));
      ASSERT_TRUE(Succeeded(together));
      EXPECT_EQ(apart.Json()["ids"], together.Json()["ids"]) << codec;
      EXPECT_LT(apart.Json()["wire_bytes"], apart.Json()["raw_bytes"]) << codec;
    }
  }
}

TEST_F(ServingTest, RoundTripsWithKeysAndCountsWhatCrossed) {
  ASSERT_TRUE(Succeeded(Sluice({"keys", "--out", Path("trial"), "head", "tail", "--quiet"})));
  Node tail = Serve(3, 6, "fp16", "", {"--keys", Path("trial/tail"), "--metrics-file", Path("tail.prom")});
  const Arguments head = Joined(greedy_, Head(3, "fp16", tail.address));
  const auto with_keys = Ids(Joined(head, {"--keys", Path("trial/head"), "--log-probabilities"}));
  EXPECT_EQ(with_keys, Ids(Joined(greedy_, {"--codec", "fp16", "--cut", "3"})));
  EXPECT_TRUE(Refused(Sluice(Plainly(Joined(head, {"--retry-seconds", "0"}))), "Unavailable"));
  tail.program->Send(SIGTERM);
  EXPECT_TRUE(Succeeded(tail.program->Wait()));
  const std::string metrics = FileBytes(Path("tail.prom"));
  EXPECT_NE(metrics.find("sluice_wire_bytes_total{link=\"" + tail.address + "\",codec=\"fp16\",phase=\"prefill\""),
            std::string::npos);
  EXPECT_NE(metrics.find("sluice_sessions 0\n"), std::string::npos);
}

TEST_F(ServingTest, RejectsWhatDoesNotFitByName) {
  const Node tail = Serve(3, 6, "fp16", "");
  const auto refused = [&](const Arguments& arguments, const char* code, const char* part) {
    EXPECT_TRUE(Refused(Sluice(Plainly(Joined(arguments, {"--max-tokens", "4"}))), code, part));
  };
  refused(Head(3, "int8", tail.address), "Mismatch", "codec: this node has fp16");
  refused(Head(2, "fp16", tail.address), "Mismatch", "cut: this node has layers 3:6");
  refused(Joined(Head(3, "fp16", tail.address), {"--require", "ppl<=1.01"}), "Mismatch", "certificate");
  refused(Joined(Head(3, "fp16", "127.0.0.1:9"), {"--retry-seconds", "0"}), "Unavailable", "127.0.0.1:9");
  refused(Head(3, "fp16", "10.0.0.1:9"), "InvalidArgument", "sluice keys");
  ExpectRefused({"serve", "--model", Shipped("default"), "--layers", "3:", "--codec", "fp16", "--listen", "0.0.0.0:0"},
                "InvalidArgument", "sluice keys");
  ExpectRefused(
      {"serve", "--model", Shipped("default"), "--layers", "2:4", "--codec", "fp16", "--listen", "127.0.0.1:0"},
      "InvalidArgument", "next node");
  ExpectRefused({"serve", "--model", Shipped("default"), "--layers", "4", "--codec", "fp16"}, "InvalidArgument", "I:J");
}

}  // namespace
}  // namespace sluice
