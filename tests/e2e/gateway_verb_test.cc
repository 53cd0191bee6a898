// `sluice gateway` as its users meet it: through OpenAI's own client under node, and through the curl commands that
// docs/serving.md shows. The tokens are compared with those of `sluice generate`.
#include <signal.h>

#include <cstdio>
#include <sstream>

#include "serving_test_base.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr const char* kToken = "a-token-for-the-test";

/// Runs a command of the shell; its standard output, and its exit code.
std::pair<std::string, int> Shell(const std::string& command) {
  std::FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return {"", -1};
  std::string out;
  for (int c; (c = std::fgetc(pipe)) != EOF;) out += static_cast<char>(c);
  const int status = pclose(pipe);
  return {out, WIFEXITED(status) ? WEXITSTATUS(status) : -1};
}

bool HaveCommand(const std::string& name) { return Shell("command -v " + name).second == 0; }

class GatewayVerbTest : public ServingProgramTest {
 protected:
  /// A gateway that listens; what it says about itself goes to `said`.
  static std::unique_ptr<RunningProgram> Gateway(const Arguments& more, nlohmann::json& said) {
    auto program = std::make_unique<RunningProgram>(
        Joined({"gateway", "--model", Shipped("default"), "--chunk", "16", "--chat-template", "plain", "--listen",
                "127.0.0.1:0", "--threads", "1", "--json", "--log", "warning"},
               more));
    for (int i = 0; i < 6000 && !program->Ended() && !said.contains("listening"); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      said = nlohmann::json::parse(program->OutSoFar(), nullptr, false);
      if (!said.is_object()) said = nlohmann::json::object();
    }
    EXPECT_TRUE(said.contains("listening")) << program->ErrSoFar();
    return program;
  }

  static nlohmann::json Generated(const Arguments& more) {
    const Outcome outcome = Sluice(Joined({"generate", "--model", Shipped("default"), "-p", kPrompt, "--chunk", "16",
                                           "--threads", "1", "-n", "40", "--json"},
                                          more));
    EXPECT_TRUE(Succeeded(outcome));
    return outcome.Json()["ids"];
  }

  /// The ids of a completion that curl asks for.
  static nlohmann::json Asked(const std::string& address, const std::string& fields) {
    const std::string body = std::string("{\"prompt\": \"") + kPrompt +
                             "\", \"max_tokens\": 40, \"return_token_ids\": true, " + fields + "}";
    const auto [out, code] =
        Shell("curl -sS http://" + address + "/v1/completions -H 'Content-Type: application/json' -d '" + body + "'");
    EXPECT_EQ(code, 0) << out;
    return nlohmann::json::parse(out, nullptr, false)["choices"][0]["token_ids"];
  }

  static constexpr const char* kPrompt = "ROMEO: What light through yonder window breaks?";
};

TEST_F(GatewayVerbTest, MatchesGenerateThroughOpenAisClient) {
  if (!HaveCommand("node") || !fs::exists(fs::path(SLUICE_SOURCE_DIR) / "node_modules/openai")) {
    GTEST_SKIP() << "NOT TESTED: OpenAI's client needs node and the packages of package-lock.json; run "
                    "tools/install_deps.sh";
  }
  const Node tail = Serve(3, 6, "fp16", "");
  const Arguments cut = Head(3, "fp16", tail.address);
  nlohmann::json said;
  const auto gateway = Gateway(Joined(cut, {"--api-token-file", Write("token", kToken).string()}), said);
  const std::string script = (fs::path(SLUICE_SOURCE_DIR) / "tests/e2e/openai_client.mjs").string();
  const auto [out, code] = Shell("timeout 120 node '" + script + "' " + said["url"].get<std::string>() + " " + kToken +
                                 " '" + kPrompt + "'");
  ASSERT_EQ(code, 0) << out << gateway->ErrSoFar();
  const auto result = nlohmann::json::parse(out, nullptr, false);
  ASSERT_TRUE(result.is_object()) << out;

  EXPECT_EQ(result["greedy"]["ids"], Generated(Joined(cut, {"--temperature", "0"})));
  EXPECT_EQ(result["seeded"]["ids"], Generated(Joined(cut, {"--temperature", "1.1", "--seed", "7"})));
  EXPECT_EQ(result["model"], "default");
  EXPECT_GT(result["greedy"]["events"], 10);
  EXPECT_EQ(result["greedy"]["usage"]["completion_tokens"], result["greedy"]["ids"].size());
  EXPECT_EQ(result["greedy"]["text"], result["whole"]["text"]);
  EXPECT_EQ(result["greedy"]["usage"], result["whole"]["usage"]);
  EXPECT_EQ(result["chat"], result["spoken"]);
  EXPECT_EQ(result["wrong_field"]["kind"], "BadRequestError");
  EXPECT_EQ(result["wrong_field"]["param"], "n");
  EXPECT_EQ(result["wrong_model"]["kind"], "NotFoundError");
  EXPECT_EQ(result["wrong_token"]["kind"], "AuthenticationError");
  gateway->Send(SIGTERM);
  EXPECT_TRUE(Succeeded(gateway->Wait()));
}

TEST_F(GatewayVerbTest, MatchesGenerateInOneProcess) {
  if (!HaveCommand("curl")) GTEST_SKIP() << "NOT TESTED: there is no curl";
  for (const Arguments& cut :
       {Arguments{}, Arguments{"--codec", "int8", "--cut", "2"}, Arguments{"--codec", Shipped("default-codec")}}) {
    nlohmann::json said;
    const auto gateway = Gateway(cut, said);
    EXPECT_EQ(Asked(said["listening"], "\"temperature\": 0"), Generated(Joined(cut, {"--temperature", "0"})));
    EXPECT_EQ(Asked(said["listening"], "\"temperature\": 0.9, \"top_p\": 0.8, \"seed\": 11"),
              Generated(Joined(cut, {"--temperature", "0.9", "--top-p", "0.8", "--seed", "11"})));
  }
}

/// The commands of the section "HTTP" of docs/serving.md that call curl, each in one line.
std::vector<std::string> DocumentedCurls() {
  std::istringstream lines(FileBytes(fs::path(SLUICE_SOURCE_DIR) / "docs/serving.md"));
  std::vector<std::string> commands;
  bool section = false, joined = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("## ")) section = line == "## HTTP";
    if (!section || (!joined && !line.starts_with("curl "))) continue;
    if (!joined) commands.emplace_back();
    joined = line.ends_with('\\');
    commands.back() += joined ? line.substr(0, line.size() - 1) : line;
  }
  return commands;
}

TEST_F(GatewayVerbTest, MatchesTheCurlCommandsOfTheDocuments) {
  if (!HaveCommand("curl")) GTEST_SKIP() << "NOT TESTED: there is no curl";
  nlohmann::json said;
  const auto gateway = Gateway({}, said);
  const std::string documented = "127.0.0.1:8080", address = said["listening"];
  const std::vector<std::string> commands = DocumentedCurls();
  ASSERT_GE(commands.size(), 5U);
  for (std::string command : commands) {
    const size_t at = command.find(documented);
    ASSERT_NE(at, std::string::npos) << command;
    command.replace(at, documented.size(), address);
    const auto [out, code] = Shell(command);
    EXPECT_EQ(code, 0) << command;
    EXPECT_EQ(out.find("\"error\""), std::string::npos) << command << "\n" << out;
    const bool stream = command.find("\"stream\": true") != std::string::npos;
    const bool metrics = command.find("/metrics") != std::string::npos;
    if (stream) {
      EXPECT_TRUE(out.ends_with("data: [DONE]\n\n")) << command << "\n" << out;
    } else if (metrics) {
      EXPECT_NE(out.find("sluice_http_requests_total{"), std::string::npos);
    } else {
      EXPECT_TRUE(nlohmann::json::accept(out)) << command << "\n" << out;
    }
  }
}

TEST_F(GatewayVerbTest, RejectsWhatCannotBe) {
  const auto refused = [&](const Arguments& more, const char* part) {
    ExpectRefused(Joined({"gateway", "--model", Shipped("default")}, more), "InvalidArgument", part);
  };
  refused({"--listen", "0.0.0.0:0"}, "without keys");
  refused({"--listen", "0.0.0.0:0", "--no-tls"}, "without a token");
  refused({"--chat-template", "chatml"}, "<|im_start|>");
  refused({"--layers", "3:", "--codec", "fp16", "--connect", "127.0.0.1:9"}, "expected :K");
  refused({"--layers", ":3", "--connect", "127.0.0.1:9"}, "--codec");
}

}  // namespace
}  // namespace sluice
