#ifndef SLUICE_TESTS_E2E_SERVING_TEST_BASE_H_
#define SLUICE_TESTS_E2E_SERVING_TEST_BASE_H_

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "program_test_base.h"

namespace sluice {

/// Chains of nodes on this machine, with the shipped model. The reference is one process with the same codec and the
/// same chunks of the prompt.
class ServingProgramTest : public ProgramTest {
 protected:
  static constexpr int kLayers = 6;

  static std::string Shipped(std::string_view name) {
    return (std::filesystem::path(SLUICE_SOURCE_DIR) / "models" / name).string();
  }

  struct Node {
    std::unique_ptr<RunningProgram> program;
    std::string address;
  };

  static std::string Layers(int begin, int end) {
    return std::to_string(begin) + ":" + (end == kLayers ? "" : std::to_string(end));
  }

  static Node Serve(int begin, int end, const std::string& codec, const std::string& next, const Arguments& more = {}) {
    return ServeAt("127.0.0.1:0", begin, end, codec, next, more);
  }
  static Node ServeAt(const std::string& address, int begin, int end, const std::string& codec, const std::string& next,
                      const Arguments& more = {}) {
    Arguments arguments = {
        "serve",    "--model", Shipped("default"), "--layers", Layers(begin, end), "--codec", codec,
        "--listen", address,   "--threads",        "1",        "--json",           "--log",   "warning"};
    if (!next.empty()) arguments.insert(arguments.end(), {"--next", next});
    arguments.insert(arguments.end(), more.begin(), more.end());
    Node node{std::make_unique<RunningProgram>(arguments), ""};
    for (int i = 0; i < 6000 && !node.program->Ended() && node.address.empty(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      const auto said = nlohmann::json::parse(node.program->OutSoFar(), nullptr, false);
      if (said.is_object() && said.contains("listening")) node.address = said["listening"];
    }
    EXPECT_FALSE(node.address.empty()) << node.program->ErrSoFar();
    return node;
  }

  Arguments Generate(const Arguments& more) const {
    Arguments arguments = {"generate", "--model", Shipped("default"), "--file", prompt_,
                           "--chunk",  "16",      "--threads",        "1",      "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  /// The same, with its errors on standard error alone.
  Arguments Plainly(const Arguments& more) const {
    Arguments arguments = Generate(more);
    std::erase(arguments, "--json");
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
    return WaitForWords(head, "sequence=" + std::to_string(sequence) + " ");
  }
  static bool WaitForWords(RunningProgram& head, const std::string& wanted) {
    for (int i = 0; i < 30000 && !head.Ended(); ++i) {
      if (head.ErrSoFar().find(wanted) != std::string::npos) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return false;
  }

  const std::string prompt_ =
      Write("prompt.txt",
            FileBytes(std::filesystem::path(SLUICE_SOURCE_DIR) / "models/text/shakespeare-report.txt").substr(0, 150));
  const Arguments greedy_ = {"--temperature", "0", "--max-tokens", "40"};
  const Arguments seeded_ = {"--temperature", "1.1", "--top-k", "50", "--seed", "7", "--max-tokens", "40"};
  const Arguments long_ = {"--temperature", "1", "--seed", "3", "--max-tokens", "120"};
};

}  // namespace sluice

#endif  // SLUICE_TESTS_E2E_SERVING_TEST_BASE_H_
