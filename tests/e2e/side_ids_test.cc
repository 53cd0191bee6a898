// A codec that is conditioned on token ids, trained for a few steps: B knows the ids, or the stream carries them.
#include <fstream>

#include "program_test_base.h"

namespace sluice {
namespace {

class SideIdsTest : public ProgramTest {
 protected:
  SideIdsTest() {
    EXPECT_TRUE(Succeeded(Sluice({"train", "--model", tiny().model(), "--text", tiny().text(), "--out", Path("side"),
                                  "--preset", "sluice", "--side", "tokens", "--set", "pair_bits=4", "--steps", "2",
                                  "--batch", "2", "--threads", "1"})));
    EXPECT_TRUE(Succeeded(Sluice({"export", "--codec", Path("side"), "--out", pack()})));
  }
  std::filesystem::path pack() const { return Path("side.pack"); }
  Outcome EncodeText(const char* out, bool send) const {
    Arguments all = {"encode",      "--model", tiny().model(), "--codec", pack(),      "--text",
                     tiny().text(), "--out",   Path(out),      "--json",  "--threads", "1"};
    if (send) all.push_back("--send-ids");
    return Sluice(all);
  }
  std::string Content(const char* name) const {
    std::ifstream file(Path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

// Whatever measures a codec on text has the ids that it needs.
TEST_F(SideIdsTest, MatchesWhatOtherCodecsAreMeasuredBy) {
  std::ofstream(Path("words.jsonl")) << "{\"text\": \"the cat sat on the mat\"}\n";
  const Arguments model = {"--model", tiny().model(), "--codec", pack(), "--threads", "1", "--json"};
  const auto measured = [&](Arguments arguments) {
    arguments.insert(arguments.end(), model.begin(), model.end());
    return Sluice(arguments);
  };
  const Outcome certified = measured({"certify", "--text", tiny().text(), "--prompts", "2", "--prompt-tokens", "8",
                                      "--new-tokens", "4", "--last-words", Path("words.jsonl"), "--no-embed"});
  ASSERT_TRUE(Succeeded(certified));
  EXPECT_TRUE(certified.Json()["points"][0]["tasks"].contains("last_word_nats"));
  const Outcome timed = measured({"eval", "--text", tiny().text(), "--time-chunks", "1,16", "--no-baselines"});
  EXPECT_TRUE(Succeeded(timed));
  // A link carries no ids, and says so before anything is sent.
  ExpectRefused({"generate", "--model", tiny().model(), "--codec", pack(), "-p", "the cat", "-n", "1"}, "Unsupported",
                "--side tokens");
}

TEST_F(SideIdsTest, RoundTripsIdsThatTheReaderIsNotTold) {
  const Outcome known = EncodeText("known.slc", false), sent = EncodeText("sent.slc", true);
  ASSERT_TRUE(Succeeded(known) && Succeeded(sent)) << known << sent;
  const double more = sent.Json()["bits_per_token"].get<double>() - known.Json()["bits_per_token"].get<double>();
  EXPECT_GT(more, 0.5);
  EXPECT_LT(more, 18);
  EXPECT_EQ(Sluice({"inspect", Path("sent.slc"), "--json"}).Json()["token_ids"], "in the stream");
  EXPECT_EQ(Sluice({"inspect", Path("known.slc"), "--json"}).Json()["token_ids"], "known to the reader");
  // Ids from one stream open the other, and both hold the same.
  ASSERT_TRUE(Succeeded(Sluice({"decode", "--codec", pack(), "--in", Path("sent.slc"), "--ids-out", Path("ids.txt"),
                                "--out", Path("sent.npy")})));
  ASSERT_TRUE(Succeeded(Sluice(
      {"decode", "--codec", pack(), "--in", Path("known.slc"), "--ids", Path("ids.txt"), "--out", Path("known.npy")})));
  EXPECT_EQ(Content("sent.npy"), Content("known.npy"));
  // From hidden states and ids, without the model.
  ASSERT_TRUE(Succeeded(Sluice({"encode", "--hidden", Path("sent.npy"), "--codec", pack(), "--ids", Path("ids.txt"),
                                "--send-ids", "--out", Path("again.slc")})));
  ASSERT_TRUE(Succeeded(Sluice({"decode", "--codec", pack(), "--in", Path("again.slc"), "--ids-out", Path("again.txt"),
                                "--out", Path("again.npy")})));
  EXPECT_EQ(Content("again.txt"), Content("ids.txt"));
  // Frames of several windows: the reader's text has their ids too.
  ASSERT_TRUE(Succeeded(Sluice({"encode", "--model", tiny().model(), "--codec", pack(), "--text", tiny().text(),
                                "--out", Path("pairs.slc"), "--batch", "2", "--threads", "1"})));
  EXPECT_TRUE(Succeeded(Sluice(
      {"decode", "--model", tiny().model(), "--codec", pack(), "--in", Path("pairs.slc"), "--text", tiny().text()})));
  // The text that both ends have opens both.
  for (const char* stream : {"known.slc", "sent.slc"}) {
    EXPECT_TRUE(Succeeded(Sluice(
        {"decode", "--model", tiny().model(), "--codec", pack(), "--in", Path(stream), "--text", tiny().text()})));
  }
}

TEST_F(SideIdsTest, RejectsIdsThatAreMissingOrWrong) {
  ASSERT_TRUE(Succeeded(EncodeText("known.slc", false)));
  const auto decode = [&](const char* option, const std::filesystem::path& file) {
    return Sluice({"decode", "--codec", pack(), "--in", Path("known.slc"), "--out", Path("x.npy"), option, file});
  };
  EXPECT_EQ(Sluice({"decode", "--codec", pack(), "--in", Path("known.slc"), "--out", Path("x.npy")}).exit_code, 2);
  EXPECT_EQ(decode("--ids-out", Path("none.txt")).exit_code, 6) << "the stream carries none";
  std::ofstream(Path("words.txt")) << "1 2 three";
  EXPECT_NE(decode("--ids", Path("words.txt")).err.find("byte 4: expected a token id"), std::string::npos);
  std::ofstream(Path("few.txt")) << "1 2 3";
  EXPECT_EQ(decode("--ids", Path("few.txt")).exit_code, 2);
  EXPECT_FALSE(std::filesystem::exists(Path("x.npy")));
  const Outcome plain =
      Sluice({"encode", "--hidden", tiny().hidden(), "--codec", "fp16", "--send-ids", "--out", Path("plain.slc")});
  EXPECT_EQ(plain.exit_code, 2) << plain;
}

}  // namespace
}  // namespace sluice
