// Nodes that are killed, lines that are cut, clients that mean harm: after each of them the tokens are those of a run
// that nothing disturbed.
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>

#include "line.h"
#include "serving_test_base.h"

namespace sluice {
namespace {

constexpr uint64_t kHostileMemory = 128 << 20;

class ServingFaultTest : public ServingProgramTest {
 protected:
  /// The ids of one undisturbed process, through the codec at `cut`.
  nlohmann::json Calm(int cut) const { return Ids(Joined(long_, {"--codec", "fp16", "--cut", std::to_string(cut)})); }
  RunningProgram StartHead(int layers, const std::string& target, const Arguments& more = {}) const {
    return RunningProgram(
        Generate(Joined(Joined(Joined(long_, Head(layers, "fp16", target)), {"--log", "debug"}), more)));
  }
  static void ExpectResumed(RunningProgram& head, const nlohmann::json& expected) {
    const Outcome outcome = head.Wait();
    ASSERT_TRUE(Succeeded(outcome));
    EXPECT_EQ(outcome.Json()["ids"], expected);
    EXPECT_GE(outcome.Json()["resumes"], 1);
  }
  static uint64_t ResidentBytes(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
    uint64_t total = 0, resident = 0;
    file >> total >> resident;
    return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  }
  static double Metric(const std::string& text, const std::string& name) {
    const size_t at = text.find("\n" + name + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(at + name.size() + 2));
  }
};

TEST_F(ServingFaultTest, MatchesTheUndisturbedRunAfterTheTailIsKilled) {
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

TEST_F(ServingFaultTest, MatchesTheUndisturbedRunAfterARelayIsKilled) {
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

TEST_F(ServingFaultTest, MatchesTheUndisturbedRunAfterAStall) {
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

TEST_F(ServingFaultTest, CostsNoTokenWhenTheTailIsAskedToStop) {
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

TEST_F(ServingFaultTest, MatchesTheUndisturbedRunAfterTheLineIsCut) {
  const Node tail = Serve(3, 6, "fp16", "");
  Line line(tail.address);
  RunningProgram head = StartHead(3, line.address());
  for (const int frame : {1, 20, 60}) {
    ASSERT_TRUE(WaitForFrame(head, frame));
    line.Cut();
  }
  ExpectResumed(head, Calm(3));
  EXPECT_GT(line.bytes(), 0U);
}

TEST_F(ServingFaultTest, MatchesTheUndisturbedRunAfterALineGoesSilent) {
  const Node tail = Serve(3, 6, "fp16", "");
  Line line(tail.address);
  RunningProgram head = StartHead(3, line.address(), {"--stall-seconds", "1"});
  ASSERT_TRUE(WaitForFrame(head, 20));
  line.Hold(true);
  std::this_thread::sleep_for(std::chrono::seconds(3));
  line.Cut();
  line.Hold(false);
  ExpectResumed(head, Calm(3));
}

// A connection that needs a while is no fault: it is not given up and begun again.
TEST_F(ServingFaultTest, MatchesTheUndisturbedRunOverALineThatAnswersLate) {
  const Node tail = Serve(3, 6, "fp16", "");
  Line line(tail.address);
  line.Hold(true);
  RunningProgram head = StartHead(3, line.address());
  ASSERT_TRUE(WaitForWords(head, "connecting"));
  std::this_thread::sleep_for(std::chrono::seconds(2));
  line.Hold(false);
  const Outcome outcome = head.Wait();
  ASSERT_TRUE(Succeeded(outcome));
  EXPECT_EQ(outcome.Json()["ids"], Calm(3));
  EXPECT_EQ(head.ErrSoFar().find("link_lost"), std::string::npos) << head.ErrSoFar();
}

TEST_F(ServingFaultTest, MatchesTheUndisturbedRunAfterAllNodesComeBackInAnotherOrder) {
  Node tail = Serve(4, 6, "fp16", "");
  Node relay = Serve(2, 4, "fp16", tail.address);
  RunningProgram calm = StartHead(2, relay.address);
  const auto expected = calm.Wait().Json()["ids"];
  RunningProgram head = StartHead(2, relay.address);
  ASSERT_TRUE(WaitForFrame(head, 20));
  for (const Node* node : {&tail, &relay}) {
    node->program->Send(SIGKILL);
    node->program->Wait();
  }
  // The relay is there first and finds nobody behind it.
  relay = ServeAt(relay.address, 2, 4, "fp16", tail.address);
  std::this_thread::sleep_for(std::chrono::seconds(1));
  tail = ServeAt(tail.address, 4, 6, "fp16", "");
  ExpectResumed(head, expected);
}

TEST_F(ServingFaultTest, MatchesTheUndisturbedRunWhenTheHeadIsStartedAgain) {
  Node tail = Serve(3, 6, "fp16", "", {"--metrics-file", Path("tail.prom").string()});
  {
    RunningProgram killed = StartHead(3, tail.address);
    ASSERT_TRUE(WaitForFrame(killed, 20));
    killed.Send(SIGKILL);
    killed.Wait();
  }
  RunningProgram head = StartHead(3, tail.address);
  const Outcome outcome = head.Wait();
  ASSERT_TRUE(Succeeded(outcome));
  EXPECT_EQ(outcome.Json()["ids"], Calm(3));
  tail.program->Send(SIGTERM);
  EXPECT_TRUE(Succeeded(tail.program->Wait()));
  const std::string metrics = FileBytes(Path("tail.prom"));
  EXPECT_EQ(Metric(metrics, "sluice_sessions"), 0);
  EXPECT_EQ(Metric(metrics, "sluice_sessions_total"), 2);
}

TEST_F(ServingFaultTest, RejectsAnotherModelBehindTheSameAddressAfterAFault) {
  Node tail = Serve(3, 6, "fp16", "");
  RunningProgram head = StartHead(3, tail.address);
  ASSERT_TRUE(WaitForFrame(head, 20));
  tail.program->Send(SIGKILL);
  tail.program->Wait();
  tail = ServeAt(tail.address, 3, 6, "int8", "");
  const Outcome outcome = head.Wait();
  EXPECT_EQ(outcome.exit_code, 6) << outcome;
  EXPECT_NE(outcome.err.find("codec: this node has int8"), std::string::npos) << outcome;
}

TEST_F(ServingFaultTest, CostsAnHonestSessionNothingThatSixtyFourHostileClientsAreThere) {
  Node tail = Serve(3, 6, "fp16", "", {"--handshake-seconds", "2", "--idle-seconds", "2"});
  const auto expected = Calm(3);
  EXPECT_EQ(Ids(Joined(long_, Head(3, "fp16", tail.address))), expected);
  const uint64_t before = ResidentBytes(tail.program->pid());
  // A third says nothing, a third sends what is no HTTP/2, a third begins one and lets it trickle.
  const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  std::vector<int> clients;
  for (int i = 0; i < 64; ++i) {
    const int client = ConnectTo(tail.address);
    ASSERT_GE(client, 0);
    clients.push_back(client);
    const std::string said = i % 3 == 1 ? std::string(60'000, static_cast<char>(0x80 + i)) : preface;
    if (i % 3 != 0) (void)send(client, said.data(), said.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  RunningProgram head = StartHead(3, tail.address);
  for (int step = 0; step < 2000 && !head.Ended(); ++step) {
    const char zero = 0;
    for (size_t i = 2; i < clients.size(); i += 3) (void)send(clients[i], &zero, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  const Outcome outcome = head.Wait();
  ASSERT_TRUE(Succeeded(outcome));
  EXPECT_EQ(outcome.Json()["ids"], expected);
  EXPECT_LT(ResidentBytes(tail.program->pid()), before + kHostileMemory);
  for (const int client : clients) close(client);
  EXPECT_EQ(Ids(Joined(long_, Head(3, "fp16", tail.address))), expected);
}

}  // namespace
}  // namespace sluice
