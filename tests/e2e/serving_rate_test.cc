// Codecs that are chosen by the link, and what watches and loads a chain.
#include <signal.h>

#include <fstream>
#include <set>

#include "line.h"
#include "serving_test_base.h"

namespace sluice {
namespace {

constexpr double kSlowBytesPerSecond = 60'000;

class ServingRateTest : public ServingProgramTest {
 protected:
  nlohmann::json Rated(const std::string& target, const Arguments& rule,
                       const std::string& codecs = "fp16,int8") const {
    const Outcome outcome = Sluice(Generate(Joined(Joined(greedy_, Head(3, codecs, target)), rule)));
    EXPECT_TRUE(Succeeded(outcome));
    return outcome.Json();
  }
  /// What follows "--" in a text, up to what is no letter.
  static std::set<std::string> OptionsIn(const std::string& text) {
    std::set<std::string> options;
    for (size_t at = text.find("--"); at != std::string::npos; at = text.find("--", at + 2)) {
      const size_t end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz-", at);
      const std::string option = text.substr(at, end - at);
      if (option.size() > 3 && option[2] != '-') options.insert(option);
    }
    return options;
  }
};

TEST_F(ServingRateTest, MatchesTheCutRunWithTheCodecThatTheLinkChose) {
  Node tail = Serve(3, 6, "fp16,int8", "", {"--metrics-file", Path("tail.prom").string()});
  Line slow(tail.address);
  slow.Limit(kSlowBytesPerSecond);
  const auto choice = Rated(slow.address(), {"--auto", "--metrics-file", Path("head.prom").string()});
  EXPECT_EQ(choice["rate"]["chosen"], "int8") << choice["rate"];
  EXPECT_LT(choice["rate"]["link_bits_per_second"], 3 * 8 * kSlowBytesPerSecond) << choice["rate"];
  EXPECT_EQ(choice["ids"], Ids(Joined(greedy_, {"--codec", "int8", "--cut", "3"})));
  const std::string metrics = FileBytes(Path("head.prom"));
  EXPECT_NE(metrics.find("sluice_break_even_bits_per_second{link=\"" + slow.address() + "\",codec=\"int8\"}"),
            std::string::npos);
  EXPECT_NE(metrics.find("sluice_link_bits_per_second{"), std::string::npos);

  const double fp16 = choice["rate"]["codecs"][0]["bits_per_token"],
               int8 = choice["rate"]["codecs"][1]["bits_per_token"];
  const auto bits = [&](double most) { return Rated(tail.address, {"--target-bits-per-token", std::to_string(most)}); };
  EXPECT_EQ(bits(fp16 + 1)["rate"]["chosen"], "fp16");
  EXPECT_EQ(bits(fp16 + 1)["rate"]["bypass"], "target_met_without");
  EXPECT_EQ(bits(int8 + 1)["rate"]["chosen"], "int8");
  EXPECT_EQ(bits(1)["rate"]["target_met"], false);
  const auto relaxed = Rated(tail.address, {"--target-ttft", "100", "--metrics-file", Path("relaxed.prom").string()});
  EXPECT_EQ(relaxed["rate"]["chosen"], "fp16");
  EXPECT_EQ(relaxed["ids"], Ids(Joined(greedy_, {"--codec", "fp16", "--cut", "3"})));
  EXPECT_NE(FileBytes(Path("relaxed.prom")).find("reason=\"target_met_without\"} "), std::string::npos);

  tail.program->Send(SIGTERM);
  EXPECT_TRUE(Succeeded(tail.program->Wait()));
  const Outcome top = Sluice({"top", "--once", Path("tail.prom").string()});
  EXPECT_TRUE(Succeeded(top));
  for (const char* part : {"fp16", "int8", "prefill", "received", "sessions 0 now, 6 in all"}) {
    EXPECT_NE(top.out.find(part), std::string::npos) << part << "\n" << top.out;
  }
  const Outcome sums = Sluice({"top", "--json", Path("tail.prom").string()});
  EXPECT_TRUE(Succeeded(sums));
  EXPECT_EQ(sums.Json()["nodes"][0]["sessions"], 6) << sums;
}

TEST_F(ServingRateTest, MatchesTheCutRunAtTheOperatingPointThatMeetsTheTarget) {
  const std::string pack = Shipped("default-sluice.pack");
  const Node tail = Serve(3, 6, "fp16," + pack, "");
  const auto first = Rated(tail.address, {"--target-bits-per-token", "1"}, "fp16," + pack);
  const auto& codecs = first["rate"]["codecs"];
  ASSERT_GT(codecs.size(), 3u);
  EXPECT_EQ(first["rate"]["target_met"], false);
  EXPECT_EQ(first["rate"]["chosen"], codecs.back()["name"]);
  for (size_t point = 1; point + 1 < codecs.size(); ++point) {
    EXPECT_GT(codecs[point]["bits_per_token"], codecs[point + 1]["bits_per_token"]);
  }
  const double target = codecs[3]["bits_per_token"].get<double>() + 1e-3;
  const auto met = Rated(tail.address, {"--target-bits-per-token", std::to_string(target)}, "fp16," + pack);
  EXPECT_EQ(met["rate"]["chosen"], "context@2");
  EXPECT_EQ(met["ids"], Ids(Joined(greedy_, {"--codec", pack + "@2", "--cut", "3"})));
  EXPECT_TRUE(Refused(Sluice(Plainly(Head(3, pack + "@8", tail.address))), "InvalidArgument", "operating point 8"));
}

TEST_F(ServingRateTest, RejectsRulesThatContradictAndCodecsThatNobodyTakes) {
  const Node tail = Serve(3, 6, "fp16,int8", "");
  const auto refused = [&](const Arguments& arguments, const char* code, const char* part) {
    EXPECT_TRUE(Refused(Sluice(Plainly(arguments)), code, part));
  };
  refused(Joined(Head(3, "fp16", tail.address), {"--auto", "--target-ttft", "1"}), "InvalidArgument", "--target-ttft");
  refused({"--codec", "fp16", "--auto"}, "InvalidArgument", "--connect");
  refused(Joined(Head(3, "fp32,int4", tail.address), {"--auto"}), "Mismatch", "takes none of 'fp32,int4'");
  ExpectRefused({"top", "--once", Path("absent.prom").string()}, "Io", "absent.prom");
}

TEST_F(ServingRateTest, CostsOfALoadAreReported) {
  const Node tail = Serve(3, 6, "fp16", "");
  const Arguments load = {
      "load",      "--model", Shipped("default"), "--layers", ":3",           "--codec", "fp16",  "--sessions", "4",
      "--seconds", "1",       "--prompt-tokens",  "20",       "--max-tokens", "5",       "--json"};
  for (const Arguments& where : {Arguments{}, Arguments{"--connect", tail.address}}) {
    const Outcome outcome = Sluice(Joined(load, where));
    ASSERT_TRUE(Succeeded(outcome));
    const auto report = outcome.Json();
    EXPECT_EQ(report["tokens"], 5 * report["requests"].get<uint64_t>());
    EXPECT_GE(report["requests"], 4);
    EXPECT_GT(report["tokens_per_second"], 0);
    EXPECT_LE(report["next_token_ms"]["p50"], report["next_token_ms"]["p99"]);
    EXPECT_GT(report["resident_mib"], 10);
  }
}

TEST_F(ServingRateTest, MatchesTheOptionsOfTheManifests) {
  const auto known = OptionsIn(Sluice({"serve", "--help"}).out);
  for (const char* name : {"sluice-node@.service", "chain.yaml"}) {
    std::string text = FileBytes(std::filesystem::path(SLUICE_SOURCE_DIR) / "examples/serving" / name);
    const size_t command = text.find("sluice serve --name");
    if (command != std::string::npos) text = text.substr(command, text.find('\n', command) - command);
    const size_t services = text.find("apiVersion");
    if (services != std::string::npos) text = text.substr(services);
    const auto used = OptionsIn(text);
    EXPECT_GE(used.size(), 8U) << name;
    for (const std::string& option : used) EXPECT_TRUE(known.contains(option)) << name << ": " << option;
  }
}

}  // namespace
}  // namespace sluice
