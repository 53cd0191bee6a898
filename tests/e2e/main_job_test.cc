// The main job: hidden states of a text become bytes in one process, and another process scores the text from them.
#include <algorithm>
#include <cmath>

#include "format/hidden_file.h"
#include "program_test_base.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

// Batches regroup the sums of matrix products, so figures agree to float rounding and not to the bit.
constexpr double kBatchTolerance = 1e-4;

class MainJobTest : public ProgramTest {
 protected:
  nlohmann::json Decoded(const fs::path& model, const Arguments& codec, const fs::path& stream) const {
    Arguments arguments = {"decode", "--model", model, "--in", stream, "--text", tiny().text(), "--json"};
    arguments.insert(arguments.end(), codec.begin(), codec.end());
    const Outcome outcome = Sluice(arguments);
    EXPECT_TRUE(Succeeded(outcome));
    return outcome.Json();
  }

  nlohmann::json Evaluated(const fs::path& model, const std::string& codec, const Arguments& more = {}) const {
    Arguments arguments = {"eval",   "--model",     model,       "--codec", codec,
                           "--text", tiny().text(), "--threads", "1",       "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = Sluice(arguments);
    EXPECT_TRUE(Succeeded(outcome));
    return outcome.Json();
  }

  nlohmann::json Encoded(const fs::path& model, const std::string& codec, const fs::path& stream,
                         const Arguments& more = {}) const {
    Arguments arguments = {"encode",      "--model", model,  "--codec",   codec, "--text",
                           tiny().text(), "--out",   stream, "--threads", "1",   "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = Sluice(arguments);
    EXPECT_TRUE(Succeeded(outcome));
    return outcome.Json();
  }

  // One side says what the other says.
  static void ExpectSameFigures(const nlohmann::json& decoded, const nlohmann::json& evaluated) {
    ASSERT_TRUE(decoded.is_object() && evaluated.is_object());
    EXPECT_EQ(decoded["tokens"], evaluated["tokens"]);
    EXPECT_EQ(decoded["bytes"], evaluated["bytes"]);
    EXPECT_EQ(decoded["bits_per_token"], evaluated["bits_per_token"]);
    EXPECT_EQ(decoded["perplexity"], evaluated["perplexity"]);
    EXPECT_EQ(decoded["cross_entropy_nats"], evaluated["cross_entropy_nats"]);
  }
};

TEST_F(MainJobTest, MatchesEvalAfterFrozenRoundTrip) {
  const auto evaluated = Evaluated(tiny().model(), tiny().codec());
  ExpectSameFigures(Decoded(tiny().model(), {"--codec", tiny().codec()}, tiny().stream()), evaluated);
  EXPECT_EQ(evaluated["bytes"], fs::file_size(tiny().stream()));
  for (const char* key : {"bits_per_token", "estimated_bits_per_token", "bits_per_element", "cross_entropy_nats",
                          "perplexity", "uncut_perplexity", "kl_nats", "top1_agreement", "tokens"}) {
    EXPECT_TRUE(evaluated[key].is_number()) << key;
  }
  const auto& baselines = evaluated["baseline_bits_per_token"];
  for (const std::string name : {"fp16", "deflate", "zstd"}) {
    bool found = false;
    for (const auto& [key, bits] : baselines.items()) found = found || (key.starts_with(name) && bits.is_number());
    EXPECT_TRUE(found) << name << " in " << baselines;
  }
  // 16 bits an element and the frame's header.
  EXPECT_NEAR(baselines["fp16"].get<double>(), 16.0 * TinyModels::kWidth, 0.02 * 16 * TinyModels::kWidth);
  EXPECT_NEAR(evaluated["bits_per_element"].get<double>() * TinyModels::kWidth,
              evaluated["bits_per_token"].get<double>(), 1e-9);
  EXPECT_LT(evaluated["bits_per_token"], baselines["zstd:3"]);
}

TEST_F(MainJobTest, MatchesItselfWhenEncodedTwice) {
  Encoded(tiny().model(), tiny().codec(), Path("again.slc"));
  EXPECT_EQ(FileBytes(Path("again.slc")), FileBytes(tiny().stream()));
}

TEST_F(MainJobTest, RoundTripsBatchesOfEight) {
  const auto encoded = Encoded(tiny().model(), tiny().codec(), Path("eight.slc"), {"--batch", "8"});
  const auto decoded = Decoded(tiny().model(), {"--codec", tiny().codec()}, Path("eight.slc"));
  const auto evaluated = Evaluated(tiny().model(), tiny().codec(), {"--batch", "8", "--no-baselines"});
  ASSERT_TRUE(encoded.is_object() && decoded.is_object() && evaluated.is_object());
  EXPECT_EQ(encoded["bytes"], evaluated["bytes"]);
  EXPECT_EQ(decoded["tokens"], evaluated["tokens"]);
  const double perplexity = evaluated["perplexity"];
  EXPECT_NEAR(decoded["perplexity"].get<double>(), perplexity, kBatchTolerance * perplexity);
  // Fewer frames carry the same tokens.
  const auto one = Sluice({"inspect", tiny().stream(), "--json"}).Json();
  const auto eight = Sluice({"inspect", Path("eight.slc"), "--json"}).Json();
  EXPECT_EQ(one["tokens"], eight["tokens"]);
  EXPECT_LE(eight["frames"].get<int>(), (one["frames"].get<int>() + 7) / 8 + 1);
}

TEST_F(MainJobTest, RoundTripsJointCodec) {
  const fs::path model = tiny().joint() / "model", codec = tiny().joint() / "codec";
  const auto encoded = Encoded(model, codec, Path("joint.slc"));
  const auto evaluated = Evaluated(model, codec, {"--reference", tiny().joint() / "reference", "--no-baselines"});
  ExpectSameFigures(Decoded(model, {"--codec", codec}, Path("joint.slc")), evaluated);
  EXPECT_EQ(encoded["bytes"], evaluated["bytes"]);
  EXPECT_TRUE(evaluated["reference_perplexity"].is_number());
  EXPECT_NE(evaluated["reference_perplexity"], evaluated["uncut_perplexity"]);
}

class MainJobPlainTest : public MainJobTest, public ::testing::WithParamInterface<const char*> {};

// The decoder learns the codec from the stream.
TEST_P(MainJobPlainTest, MatchesEvalAfterRoundTrip) {
  const auto encoded = Encoded(tiny().model(), GetParam(), Path("plain.slc"), {"--cut", "1"});
  const auto evaluated = Evaluated(tiny().model(), GetParam(), {"--cut", "1", "--no-baselines"});
  ExpectSameFigures(Decoded(tiny().model(), {}, Path("plain.slc")), evaluated);
  EXPECT_EQ(encoded["bits_per_token"], evaluated["bits_per_token"]);
  if (std::string(GetParam()) == "fp32") {
    EXPECT_EQ(evaluated["perplexity"], evaluated["uncut_perplexity"]);
    EXPECT_EQ(evaluated["top1_agreement"], 1.0);
  }
}

INSTANTIATE_TEST_SUITE_P(Codecs, MainJobPlainTest, ::testing::Values("fp32", "fp16", "zstd", "int8"));

class HiddenJobTest : public ProgramTest {
 protected:
  Matrix<float> Values(const fs::path& path) const {
    auto hidden = LoadHidden(path);
    EXPECT_TRUE(hidden.ok()) << hidden.status().ToString();
    return hidden.ok() ? std::move(hidden->values) : Matrix<float>();
  }

  // Largest difference over the largest magnitude.
  static double Error(const Matrix<float>& expected, const Matrix<float>& got) {
    EXPECT_EQ(expected.rows(), got.rows());
    EXPECT_EQ(expected.cols(), got.cols());
    double error = 0, largest = 0;
    const size_t count = std::min(expected.rows() * expected.cols(), got.rows() * got.cols());
    for (size_t i = 0; i < count; ++i) {
      error = std::max(error, std::abs(static_cast<double>(expected.data()[i]) - got.data()[i]));
      largest = std::max(largest, std::abs(static_cast<double>(expected.data()[i])));
    }
    EXPECT_GT(largest, 0);
    return error / largest;
  }
};

TEST_F(HiddenJobTest, RoundTripsFileThroughLearnedCodec) {
  const std::string chunk = std::to_string(TinyModels::kContext);
  ASSERT_TRUE(Succeeded(Sluice({"encode", "--hidden", tiny().hidden(), "--codec", tiny().codec(), "--chunk", chunk,
                                "--threads", "1", "--out", Path("h.slc")})));
  ASSERT_TRUE(
      Succeeded(Sluice({"decode", "--codec", tiny().codec(), "--in", Path("h.slc"), "--out", Path("h.safetensors")})));
  // What was decoded once lies on the codec's lattice: coding it again hardly moves it.
  constexpr double kSecondCoding = 0.2;
  EXPECT_LT(Error(Values(tiny().hidden()), Values(Path("h.safetensors"))), kSecondCoding);
}

TEST_F(HiddenJobTest, RoundTripsFileLongerThanTheCodecsContext) {
  ASSERT_TRUE(Succeeded(Sluice(
      {"encode", "--hidden", tiny().hidden(), "--codec", tiny().codec(), "--threads", "1", "--out", Path("h.slc")})));
  EXPECT_TRUE(
      Succeeded(Sluice({"decode", "--codec", tiny().codec(), "--in", Path("h.slc"), "--out", Path("h.safetensors")})));
  EXPECT_EQ(Values(Path("h.safetensors")).rows(), Values(tiny().hidden()).rows());
}

// Two rows in several frames: each row comes back as it does when it travels alone.
TEST_F(HiddenJobTest, Regresses_RowsOfABatchThroughATrainedCodec) {
  HiddenStates both = *LoadHidden(tiny().hidden());
  ASSERT_EQ(both.batch, 1u);
  const size_t half = both.tokens / 2, width = both.values.cols();
  const auto travels = [&](uint64_t batch, size_t from, size_t count, const std::string& name) {
    HiddenStates sent = HiddenStates::Zeros(batch, count / batch, width);
    std::copy_n(both.values.data() + from * width, count * width, sent.values.data());
    EXPECT_TRUE(SaveHidden(Path(name + ".npy"), sent, DType::kF16).ok());
    EXPECT_TRUE(Succeeded(Sluice({"encode", "--hidden", Path(name + ".npy"), "--codec", tiny().codec(), "--threads",
                                  "1", "--chunk", "5", "--out", Path(name + ".slc")})));
    EXPECT_TRUE(Succeeded(
        Sluice({"decode", "--codec", tiny().codec(), "--in", Path(name + ".slc"), "--out", Path(name + "-back.npy")})));
    return *LoadHidden(Path(name + "-back.npy"));
  };
  const HiddenStates together = travels(2, 0, 2 * half, "both");
  ASSERT_EQ(together.batch, 2u);
  ASSERT_EQ(together.rank, 3);
  EXPECT_EQ(together.source, DType::kF16);
  for (const size_t row : {0, 1}) {
    const HiddenStates alone = travels(1, row * half, half, row == 0 ? "first" : "second");
    ASSERT_EQ(alone.tokens, half);
    size_t others = 0;  // a float sum in another order may round an element to the next step
    for (size_t i = 0; i < half * width; ++i) {
      others += std::fabs(together.values.data()[row * half * width + i] - alone.values.data()[i]) > 1e-2 ? 1 : 0;
    }
    EXPECT_LT(others, half * width / 50) << "row " << row;
  }
}

TEST_F(HiddenJobTest, RoundTripsFileThroughPlainCodecs) {
  const std::pair<const char*, double> codecs[] = {{"fp32", 0},      {"fp16", 1e-3},    {"bf16", 8e-3},
                                                   {"lz4", 1e-3},    {"deflate", 1e-3}, {"libdeflate", 1e-3},
                                                   {"zstd:3", 1e-3}, {"q80", 8e-3},     {"int8", 8e-3}};
  const auto expected = Values(tiny().hidden());
  for (const auto& [codec, tolerance] : codecs) {
    SCOPED_TRACE(codec);
    ASSERT_TRUE(Succeeded(Sluice({"encode", "--hidden", tiny().hidden(), "--codec", codec, "--out", Path("h.slc")})));
    ASSERT_TRUE(Succeeded(Sluice({"decode", "--in", Path("h.slc"), "--out", Path("h.safetensors")})));
    EXPECT_LE(Error(expected, Values(Path("h.safetensors"))), tolerance);
  }
}

}  // namespace
}  // namespace sluice
