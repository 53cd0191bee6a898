// A chain of devices as processes of their own on one machine, with the shipped model. The reference is always one
// process with the same codec and the same chunks of the prompt; every id is compared.
#include <signal.h>

#include <chrono>
#include <memory>
#include <thread>

#include "program_test_base.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr int kLayers = 6;

class ServingTest : public ProgramTest {
 protected:
  static std::string Shipped(std::string_view name) { return (fs::path(SLUICE_SOURCE_DIR) / "models" / name).string(); }

  struct Node {
    std::unique_ptr<RunningProgram> program;
    std::string address;
  };

  static std::string Layers(int begin, int end) {
    return std::to_string(begin) + ":" + (end == kLayers ? "" : std::to_string(end));
  }

  static Node Serve(int begin, int end, const std::string& codec, const std::string& next, const Arguments& more = {}) {
    Arguments arguments = {
        "serve",    "--model",     Shipped("default"), "--layers", Layers(begin, end), "--codec", codec,
        "--listen", "127.0.0.1:0", "--threads",        "1",        "--json",           "--log",   "warning"};
    if (!next.empty()) arguments.insert(arguments.end(), {"--next", next});
    for (const std::string& argument : more) arguments.push_back(argument);
    Node node{std::make_unique<RunningProgram>(arguments), ""};
    for (int i = 0; i < 6000 && !node.program->Ended() && node.address.empty(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      const auto said = nlohmann::json::parse(node.program->OutSoFar(), nullptr, false);
      if (said.is_object() && said.contains("listening")) node.address = said["listening"];
    }
    EXPECT_FALSE(node.address.empty()) << node.program->ErrSoFar();
    return node;
  }
  static Node ServeAt(const std::string& address, int begin, int end, const std::string& codec,
                      const std::string& next) {
    return Serve(begin, end, codec, next, {"--listen", address});
  }

  Arguments Generate(const Arguments& more) const {
    Arguments arguments = {"generate", "--model", Shipped("default"), "--file", prompt_,
                           "--chunk",  "16",      "--threads",        "1",      "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  nlohmann::json Ids(const Arguments& more) const {
    const Outcome outcome = Sluice(Generate(more));
    EXPECT_TRUE(Succeeded(outcome));
    return outcome.Json()["ids"];
  }
  static Arguments Joined(Arguments first, const Arguments& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
  }
  Arguments Head(int layers, const std::string& codec, const std::string& target) const {
    return {"--layers", Layers(0, layers), "--codec", codec, "--connect", target};
  }

  /// Waits until a head whose log is at debug has sent a frame.
  static bool WaitForFrame(RunningProgram& head, int sequence) {
    const std::string wanted = "sequence=" + std::to_string(sequence) + " ";
    for (int i = 0; i < 30000 && !head.Ended(); ++i) {
      if (head.ErrSoFar().find(wanted) != std::string::npos) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return false;
  }

  const std::string prompt_ =
      Write("prompt.txt", FileBytes(fs::path(SLUICE_SOURCE_DIR) / "models/text/shakespeare-report.txt").substr(0, 150));
  const Arguments greedy_ = {"--temperature", "0", "--max-tokens", "40"};
  const Arguments seeded_ = {"--temperature", "1.1", "--top-k", "50", "--seed", "7", "--max-tokens", "40"};
  const Arguments long_ = {"--temperature", "1", "--seed", "3", "--max-tokens", "120"};
};

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
  ASSERT_TRUE(
      Succeeded(Sluice({"fit-static", "--hidden", Path("h.safetensors"), "--out", Path("static.pack"), "--quiet"})));
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

TEST_F(ServingTest, MatchesTheUndisturbedRunAfterTheTailIsKilled) {
  Node tail = Serve(3, 6, "fp16", "");
  const auto expected = Ids(Joined(long_, {"--codec", "fp16", "--cut", "3"}));
  RunningProgram head(Generate(Joined(Joined(long_, Head(3, "fp16", tail.address)), {"--log", "debug"})));
  ASSERT_TRUE(WaitForFrame(head, 20));
  tail.program->Send(SIGKILL);
  tail.program->Wait();
  tail = ServeAt(tail.address, 3, 6, "fp16", "");
  const Outcome outcome = head.Wait();
  ASSERT_TRUE(Succeeded(outcome));
  EXPECT_EQ(outcome.Json()["ids"], expected);
  EXPECT_GE(outcome.Json()["resumes"], 1);
}

TEST_F(ServingTest, MatchesTheUndisturbedRunAfterARelayIsKilled) {
  const Node tail = Serve(4, 6, "fp16", "");
  Node relay = Serve(2, 4, "fp16", tail.address);
  RunningProgram calm(Generate(Joined(long_, Head(2, "fp16", relay.address))));
  const auto expected = calm.Wait().Json()["ids"];
  ASSERT_GE(expected.size(), 40U);
  RunningProgram head(Generate(Joined(Joined(long_, Head(2, "fp16", relay.address)), {"--log", "debug"})));
  ASSERT_TRUE(WaitForFrame(head, 20));
  relay.program->Send(SIGKILL);
  relay.program->Wait();
  relay = ServeAt(relay.address, 2, 4, "fp16", tail.address);
  const Outcome outcome = head.Wait();
  ASSERT_TRUE(Succeeded(outcome));
  EXPECT_EQ(outcome.Json()["ids"], expected);
  EXPECT_GE(outcome.Json()["resumes"], 1);
}

TEST_F(ServingTest, MatchesTheUndisturbedRunAfterAStall) {
  const Node tail = Serve(3, 6, "fp16", "");
  const auto expected = Ids(Joined(long_, {"--codec", "fp16", "--cut", "3"}));
  RunningProgram head(
      Generate(Joined(Joined(long_, Head(3, "fp16", tail.address)), {"--log", "debug", "--stall-seconds", "1"})));
  ASSERT_TRUE(WaitForFrame(head, 20));
  tail.program->Send(SIGSTOP);
  std::this_thread::sleep_for(std::chrono::seconds(3));
  tail.program->Send(SIGCONT);
  const Outcome outcome = head.Wait();
  ASSERT_TRUE(Succeeded(outcome));
  EXPECT_EQ(outcome.Json()["ids"], expected);
  EXPECT_GE(outcome.Json()["resumes"], 1);
}

TEST_F(ServingTest, CostsNoTokenWhenTheTailIsAskedToStop) {
  Node tail = Serve(3, 6, "fp16", "");
  RunningProgram head(Generate(Joined(Joined(long_, Head(3, "fp16", tail.address)), {"--log", "debug"})));
  ASSERT_TRUE(WaitForFrame(head, 20));
  tail.program->Send(SIGTERM);
  const Outcome outcome = head.Wait();
  ASSERT_TRUE(Succeeded(outcome));
  EXPECT_EQ(outcome.Json()["ids"], Ids(Joined(long_, {"--codec", "fp16", "--cut", "3"})));
  EXPECT_EQ(outcome.Json()["resumes"], 0);
  EXPECT_TRUE(Succeeded(tail.program->Wait()));
}

TEST_F(ServingTest, RoundTripsWithKeysAndCountsWhatCrossed) {
  ASSERT_TRUE(Succeeded(Sluice({"keys", "--out", Path("trial"), "head", "tail", "--quiet"})));
  Node tail = Serve(3, 6, "fp16", "", {"--keys", Path("trial/tail"), "--metrics-file", Path("tail.prom")});
  const Arguments head = Joined(greedy_, Head(3, "fp16", tail.address));
  const auto with_keys = Ids(Joined(head, {"--keys", Path("trial/head"), "--log-probabilities"}));
  EXPECT_EQ(with_keys, Ids(Joined(greedy_, {"--codec", "fp16", "--cut", "3"})));
  EXPECT_TRUE(Refused(Sluice(Generate(Joined(head, {"--retry-seconds", "0"}))), "Unavailable"));
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
    EXPECT_TRUE(Refused(Sluice(Generate(Joined(arguments, {"--max-tokens", "4"}))), code, part));
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
