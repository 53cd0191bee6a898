// The verbs that need no model and no libtorch, on hidden states from a file: fitting a pack and using it, and an
// archive whose writer is interrupted.
#include <signal.h>

#include <chrono>
#include <cmath>
#include <random>
#include <thread>

#include "format/hidden_file.h"
#include "program_test_base.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

class HiddenVerbsTest : public ProgramTest {
 protected:
  // Channels of different spread; saved as f32.
  HiddenStates Save(std::string_view name, uint64_t tokens, size_t width) const {
    std::mt19937 random(11);
    HiddenStates hidden = HiddenStates::Zeros(1, tokens, width);
    for (size_t i = 0; i < tokens * width; ++i) {
      const auto drawn = static_cast<float>(static_cast<int>(random() % 2001 + random() % 2001) - 2000);
      hidden.values.data()[i] = drawn / static_cast<float>(100 << (i % width % 4));
    }
    EXPECT_TRUE(SaveHidden(Path(name), hidden, DType::kF32).ok());
    return hidden;
  }

  double LargestError(const HiddenStates& hidden, std::string_view name) const {
    const Result<HiddenStates> got = LoadHidden(Path(name));
    if (!got.ok() || got->values.rows() != hidden.values.rows() || got->values.cols() != hidden.values.cols()) {
      ADD_FAILURE() << name << ": " << got.status().ToString();
      return 0;
    }
    double largest = 0;
    for (size_t i = 0; i < hidden.values.View().size(); ++i) {
      largest = std::max<double>(largest, std::fabs(got->values.data()[i] - hidden.values.data()[i]));
    }
    return largest;
  }
};

TEST_F(HiddenVerbsTest, RoundTripsThroughAFittedPack) {
  const HiddenStates hidden = Save("in.safetensors", 700, 16);
  constexpr double kStep = 0.25, kRounding = 1e-5;
  const Outcome fitted = Sluice({"fit-static", "--hidden", Path("in.safetensors"), "--basis", "diagonal", "--step",
                                 "0.25", "--out", Path("static.pack"), "--json"});
  ASSERT_TRUE(Succeeded(fitted));
  EXPECT_EQ(fitted.Json()["tokens"], 700);
  EXPECT_EQ(fitted.Json()["width"], 16);
  EXPECT_EQ(fitted.Json()["bytes"], fs::file_size(Path("static.pack")));
  EXPECT_TRUE(Succeeded(Sluice({"inspect", Path("static.pack")})));
  for (const char* chunk : {"256", "1"}) {
    ASSERT_TRUE(Succeeded(Sluice({"encode", "--hidden", Path("in.safetensors"), "--codec", Path("static.pack"),
                                  "--chunk", chunk, "--out", Path("x.slc")})));
    ASSERT_TRUE(Succeeded(
        Sluice({"decode", "--codec", Path("static.pack"), "--in", Path("x.slc"), "--out", Path("out.safetensors")})));
    EXPECT_LE(LargestError(hidden, "out.safetensors"), kStep / 2 + kRounding) << chunk;
    // What the fit promised, and the ends of frames: at most 15 bits a frame of one token, and the stream's own.
    const double bits = fitted.Json()["bits_per_token"].get<double>() * 700;
    EXPECT_LT(8.0 * static_cast<double>(fs::file_size(Path("x.slc"))), 1.01 * bits + 16 * 700 + 1000) << chunk;
  }
  EXPECT_LT(fs::file_size(Path("x.slc")), fs::file_size(Path("in.safetensors")) / 3);
}

TEST_F(HiddenVerbsTest, MatchesTheRateThatAFitWasAskedFor) {
  Save("in.npy", 700, 16);
  const Outcome fitted = Sluice(
      {"fit-static", "--hidden", Path("in.npy"), "--bits-per-token", "60", "--out", Path("static.pack"), "--json"});
  ASSERT_TRUE(Succeeded(fitted));
  EXPECT_NEAR(fitted.Json()["bits_per_token"].get<double>(), 60, 0.6);
}

TEST_F(HiddenVerbsTest, RejectsFitsThatCannotBe) {
  Save("in.npy", 20, 4);
  const std::string in = Path("in.npy"), pack = Path("static.pack");
  const auto fit = [&](const std::string& hidden, const std::string& out, const Arguments& more) {
    Arguments arguments = {"fit-static", "--hidden", hidden, "--out", out};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Sluice(arguments);
  };
  EXPECT_TRUE(Refused(fit(in, pack, {}), "InvalidArgument"));
  EXPECT_TRUE(Refused(fit(in, pack, {"--step", "1", "--bits-per-token", "9"}), "InvalidArgument"));
  EXPECT_TRUE(Refused(fit(in, pack, {"--step", "-1"}), "InvalidArgument"));
  EXPECT_TRUE(Refused(fit(Path("no.npy"), pack, {"--step", "1"}), "Io"));
  EXPECT_TRUE(Refused(fit(in, Path("none/static.pack"), {"--step", "1"}), "Io"));
  EXPECT_FALSE(fs::exists(pack));
}

// Ctrl-C leaves the chunks so far: they decode to the bits that were packed, and the archive can be gone on with.
TEST_F(HiddenVerbsTest, RoundTripsWhatAnInterruptedArchiveHolds) {
  constexpr uint64_t kTokens = 500'000, kWidth = 16;
  const HiddenStates hidden = Save("in.safetensors", kTokens, kWidth);
  const fs::path archive = Path("x.sla");
  RunningProgram program({"pack-hidden", Path("in.safetensors"), "--out", archive, "--chunk-tokens", "2048"});
  std::error_code ignored;
  constexpr uint64_t kSomeChunks = 100'000;  // bytes
  while (!program.Ended() && (!fs::exists(archive) || fs::file_size(archive, ignored) < kSomeChunks)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ASSERT_FALSE(program.Ended()) << "it ended before it could be stopped";
  program.Send(SIGINT);
  const Outcome stopped = program.Wait();
  EXPECT_EQ(stopped.exit_code, 130) << stopped;
  EXPECT_TRUE(Refused(stopped, "Interrupted", "can be read and appended to"));

  ASSERT_TRUE(Succeeded(Sluice({"unpack-hidden", archive, "--out", Path("part.safetensors")})));
  const HiddenStates part = *LoadHidden(Path("part.safetensors"));
  ASSERT_GT(part.tokens, 0u);
  ASSERT_LT(part.tokens, kTokens);
  EXPECT_EQ(part.tokens % 2048, 0u);
  EXPECT_TRUE(std::equal(part.values.data(), part.values.data() + part.tokens * kWidth, hidden.values.data()));

  Save("more.safetensors", 100, kWidth);
  const Outcome appended = Sluice({"pack-hidden", Path("more.safetensors"), "--out", archive, "--append", "--json"});
  ASSERT_TRUE(Succeeded(appended));
  ASSERT_TRUE(Succeeded(Sluice({"unpack-hidden", archive, "--out", Path("all.safetensors")})));
  EXPECT_EQ(LoadHidden(Path("all.safetensors"))->tokens, part.tokens + 100);
  for (const auto& entry : fs::directory_iterator(Path(""))) {
    const std::string suffix = entry.path().extension();
    EXPECT_TRUE(suffix == ".sla" || suffix == ".safetensors") << "left behind: " << entry.path();
  }
}

}  // namespace
}  // namespace sluice
