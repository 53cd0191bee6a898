// A pack from hidden states alone, used wherever a codec is named, certified, and refused where it is not good enough.
#include <fstream>

#include "program_test_base.h"

namespace sluice {
namespace {

class CertifyVerbTest : public ProgramTest {
 protected:
  CertifyVerbTest() {
    EXPECT_TRUE(Succeeded(Sluice({"fit-static", "--hidden", tiny().hidden(), "--step", "0.05", "--cut",
                                  std::to_string(TinyModels::kCut), "--out", pack()})));
  }
  std::filesystem::path pack() const { return Path("static.pack"); }
  Outcome Encode(const std::string& require) const {
    return Sluice(
        {"encode", "--hidden", tiny().hidden(), "--codec", pack(), "--require", require, "--out", Path("out.slc")});
  }
  Arguments Certify() const {
    return {"certify",   "--model", tiny().model(),    "--codec", pack(),         "--text", tiny().text(),
            "--prompts", "6",       "--prompt-tokens", "8",       "--new-tokens", "8",      "--json"};
  }
};

TEST_F(CertifyVerbTest, MatchesEvalAndIsDemandedByTheOthers) {
  EXPECT_EQ(Encode("ppl<=9").exit_code, 6) << "no certificate yet";
  const std::string before = Sluice({"inspect", pack(), "--json"}).Json()["hash"];
  const Outcome certified = Sluice(Certify());
  ASSERT_TRUE(Succeeded(certified)) << certified;
  const auto point = certified.Json()["points"][0];
  const Outcome eval =
      Sluice({"eval", "--model", tiny().model(), "--codec", pack(), "--text", tiny().text(), "--json"});
  ASSERT_TRUE(Succeeded(eval)) << eval;
  EXPECT_DOUBLE_EQ(point["perplexity"], eval.Json()["perplexity"]);
  EXPECT_DOUBLE_EQ(point["perplexity_ratio"]["value"], eval.Json()["perplexity_ratio"]);
  EXPECT_DOUBLE_EQ(point["bits_per_token"], eval.Json()["bits_per_token"]);
  EXPECT_LT(point["perplexity_ratio"]["low"], point["perplexity_ratio"]["high"]);

  const auto inspected = Sluice({"inspect", pack(), "--json"}).Json();
  EXPECT_EQ(inspected["hash"], before);
  EXPECT_EQ(inspected["certificate"]["points"][0], point);

  EXPECT_TRUE(Succeeded(Encode("ppl<=9,bits<=1000")));
  const Outcome refused = Encode("bits<=1");
  EXPECT_EQ(refused.exit_code, 6) << refused;
  EXPECT_NE(refused.err.find("bits<=1 is required, certified is"), std::string::npos) << refused;
  const Arguments decode = {"decode",    "--codec",          pack(),  "--in",          Path("out.slc"),
                            "--require", "top1>=0,ppl<=0.5", "--out", Path("back.npy")};
  EXPECT_EQ(Sluice(decode).exit_code, 6);
  EXPECT_FALSE(std::filesystem::exists(Path("back.npy")));
}

TEST_F(CertifyVerbTest, MatchesTheTextThroughAPackInTwoProcesses) {
  const Arguments model = {"--model", tiny().model(), "--codec", pack(), "--text", tiny().text(), "--json"};
  Arguments encode = {"encode", "--out", Path("text.slc")}, decode = {"decode", "--in", Path("text.slc")},
            eval = {"eval"};
  for (Arguments* arguments : {&encode, &decode, &eval})
    arguments->insert(arguments->end(), model.begin(), model.end());
  ASSERT_TRUE(Succeeded(Sluice(encode)));
  const Outcome scored = Sluice(decode), measured = Sluice(eval);
  ASSERT_TRUE(Succeeded(scored) && Succeeded(measured)) << scored << measured;
  EXPECT_NEAR(scored.Json()["perplexity"], measured.Json()["perplexity"], 1e-4);
  EXPECT_EQ(std::filesystem::file_size(Path("text.slc")), measured.Json()["bytes"]);
}

TEST_F(CertifyVerbTest, MatchesEvalAtEveryOperatingPoint) {
  const std::filesystem::path models = std::filesystem::path(SLUICE_SOURCE_DIR) / "models";
  const std::filesystem::path shipped = models / "default-sluice.pack", copy = Path("copy.pack");
  std::filesystem::copy_file(shipped, copy);
  std::ofstream(Path("words.jsonl")) << "{\"text\": \"Speak, speak. You are all resolved rather to die\"}\n";
  const Outcome certified =
      Sluice({"certify", "--model", models / "default", "--codec", copy, "--text",
              models / "text" / "shakespeare-select.txt", "--max-tokens", "2000", "--prompts", "2", "--prompt-tokens",
              "8", "--new-tokens", "4", "--json", "--last-words", Path("words.jsonl")});
  ASSERT_TRUE(Succeeded(certified));
  const auto points = certified.Json()["points"];
  ASSERT_GT(points.size(), 3u);
  for (size_t i = 1; i < points.size(); ++i) {
    EXPECT_LT(points[i]["bits_per_token"], points[i - 1]["bits_per_token"]);
    EXPECT_GT(points[i]["kl_nats"]["value"], points[i - 1]["kl_nats"]["value"]);
    EXPECT_NE(points[i]["tasks"]["last_word_nats"], points[i - 1]["tasks"]["last_word_nats"]);
  }
  const Outcome words = Sluice({"eval", "--model", models / "default", "--codec", copy, "--last-words",
                                Path("words.jsonl"), "--point", std::to_string(points.size() - 1), "--json"});
  ASSERT_TRUE(Succeeded(words));
  const double change =
      words.Json()["last_word_nats"].get<double>() - words.Json()["uncut_last_word_nats"].get<double>();
  EXPECT_DOUBLE_EQ(points.back()["tasks"]["last_word_nats"], change);
  const auto shown = Sluice({"inspect", copy, "--json"}).Json();
  EXPECT_EQ(shown["certificate"]["points"], points);
  EXPECT_EQ(shown["hash"], Sluice({"inspect", shipped, "--json"}).Json()["hash"]);
}

TEST_F(CertifyVerbTest, RejectsOnlyTheOperatingPointsThatAreBelow) {
  const std::filesystem::path models = std::filesystem::path(SLUICE_SOURCE_DIR) / "models";
  const std::string pack = models / "default-sluice.pack";
  ASSERT_TRUE(Succeeded(Sluice({"encode", "--model", models / "default", "--cut", "3", "--codec", "fp32", "--text",
                                models / "text" / "shakespeare-select.txt", "--out", Path("h.slc")})));
  ASSERT_TRUE(Succeeded(Sluice({"decode", "--in", Path("h.slc"), "--out", Path("h.npy")})));
  const auto points = Sluice({"inspect", pack, "--json"}).Json()["certificate"]["points"];
  ASSERT_GT(points.size(), 3u);
  const std::string last = std::to_string(points.size() - 1);
  const auto high = [&](size_t point) { return points[point]["perplexity_ratio"]["high"].get<double>(); };
  const std::string require = "ppl<=" + std::to_string((high(1) + high(2)) / 2);
  const auto encode = [&](const Arguments& more) {
    Arguments all = {"encode", "--hidden", Path("h.npy"), "--codec", pack, "--out", Path("p.slc"), "--json"};
    all.insert(all.end(), more.begin(), more.end());
    return Sluice(all);
  };
  const auto decode = [&](const Arguments& more) {
    Arguments all = {"decode", "--codec", pack, "--in", Path("p.slc"), "--out", Path("p.npy")};
    all.insert(all.end(), more.begin(), more.end());
    return Sluice(all);
  };
  const Arguments required = {"--require", require};
  EXPECT_EQ(encode({"--lambda-index", last, "--require", require}).exit_code, 6);
  EXPECT_FALSE(std::filesystem::exists(Path("p.slc")));
  EXPECT_TRUE(Succeeded(encode({"--lambda-index", "1", "--require", require})));
  EXPECT_TRUE(Succeeded(decode(required)));
  std::filesystem::remove(Path("p.npy"));
  const Outcome coarse = encode({"--lambda-index", last});
  ASSERT_TRUE(Succeeded(coarse));
  const Outcome refused = decode(required);
  EXPECT_EQ(refused.exit_code, 6) << refused;
  EXPECT_NE(refused.err.find("is required, certified is"), std::string::npos) << refused;
  EXPECT_FALSE(std::filesystem::exists(Path("p.npy")));
  EXPECT_TRUE(Succeeded(decode({})));
  // A target beyond the allowed points stops at the last of them, and so do its frames.
  const std::string target = std::to_string(coarse.Json()["bits_per_token"].get<double>());
  const Outcome confined = encode({"--target-bits-per-token", target, "--require", require});
  ASSERT_TRUE(Succeeded(confined)) << confined;
  EXPECT_GT(confined.Json()["bits_per_token"].get<double>(), 1.1 * coarse.Json()["bits_per_token"].get<double>());
  EXPECT_TRUE(Succeeded(decode(required)));
  EXPECT_EQ(encode({"--target-bits-per-token", target, "--require", "ppl<=0.5"}).exit_code, 6);
  // What no pack wrote has no certificate.
  EXPECT_EQ(Sluice({"decode", "--codec", pack, "--in", Path("h.slc"), "--out", Path("q.npy"), "--require", require})
                .exit_code,
            6);
}

TEST_F(CertifyVerbTest, MatchesTheTargetRateOverAThousandTokensOfTheShippedPack) {
  const std::filesystem::path models = std::filesystem::path(SLUICE_SOURCE_DIR) / "models";
  const std::string pack = models / "default-sluice.pack";
  std::string text(2400, '\0');
  std::ifstream(models / "text" / "shakespeare-report.txt")
      .read(text.data(), static_cast<std::streamsize>(text.size()));
  std::ofstream(Path("part.txt")) << text;
  ASSERT_TRUE(Succeeded(Sluice({"encode", "--model", models / "default", "--cut", "3", "--codec", "fp32", "--text",
                                Path("part.txt"), "--out", Path("h.slc")})));
  ASSERT_TRUE(Succeeded(Sluice({"decode", "--in", Path("h.slc"), "--out", Path("h.npy")})));
  const auto encode = [&](const char* option, const std::string& value) {
    const Outcome outcome =
        Sluice({"encode", "--hidden", Path("h.npy"), "--codec", pack, "--out", Path("p.slc"), "--json", option, value});
    EXPECT_TRUE(Succeeded(outcome)) << outcome;
    EXPECT_NEAR(outcome.Json()["tokens"].get<double>(), 1024, 60);
    return outcome.Json()["bits_per_token"].get<double>();
  };
  const size_t points = Sluice({"inspect", pack, "--json"}).Json()["operating_points"].size();
  ASSERT_GT(points, 3u);
  const double finest = encode("--lambda-index", "0"), coarsest = encode("--lambda-index", std::to_string(points - 1));
  ASSERT_GT(finest, 2 * coarsest);
  for (const double share : {0.15, 0.4, 0.65, 0.9}) {
    const double target = coarsest + share * (finest - coarsest);
    EXPECT_NEAR(encode("--target-bits-per-token", std::to_string(target)), target, 0.05 * target);
  }
  // Below the coarsest point there is nothing; the user is told.
  const Outcome unmet = Sluice({"encode", "--hidden", Path("h.npy"), "--codec", pack, "--out", Path("p.slc"),
                                "--target-bits-per-token", std::to_string(0.5 * coarsest)});
  ASSERT_TRUE(Succeeded(unmet));
  EXPECT_NE(unmet.out.find("more than the target"), std::string::npos) << unmet;
}

TEST_F(CertifyVerbTest, RejectsWhatCannotBeCertified) {
  EXPECT_EQ(
      Sluice({"certify", "--model", tiny().model(), "--codec", tiny().codec(), "--text", tiny().text()}).exit_code, 7);
  Arguments long_prompts = Certify();
  long_prompts[10] = "5000";
  EXPECT_EQ(Sluice(long_prompts).exit_code, 2);
  EXPECT_EQ(Encode("speed>=9").exit_code, 2);
}

}  // namespace
}  // namespace sluice
