// Pre-training and codec training end to end on a model of a few thousand numbers: what is written loads again, the
// loss and the bits fall, a run goes on where it was, and wrong requests are refused before anything is written.
#include "train/codec_training.h"

#include <gtest/gtest.h>

#include <cmath>

#include "backbone/model_identity.h"
#include "base/file.h"
#include "format/temporary_folder.h"
#include "neural/codec_files.h"
#include "neural/context_coder.h"
#include "text/tokenizer.h"
#include "train/pretraining.h"

namespace sluice {
namespace {

// Sentences of a small grammar: enough structure for a tiny model to learn some of it.
std::string Text(int sentences) {
  const char* who[] = {"the cat", "a small dog", "my old friend", "the river"};
  const char* does[] = {"looks at", "runs from", "dreams of", "sings to"};
  const char* what[] = {"the moon.", "a green door.", "every child.", "an apple tree."};
  std::string text;
  uint32_t state = 1;
  const auto next = [&] { return (state = state * 1664525u + 1013904223u) >> 30; };
  for (int i = 0; i < sentences; ++i) {
    text += std::string(who[next()]) + " " + does[next()] + " " + what[next()] + (i % 3 == 2 ? "\n" : " ");
  }
  return text;
}

// A folder with a text and a model that was trained on it for a few steps.
class CodecTrainingTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(WriteFileAtomic(folder_ / "text.txt", std::string_view(Text(900))).ok());
    const Status status = Pretrain(PretrainSettings());
    ASSERT_TRUE(status.ok()) << status.ToString();
  }

  PretrainOptions PretrainSettings() {
    PretrainOptions options;
    options.text = {folder_ / "text.txt"};
    options.out = folder_ / "model";
    options.layers = 2;
    options.width = 16;
    options.heads = 2;
    options.context = 24;
    options.vocab = 300;
    options.select_share = 0.05;
    options.loop.steps = 24;
    options.loop.batch = 4;
    options.loop.learning_rate = 2e-2;
    options.loop.warmup = 3;
    options.loop.log_every = 4;
    options.loop.evaluate_every = 12;
    return options;
  }

  CodecTrainOptions CodecSettings(CodecMode mode) {
    CodecTrainOptions options;
    options.model = folder_ / "model";
    options.text = {folder_ / "text.txt"};
    options.out = folder_ / (mode == CodecMode::kJoint ? "joint" : "frozen");
    options.mode = mode;
    options.lambda = 2e-3;
    options.select_share = 0.05;
    options.loop.steps = 24;
    options.loop.batch = 4;
    options.loop.learning_rate = 1e-2;
    options.loop.warmup = 2;
    options.loop.log_every = 1;
    options.loop.evaluate_every = 12;
    options.loop.checkpoint_every = 6;
    return options;
  }

  std::vector<std::pair<int64_t, Metrics>> Log(const std::filesystem::path& run) {
    auto steps = ReadMetrics(run);
    EXPECT_TRUE(steps.ok()) << steps.status().ToString();
    return steps.ok() ? *steps : std::vector<std::pair<int64_t, Metrics>>{};
  }

  TemporaryFolder folder_;
};

TEST_F(CodecTrainingTest, MatchesAHuggingFaceFolderAfterPretraining) {
  const auto model = LoadBackbone(folder_ / "model");
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  EXPECT_EQ((*model)->config().layers, 2);
  EXPECT_EQ((*model)->config().context, 24);
  const auto tokenizer = LoadTokenizer(folder_ / "model");
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_EQ((*model)->config().vocab, (*tokenizer)->vocab_size());
  EXPECT_EQ((*model)->config().bos, (*tokenizer)->bos());

  const auto log = Log(folder_ / "model" / "run");
  ASSERT_FALSE(log.empty());
  EXPECT_NEAR(MetricValue(log.front().second, "loss"), std::log(300.0), 0.5);
  EXPECT_LT(MetricValue(log.back().second, "loss"), MetricValue(log.front().second, "loss") - 1);
  EXPECT_FALSE(std::isnan(MetricValue(log.back().second, "select_loss")));

  // Resuming a finished run writes the same model again; another run is not allowed in.
  const auto before = ModelIdentity(folder_ / "model");
  PretrainOptions again = PretrainSettings();
  EXPECT_EQ(Pretrain(again).code(), StatusCode::kInvalidArgument);
  // Not even its tokenizer is touched before that is said.
  const auto pieces = ReadFile(folder_ / "model" / "tokenizer.model");
  ASSERT_TRUE(WriteFileAtomic(folder_ / "other.txt", std::string_view(Text(700))).ok());
  again.text = {folder_ / "other.txt"};
  EXPECT_EQ(Pretrain(again).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadFile(folder_ / "model" / "tokenizer.model").value(), pieces.value());
  again = PretrainSettings();
  again.loop.resume = true;
  ASSERT_TRUE(Pretrain(again).ok());
  EXPECT_EQ(ModelIdentity(folder_ / "model").value(), before.value());
  again.layers = 3;
  EXPECT_EQ(Pretrain(again).code(), StatusCode::kMismatch);
}

TEST_F(CodecTrainingTest, MatchesTheModelItWasTrainedForInFrozenMode) {
  CodecTrainOptions options = CodecSettings(CodecMode::kFrozen);
  const auto identity = ModelIdentity(options.model);
  const Status status = TrainCodec(options);
  ASSERT_TRUE(status.ok()) << status.ToString();
  auto stored = LoadCodec(options.out);
  ASSERT_TRUE(stored.ok()) << stored.status().ToString();
  EXPECT_EQ(stored->origin.model, identity.value());
  EXPECT_EQ(ModelIdentity(options.model).value(), identity.value()) << "a frozen model is not touched";
  EXPECT_EQ(stored->origin.cut, 1);
  EXPECT_EQ(stored->origin.lambda, 2e-3);
  EXPECT_EQ(stored->codec->config().width, 16);
  EXPECT_EQ(stored->codec->config().context, 24);

  const auto log = Log(options.out / "run");
  ASSERT_EQ(log.size(), 24u);
  for (const auto& [step, metrics] : log) {
    EXPECT_EQ(std::isnan(MetricValue(metrics, "distortion")), step <= 12) << "the first half trains the rate alone";
    EXPECT_NEAR(MetricValue(metrics, "bits_per_token"),
                MetricValue(metrics, "bits_hyper") + MetricValue(metrics, "bits_latent"), 1e-3);
  }
  const double first = MetricValue(log.front().second, "bits_per_token");
  const double last = MetricValue(log.back().second, "bits_per_token");
  std::printf("frozen: %.2f -> %.2f bits/token in 24 steps\n", first, last);
  EXPECT_LT(last, first);
  EXPECT_GT(MetricValue(log.back().second, "select_perplexity"), 1);
  EXPECT_GT(MetricValue(log.back().second, "select_perplexity_ratio"), 0.9);

  // Resuming a finished run writes the same codec; other settings are another run.
  const auto digest = stored->digest;
  options.loop.resume = true;
  ASSERT_TRUE(TrainCodec(options).ok());
  EXPECT_EQ(LoadCodec(options.out)->digest, digest);
  options.lambda *= 2;
  EXPECT_EQ(TrainCodec(options).code(), StatusCode::kMismatch);
  options.loop.resume = false;
  EXPECT_EQ(TrainCodec(options).code(), StatusCode::kInvalidArgument);
}

TEST_F(CodecTrainingTest, MatchesModelCodecAndReferenceInJointMode) {
  CodecTrainOptions options = CodecSettings(CodecMode::kJoint);
  options.distortion = Distortion::kCrossEntropy;
  options.loop.steps = 10;
  const Status status = TrainCodec(options);
  ASSERT_TRUE(status.ok()) << status.ToString();
  const auto stored = LoadCodec(options.out / "codec");
  ASSERT_TRUE(stored.ok()) << stored.status().ToString();
  EXPECT_EQ(stored->origin.model, ModelIdentity(options.out / "model").value());
  EXPECT_NE(stored->origin.model, ModelIdentity(options.model).value());
  EXPECT_NE(ModelIdentity(options.out / "reference").value(), ModelIdentity(options.model).value());
  for (const char* part : {"model", "reference"}) {
    EXPECT_TRUE(LoadBackbone(options.out / part).ok()) << part;
    EXPECT_TRUE(LoadTokenizer(options.out / part).ok()) << part;
  }
  const auto log = Log(options.out / "run");
  const double first = MetricValue(log.front().second, "bits_per_token");
  const double last = MetricValue(log.back().second, "bits_per_token");
  std::printf("joint: %.2f -> %.2f bits/token in 10 steps\n", first, last);
  EXPECT_LT(last, first);
  EXPECT_FALSE(std::isnan(MetricValue(log.front().second, "distortion")));
  EXPECT_EQ(Log(options.out / "run-reference").size(), 10u);
  options.loop.resume = true;
  const auto model = ModelIdentity(options.out / "model").value();
  ASSERT_TRUE(TrainCodec(options).ok());
  EXPECT_EQ(ModelIdentity(options.out / "model").value(), model);
}

TEST_F(CodecTrainingTest, MatchesTheModelItWasTrainedForAsAContextCodec) {
  for (const char* side : {"none", "tokens"}) {
    CodecTrainOptions options = CodecSettings(CodecMode::kFrozen);
    options.out = folder_ / (std::string("context-") + side);
    options.preset = "sluice";
    options.lambda = 1e-6;  // at a coarser one this small model needs no bits
    options.side = side;
    options.switches = {"hidden=20", "class_width=8", "points=2"};
    if (options.side == "none") {
      for (const char* fewer : {"id_count=12", "class_groups=3"}) options.switches.emplace_back(fewer);
    }
    const Status status = TrainCodec(options);
    ASSERT_TRUE(status.ok()) << status.ToString();
    const auto log = ReadMetrics(options.out / "run");
    ASSERT_TRUE(log.ok());
    EXPECT_LT(MetricValue(log->back().second, "select_bits_latent"), MetricValue(log->front().second, "bits_latent"));
    auto stored = LoadContext(options.out);
    ASSERT_TRUE(stored.ok()) << stored.status().ToString();
    EXPECT_EQ(stored->origin.model, ModelIdentity(options.model).value());
    EXPECT_EQ(stored->network.config.ids, options.side == "none" ? ContextIds::kClasses : ContextIds::kTokens);
    EXPECT_TRUE(ContextCoder::Create(std::move(*stored)).ok());
  }
}

TEST_F(CodecTrainingTest, RejectsWrongRequestsBeforeWriting) {
  const auto expect = [&](CodecTrainOptions options, StatusCode code, const std::string& word) {
    options.out = folder_ / "refused";
    const Status status = TrainCodec(options);
    EXPECT_EQ(status.code(), code) << status.ToString();
    EXPECT_NE(status.message().find(word), std::string::npos) << status.message();
    EXPECT_FALSE(std::filesystem::exists(folder_ / "refused")) << word;
  };
  CodecTrainOptions options = CodecSettings(CodecMode::kFrozen);
  options.cut = 3;
  expect(options, StatusCode::kInvalidArgument, "cut 3 is out of range");
  options = CodecSettings(CodecMode::kFrozen);
  options.lambda = 0;
  expect(options, StatusCode::kInvalidArgument, "lambda");
  options.lambda = std::nan("");
  expect(options, StatusCode::kInvalidArgument, "lambda");
  options = CodecSettings(CodecMode::kJoint);
  options.switches = {"gain=true"};
  expect(options, StatusCode::kInvalidArgument, "joint");
  options.switches = {"speed=9"};
  expect(options, StatusCode::kInvalidArgument, "speed");
  options = CodecSettings(CodecMode::kFrozen);
  options.context = 25;
  expect(options, StatusCode::kInvalidArgument, "25");
  options = CodecSettings(CodecMode::kFrozen);
  options.select_share = 1.5;
  expect(options, StatusCode::kInvalidArgument, "select_share");
  options = CodecSettings(CodecMode::kFrozen);
  options.text = {folder_ / "absent.txt"};
  expect(options, StatusCode::kIo, "absent.txt");
  ASSERT_TRUE(WriteFileAtomic(folder_ / "short.txt", std::string_view("the cat")).ok());
  options.text = {folder_ / "short.txt"};
  expect(options, StatusCode::kInvalidArgument, "window");
  options = CodecSettings(CodecMode::kFrozen);
  options.model = folder_ / "absent";
  expect(options, StatusCode::kIo, "absent");
}

TEST(PretrainingTest, RejectsTextThatIsNone) {
  TemporaryFolder folder;
  PretrainOptions options;
  options.out = folder / "out";
  options.text = {folder / "text.txt"};
  ASSERT_TRUE(WriteFileAtomic(folder / "text.txt", std::string_view("bad \xff byte")).ok());
  EXPECT_EQ(Pretrain(options).code(), StatusCode::kInvalidArgument);
  ASSERT_TRUE(WriteFileAtomic(folder / "text.txt", std::string_view(" \n")).ok());
  EXPECT_EQ(Pretrain(options).code(), StatusCode::kInvalidArgument);
  options.select_share = -0.5;
  EXPECT_EQ(Pretrain(options).code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace sluice
