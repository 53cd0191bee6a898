// Streams that were cut short or damaged on the way: refused, or decoded to exactly what was sent.
//
// The exhaustive trials (a thousand flips in every kind of payload) are beside the code that reads them; these go
// through the whole program. A plain codec's stream is decoded without the library that takes most of the start-up
// time, so it can be tried a few hundred times.
#include <random>

#include "program_test_base.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr int kPlainFlips = 200;
constexpr int kLearnedFlips = 24;

class BadStreamsTest : public ProgramTest {
 protected:
  Arguments Decode(const fs::path& stream) const {
    return {"decode", "--codec", tiny().codec(), "--in", stream, "--out", Path("got.safetensors"), "--quiet"};
  }

  fs::path PlainStream(const char* codec) const {
    EXPECT_TRUE(Succeeded(Sluice(
        {"encode", "--hidden", tiny().hidden(), "--codec", codec, "--chunk", "64", "--out", Path("plain.slc")})));
    return Path("plain.slc");
  }

  // Any refusal by name will do, a crash will not; an accepted stream must give the same hidden states.
  void ExpectNeverAnotherAnswer(const std::string& stream, const std::string& expected) const {
    const Outcome outcome = Sluice(Decode(Write("bad.slc", stream)));
    ASSERT_EQ(outcome.signal, 0) << outcome;
    ASSERT_FALSE(outcome.timed_out);
    if (outcome.exit_code == 0) {
      ASSERT_EQ(FileBytes(Path("got.safetensors")), expected);
      fs::remove(Path("got.safetensors"));
    } else {
      ASSERT_GE(outcome.exit_code, 2) << outcome;
      ASSERT_LE(outcome.exit_code, 6) << outcome;
      // Where it is damaged: in the file as a whole, or in a frame.
      ASSERT_TRUE(outcome.err.find("bad.slc") != std::string::npos || outcome.err.find("frame ") != std::string::npos)
          << outcome;
    }
    for (const auto& entry : fs::directory_iterator(Path(""))) {
      ASSERT_EQ(entry.path().extension(), ".slc") << "left behind";
    }
  }

  void ExpectFlipsNeverAccepted(const std::string& stream, const std::string& expected, int flips) const {
    constexpr uint32_t kSeed = 20;
    std::mt19937 random(kSeed);
    for (int i = 0; i < flips; ++i) {
      const size_t bit = random() % (8 * stream.size());
      SCOPED_TRACE("bit " + std::to_string(bit));
      std::string flipped = stream;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
      ExpectNeverAnotherAnswer(flipped, expected);
      if (HasFatalFailure()) return;
    }
  }

  std::string DecodedWhole(const fs::path& stream) const {
    EXPECT_TRUE(Succeeded(Sluice(Decode(stream))));
    std::string expected = FileBytes(Path("got.safetensors"));
    fs::remove(Path("got.safetensors"));
    return expected;
  }
};

TEST_F(BadStreamsTest, RejectsTruncatedLearnedStream) {
  const std::string whole = FileBytes(tiny().stream());
  for (const size_t length : {size_t{0}, size_t{43}, size_t{44}, size_t{60}, whole.size() / 2, whole.size() - 1}) {
    SCOPED_TRACE(length);
    ExpectRefused(Decode(Write("cut.slc", whole.substr(0, length))), "Truncated", "byte");
  }
  ExpectRefused(Decode(Write("long.slc", whole + "x")), "Corrupt", "after the end frame");
}

TEST_F(BadStreamsTest, RejectsTruncatedPlainStream) {
  const std::string whole = FileBytes(PlainStream("zstd"));
  constexpr size_t kLengths = 60;
  for (size_t i = 0; i < kLengths; ++i) {
    const size_t length = i * (whole.size() - 1) / (kLengths - 1);
    SCOPED_TRACE(length);
    ExpectRefused(Decode(Write("cut.slc", whole.substr(0, length))), "Truncated", "cut.slc");
  }
}

TEST_F(BadStreamsTest, RejectsFlippedBitsOfLearnedStream) {
  ExpectFlipsNeverAccepted(FileBytes(tiny().stream()), DecodedWhole(tiny().stream()), kLearnedFlips);
}

TEST_F(BadStreamsTest, RejectsFlippedBitsOfPlainStream) {
  const fs::path stream = PlainStream("fp16");
  ExpectFlipsNeverAccepted(FileBytes(stream), DecodedWhole(stream), kPlainFlips);
}

TEST_F(BadStreamsTest, RejectsTextThatWasNotSent) {
  const std::string text = FileBytes(tiny().text());
  const auto score = [&](const fs::path& path) {
    return Arguments{"decode",        "--model", tiny().model(), "--codec", tiny().codec(),        "--in",
                     tiny().stream(), "--text",  path,           "--out",   Path("h.safetensors"), "--quiet"};
  };
  ExpectRefused(score(Write("short.txt", text.substr(0, text.size() / 2))), "Mismatch", "text");
  ExpectRefused(score(Write("long.txt", text + text)), "Mismatch", "text");
  ExpectRefused(score(Path("none.txt")), "Io", "none.txt");
}

TEST_F(BadStreamsTest, RejectsHiddenStatesOfAnotherWidthOrKind) {
  const auto encode = [&](const fs::path& hidden, const std::string& codec) {
    return Arguments{"encode", "--hidden", hidden, "--codec", codec, "--out", Path("x.slc"), "--quiet"};
  };
  ExpectRefused(encode(Path("none.safetensors"), "fp16"), "Io", "none.safetensors");
  ExpectRefused(encode(tiny().text(), "fp16"), "InvalidArgument", ".safetensors");
  ExpectRefused(encode(tiny().hidden(), "fp17"), "InvalidArgument", "fp17");
  ExpectRefused(encode(tiny().hidden(), "zstd:99"), "InvalidArgument", "99");
  const std::string whole = FileBytes(tiny().hidden());
  ExpectRefused(encode(Write("cut.safetensors", whole.substr(0, whole.size() - 4)), "fp16"), "Truncated");
  ExpectRefused(encode(Write("cut.safetensors", whole.substr(0, whole.size() - 4)), tiny().codec()), "Truncated");
  // A matrix whose rows are not the codec's.
  std::string narrow = R"({"hidden":{"dtype":"F32","shape":[4,8],"data_offsets":[0,128]}})";
  narrow.resize((narrow.size() + 7) / 8 * 8, ' ');
  std::string bytes(8, '\0');
  bytes[0] = static_cast<char>(narrow.size());
  bytes += narrow + std::string(128, '\0');
  ExpectRefused(encode(Write("narrow.safetensors", bytes), tiny().codec()), "Mismatch", "width 8");
}

}  // namespace
}  // namespace sluice
