#include "program_test_base.h"

namespace sluice {
namespace {

const std::filesystem::path kModels = std::filesystem::path(SLUICE_SOURCE_DIR) / "models";

class GenerateVerbTest : public ProgramTest {
 protected:
  nlohmann::json Generated(const Arguments& more) const {
    Arguments arguments = {"generate",     "--model", tiny().model(), "--prompt", Prompt(),
                           "--max-tokens", "12",      "--threads",    "1",        "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = Sluice(arguments);
    EXPECT_TRUE(Succeeded(outcome));
    return outcome.Json();
  }

  std::string Prompt() const { return FileBytes(tiny().text()).substr(0, 24); }
};

TEST_F(GenerateVerbTest, MatchesTheUncutModelThroughExactCodecs) {
  const auto uncut = Generated({"--temperature", "0"});
  ASSERT_FALSE(uncut["ids"].empty());
  EXPECT_LE(uncut["ids"].size(), 12U);
  EXPECT_TRUE(uncut["text"].is_string());
  EXPECT_FALSE(uncut.contains("wire_bytes"));
  EXPECT_EQ(Generated({"--temperature", "0"})["ids"], uncut["ids"]);
  const auto exact = Generated({"--temperature", "0", "--codec", "fp32", "--cut", "1"});
  EXPECT_EQ(exact["ids"], uncut["ids"]);
  EXPECT_GT(exact["wire_bytes"].get<int>(), 32 * TinyModels::kWidth / 8);
}

TEST_F(GenerateVerbTest, CostsLessThroughLossyCodecs) {
  const auto half = Generated({"--temperature", "0", "--codec", "fp16"});
  const auto learned = Generated({"--temperature", "0", "--codec", tiny().codec()});
  const auto again = Generated({"--temperature", "0", "--codec", tiny().codec()});
  EXPECT_EQ(learned["ids"], again["ids"]);
  EXPECT_LT(learned["wire_bytes"], half["wire_bytes"]);
}

TEST_F(GenerateVerbTest, MatchesItselfWithTheSameSeed) {
  const Arguments sampling = {"--temperature", "1.5", "--top-k", "100", "--top-p", "0.98", "--seed"};
  const auto with_seed = [&](const char* seed) {
    Arguments arguments = sampling;
    arguments.push_back(seed);
    return Generated(arguments)["ids"];
  };
  const auto first = with_seed("7");
  EXPECT_EQ(with_seed("7"), first);
  EXPECT_NE(with_seed("8"), first);
}

// PACK@0 is at the pack's own cut, as PACK is, and not in the middle of the model.
TEST_F(GenerateVerbTest, Regresses_OperatingPointKeepsTheCutOfItsPack) {
  const std::string pack = Path("c.pack");
  ASSERT_TRUE(Succeeded(Sluice({"encode", "--model", kModels / "default", "--cut", "2", "--codec", "fp32", "--text",
                                Write("part.txt", FileBytes(kModels / "text/shakespeare-report.txt").substr(0, 1500)),
                                "--out", Path("h.slc")})));
  ASSERT_TRUE(Succeeded(Sluice({"decode", "--in", Path("h.slc"), "--out", Path("h.npy")})));
  ASSERT_TRUE(
      Succeeded(Sluice({"fit-static", "--hidden", Path("h.npy"), "--step", "0.05", "--cut", "2", "--out", pack})));
  const auto ids = [&](const std::string& codec) {
    const Outcome outcome = Sluice({"generate", "--model", kModels / "default", "-p", "ROMEO:", "-n", "4",
                                    "--temperature", "0", "--codec", codec, "--json"});
    EXPECT_TRUE(Succeeded(outcome));
    return outcome.Json()["ids"];
  };
  EXPECT_EQ(ids(pack + "@0"), ids(pack));
}

TEST_F(GenerateVerbTest, RejectsWhatItCannotContinue) {
  const Arguments certified = {"generate", "--model", kModels / "default",
                               "-p",       "ROMEO:",  "-n",
                               "2",        "--codec", kModels / "default-sluice.pack"};
  const auto requiring = [&](const char* what) {
    Arguments arguments = certified;
    arguments.insert(arguments.end(), {"--require", what});
    return arguments;
  };
  EXPECT_TRUE(Succeeded(Sluice(requiring("top1>=0.1"))));
  ExpectRefused(requiring("top1>=1.1"), "Mismatch", "top1");
  ExpectRefused({"generate", "--model", tiny().model(), "-p", "a", "--codec", "fp16", "--require", "top1>=0.5"},
                "Mismatch", "certificate");
  ExpectRefused({"generate", "--model", tiny().model(), "-p", "a", "--require", "top1>=0.5"}, "InvalidArgument",
                "--require");
  ExpectRefused({"generate", "--model", tiny().model(), "-p", "a", "--deadline-seconds", "3"}, "InvalidArgument",
                "--connect");
  ExpectRefused({"generate", "--model", Path("none"), "--prompt", "a"}, "Io");
  ExpectRefused({"generate", "--model", tiny().model(), "--prompt", "a", "--file", tiny().text()}, "InvalidArgument");
  ExpectRefused({"generate", "--model", tiny().model(), "--prompt", "a", "--codec", "fp17"}, "InvalidArgument", "fp17");
  ExpectRefused({"generate", "--model", tiny().other_model(), "--prompt", "a", "--codec", tiny().codec()}, "Mismatch");
}

}  // namespace
}  // namespace sluice
