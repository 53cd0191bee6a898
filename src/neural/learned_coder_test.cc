// From hidden states to bytes and back: the same integers, the reconstruction that training saw, the bits that training
// was told, and nothing accepted that was damaged on the way.
#include "neural/learned_coder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "format/stream.h"
#include "neural/hyper_tables.h"

namespace sluice {
namespace {

// A codec as training leaves it, but with random networks: every channel with a spread of its own.
StoredCodec MakeStored(const CodecConfig& config, const torch::Tensor& deviation) {
  StoredCodec stored;
  stored.codec = LearnedCodec(config);
  if (config.mode == CodecMode::kFrozen) {
    const auto axes = std::get<0>(torch::linalg_qr(torch::randn({config.width, config.width})));
    stored.codec->transform()->Set(torch::randn({config.width}), axes, torch::full({config.width}, 1.5));
  }
  stored.codec->SetChannelScale(deviation);
  if (config.classes > 0) stored.codec->StartClasses(torch::randn({500, config.width}) * deviation);
  auto tables = MakeSideTables(*stored.codec);
  EXPECT_TRUE(tables.ok()) << tables.status().ToString();
  stored.hyper_tables = std::move(tables).value();
  return stored;
}

LearnedCoder MakeCoder(const CodecConfig& config, uint64_t seed = 1) {
  torch::manual_seed(seed);
  auto coder = LearnedCoder::Create(MakeStored(config, torch::linspace(0.3, 12.0, config.width)));
  EXPECT_TRUE(coder.ok()) << coder.status().ToString();
  return std::move(coder).value();
}

CodecConfig TinyConfig(CodecMode mode = CodecMode::kFrozen) { return CodecConfig::Paper(8, 2, 257, mode); }

// Hidden states like a model's: wide and narrow channels, one channel of outliers, a first token unlike all others.
torch::Tensor HiddenStates(int64_t batch, int64_t tokens, int64_t width, uint64_t seed = 9) {
  torch::manual_seed(seed);
  auto x = torch::randn({batch, tokens, width}) * torch::linspace(0.2, 8.0, width);
  x.select(1, 0).mul_(40);
  x.select(2, 3).mul_((torch::rand({batch, tokens}) < 0.05).to(torch::kFloat32) * 3000 + 1);
  return x;
}

std::string Describe(const CodecConfig& config, int64_t batch, int64_t tokens) {
  return config.ToJson().dump() + " B " + std::to_string(batch) + " T " + std::to_string(tokens);
}

void ExpectRoundTrip(const CodecConfig& config, int64_t batch, int64_t tokens) {
  SCOPED_TRACE(Describe(config, batch, tokens));
  LearnedCoder coder = MakeCoder(config);
  const auto x = HiddenStates(batch, tokens, config.width);
  const auto coded = coder.Encode(x);
  ASSERT_TRUE(coded.ok()) << coded.status().ToString();
  const auto decoded = coder.Decode(coded->payload, batch, tokens);
  ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
  EXPECT_EQ(decoded->hyper, coded->hyper);
  EXPECT_EQ(decoded->latent, coded->latent);
  torch::NoGradGuard no_grad;
  LearnedCodec codec = coder.stored().codec;
  const CodecOutput output = codec->forward(x);
  EXPECT_TRUE(torch::equal(decoded->hidden, output.reconstruction));
  const double ideal = (output.bits_hyper.sum() + output.bits_latent.sum()).item<double>();
  EXPECT_NEAR(coded->estimated_hyper_bits + coded->estimated_latent_bits, ideal, 1e-3 * ideal);
  double channels = 0;
  for (const double bits : coded->channel_bits) channels += bits;
  EXPECT_DOUBLE_EQ(channels, coded->latent_bits);
}

TEST(LearnedCoderTest, RoundTripsEverySwitch) {
  for (const CodecMode mode : {CodecMode::kJoint, CodecMode::kFrozen}) {
    for (const char* assignment : {"residual=false",
                                   "residual=true",
                                   "centroid=true",
                                   "mean_steps=8",
                                   "mean_steps=16",
                                   "stream_per_token=true",
                                   "last_mlp=false",
                                   "last_mlp_ratio=1",
                                   "attention=false",
                                   "sigma=log",
                                   "sigma=linear",
                                   "channel_prior=true",
                                   "channel_prior=false",
                                   "precision_bits=10",
                                   "precision_bits=16",
                                   "density=fourier",
                                   "density=fourier_safe",
                                   "prior=direct",
                                   "causal=false",
                                   "window=5",
                                   "classes=7"}) {
      CodecConfig config = TinyConfig(mode);
      ASSERT_TRUE(config.Set(assignment).ok()) << assignment;
      ExpectRoundTrip(config, 2, 21);
    }
    ExpectRoundTrip(MakePreset("paper+", 8, 2, 257, mode).value(), 2, 21);
  }
  for (const char* assignment : {"gain=false", "transform=none", "transform=learned"}) {
    CodecConfig config = TinyConfig();
    ASSERT_TRUE(config.Set(assignment).ok()) << assignment;
    ExpectRoundTrip(config, 2, 21);
  }
}

TEST(LearnedCoderTest, RoundTripsEveryLengthAndBatch) {
  for (const CodecMode mode : {CodecMode::kJoint, CodecMode::kFrozen}) {
    for (const bool residual : {false, true}) {
      for (const int64_t batch : {1, 8}) {
        for (const int64_t tokens : {1, 2, 255, 256, 257}) {
          CodecConfig config = TinyConfig(mode);
          config.residual = residual;
          config.stream_per_token = batch == 8 && tokens <= 2;
          ExpectRoundTrip(config, batch, tokens);
        }
      }
    }
  }
}

TEST(LearnedCoderTest, RoundTripsDirectAccessAtEveryLengthAndBatch) {
  for (const int64_t batch : {1, 8}) {
    for (const int64_t tokens : {1, 2, 64, 257}) {
      CodecConfig config = MakePreset("direct", 8, 2, 257, CodecMode::kFrozen).value();
      ExpectRoundTrip(config, batch, tokens);
    }
  }
}

// What one decodes depends on nothing that a message between the two ends does not carry.
TEST(LearnedCoderTest, RoundTripsAcrossTwoCoders) {
  LearnedCoder sender = MakeCoder(TinyConfig()), receiver = MakeCoder(TinyConfig());
  for (const int64_t tokens : {64, 1, 257, 5}) {
    const auto coded = sender.Encode(HiddenStates(1, tokens, 8));
    ASSERT_TRUE(coded.ok());
    const auto decoded = receiver.Decode(coded->payload, 1, tokens);
    ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
    EXPECT_EQ(decoded->latent, coded->latent);
  }
}

void ExpectRefused(LearnedCoder& coder, const torch::Tensor& x, const std::string& word) {
  const auto coded = coder.Encode(x);
  ASSERT_FALSE(coded.ok()) << word;
  EXPECT_EQ(coded.status().code(), StatusCode::kInvalidArgument) << coded.status().ToString();
  EXPECT_NE(coded.status().message().find(word), std::string::npos) << coded.status().message();
}

TEST(LearnedCoderTest, RejectsValuesThatCannotBeCoded) {
  LearnedCoder coder = MakeCoder(TinyConfig());
  for (const float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    auto x = HiddenStates(2, 5, 8);
    x[1][3][6] = bad;
    ExpectRefused(coder, x, "row 1, token 3, channel 6");
  }
  CodecConfig plain = TinyConfig(CodecMode::kJoint);
  LearnedCoder joint = MakeCoder(plain);
  auto x = HiddenStates(2, 5, 8);
  x[0][4][2] = 1e12f;
  // The analysis sees the value first; either finding is right, but it is found.
  const auto coded = joint.Encode(x);
  ASSERT_FALSE(coded.ok());
  EXPECT_EQ(coded.status().code(), StatusCode::kInvalidArgument) << coded.status().ToString();
}

TEST(LearnedCoderTest, RejectsOtherShapesAndTypes) {
  LearnedCoder coder = MakeCoder(TinyConfig());
  ExpectRefused(coder, torch::zeros({1, 4, 7}), "[B, T, 8]");
  ExpectRefused(coder, torch::zeros({4, 8}), "[B, T, 8]");
  ExpectRefused(coder, torch::zeros({1, 4, 8}, torch::kDouble), "[B, T, 8]");
  ExpectRefused(coder, torch::zeros({0, 4, 8}), "[0, 4, 8]");
  ExpectRefused(coder, torch::zeros({1, 0, 8}), "[1, 0, 8]");
  ExpectRefused(coder, torch::zeros({1, 258, 8}), "257");
}

// ---- damage

struct Stream {
  std::vector<uint8_t> bytes;
  std::vector<std::vector<int32_t>> latents;
};

Stream MakeStream(LearnedCoder& coder, int64_t chunks, int64_t tokens) {
  StreamHeader header;
  header.kind = CodecKind::kFloat;
  header.model_id = 77;
  header.codec_id = 78;
  header.width = 8;
  header.cut = 2;
  header.precision_bits = 14;
  header.threads = 1;
  header.profile = 5;
  auto writer = StreamWriter::ToMemory(header);
  EXPECT_TRUE(writer.ok()) << writer.status().ToString();
  Stream stream;
  for (int64_t c = 0; c < chunks; ++c) {
    auto coded = coder.Encode(HiddenStates(1, tokens, 8, static_cast<uint64_t>(c)));
    EXPECT_TRUE(coded.ok());
    const std::span<const uint8_t> section = coded->payload;
    EXPECT_TRUE(writer->AddChunk(1, static_cast<uint32_t>(tokens), {&section, 1}, {coded->hyper, coded->latent}).ok());
    stream.latents.push_back(coded->latent);
  }
  EXPECT_TRUE(writer->Finish().ok());
  stream.bytes = writer->Take();
  return stream;
}

// Reads a stream as the program does. Ok only when every frame was verified and the end frame was seen.
Status ReadStream(LearnedCoder& coder, std::span<const uint8_t> bytes, std::vector<std::vector<int32_t>>* latents) {
  SLUICE_ASSIGN_OR_RETURN(StreamReader reader, StreamReader::FromBytes(bytes));
  if (reader.header().width != 8 || reader.header().precision_bits != 14) return Mismatch("another codec");
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const auto frame, reader.Next());
    if (!frame.has_value()) return OkStatus();
    if (frame->type != FrameType::kChunk || frame->sections.size() != 1 || frame->tokens > 257) {
      return Corrupt("not a chunk of ours");
    }
    SLUICE_ASSIGN_OR_RETURN(DecodedChunk chunk, coder.Decode(frame->sections.front(), frame->batch, frame->tokens));
    SLUICE_RETURN_IF_ERROR(frame->Verify({chunk.hyper, chunk.latent}));
    latents->push_back(std::move(chunk.latent));
  }
}

TEST(LearnedCoderTest, RejectsAThousandFlippedBits) {
  CodecConfig config = TinyConfig();
  config.classes = 30;
  LearnedCoder coder = MakeCoder(config);
  const Stream good = MakeStream(coder, 2, 256);
  std::vector<std::vector<int32_t>> latents;
  ASSERT_TRUE(ReadStream(coder, good.bytes, &latents).ok());
  ASSERT_EQ(latents, good.latents);
  std::mt19937 random(5);
  std::map<StatusCode, int> outcomes;
  for (int i = 0; i < 1000; ++i) {
    auto bytes = good.bytes;
    const size_t bit = std::uniform_int_distribution<size_t>(0, 8 * bytes.size() - 1)(random);
    bytes[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    latents.clear();
    const Status status = ReadStream(coder, bytes, &latents);
    ASSERT_FALSE(status.ok()) << "bit " << bit << " of " << 8 * bytes.size();
    ++outcomes[status.code()];
    // Frames before the damage were verified and must be right.
    for (size_t f = 0; f < latents.size(); ++f) ASSERT_EQ(latents[f], good.latents[f]) << "bit " << bit;
  }
  EXPECT_EQ(outcomes[StatusCode::kInternal], 0);
  EXPECT_EQ(outcomes[StatusCode::kInvalidArgument], 0);
  std::printf("%zu bytes; 1000 flips: %d Corrupt, %d Truncated, %d Unsupported, %d Mismatch\n", good.bytes.size(),
              outcomes[StatusCode::kCorrupt], outcomes[StatusCode::kTruncated], outcomes[StatusCode::kUnsupported],
              outcomes[StatusCode::kMismatch]);
}

TEST(LearnedCoderTest, RejectsEveryTruncation) {
  LearnedCoder coder = MakeCoder(TinyConfig());
  const Stream good = MakeStream(coder, 2, 24);
  for (size_t size = 0; size < good.bytes.size(); ++size) {
    std::vector<std::vector<int32_t>> latents;
    const Status status = ReadStream(coder, {good.bytes.data(), size}, &latents);
    ASSERT_EQ(status.code(), StatusCode::kTruncated)
        << size << " of " << good.bytes.size() << ": " << status.ToString();
  }
}

TEST(LearnedCoderTest, RejectsEveryTruncatedPayload) {
  for (const bool per_token : {false, true}) {
    CodecConfig config = TinyConfig();
    config.stream_per_token = per_token;
    LearnedCoder coder = MakeCoder(config);
    const auto coded = coder.Encode(HiddenStates(1, 6, 8));
    ASSERT_TRUE(coded.ok());
    for (size_t size = 0; size < coded->payload.size(); ++size) {
      const auto decoded = coder.Decode({coded->payload.data(), size}, 1, 6);
      ASSERT_FALSE(decoded.ok()) << size;
      const StatusCode code = decoded.status().code();
      EXPECT_TRUE(code == StatusCode::kTruncated || code == StatusCode::kCorrupt) << decoded.status().ToString();
    }
    auto longer = coded->payload;
    longer.insert(longer.end(), {1, 2});
    EXPECT_FALSE(coder.Decode(longer, 1, 6).ok());
    EXPECT_FALSE(coder.Decode(coded->payload, 1, 5).ok());
    EXPECT_FALSE(coder.Decode(coded->payload, 1, 7).ok());
  }
}

// ---- rate

struct Rate {
  double estimated = 0, tables = 0, real = 0;
};

Rate Measure(LearnedCoder& coder, const torch::Tensor& x) {
  const auto coded = coder.Encode(x);
  EXPECT_TRUE(coded.ok()) << coded.status().ToString();
  return {coded->estimated_hyper_bits + coded->estimated_latent_bits, coded->hyper_bits + coded->latent_bits,
          8.0 * static_cast<double>(coded->payload.size())};
}

void PrintRate(const std::string& what, const Rate& rate, int64_t tokens) {
  const auto t = static_cast<double>(tokens);
  std::printf("%-40s estimate %8.2f  tables %8.2f  payload %8.2f bits/token  (payload %+.3f %%)\n", what.c_str(),
              rate.estimated / t, rate.tables / t, rate.real / t, 100 * (rate.real / rate.estimated - 1));
}

// Rows that remember: x_t = a x_{t-1} + noise, in every channel.
torch::Tensor Autoregressive(int64_t batch, int64_t tokens, const torch::Tensor& deviation, double a = 0.9) {
  std::vector<torch::Tensor> rows = {torch::randn({batch, deviation.size(0)})};
  for (int64_t t = 1; t < tokens; ++t) {
    rows.push_back(a * rows.back() + std::sqrt(1 - a * a) * torch::randn({batch, deviation.size(0)}));
  }
  return torch::stack(rows, 1) * deviation;
}

// The networks say nothing, so that the density of y is the channel's own Gaussian, known exactly.
LearnedCoder MatchedCoder(CodecConfig config, const torch::Tensor& deviation) {
  torch::manual_seed(4);
  StoredCodec stored = MakeStored(config, deviation);
  {
    torch::NoGradGuard no_grad;
    stored.codec->transform()->Set(torch::zeros({config.width}), torch::eye(config.width), torch::ones({config.width}));
    for (auto& item : stored.codec->named_parameters()) {
      const bool last = item.key().rfind("synthesis.3.", 0) == 0;
      if (last && (item.key().ends_with("project.weight") || item.key().ends_with("contract.weight"))) {
        item.value().zero_();
      }
    }
  }
  return LearnedCoder::Create(std::move(stored)).value();
}

TEST(LearnedCoderTest, CostsWhatTheEstimateSaysForKnownDensities) {
  constexpr int64_t kTokens = 256, kChannels = 64;
  const auto deviation = torch::exp(torch::linspace(std::log(0.25), std::log(30.0), kChannels));
  for (const char* assignment : {"mean_steps=1", "mean_steps=8", "mean_steps=16", "residual=true"}) {
    CodecConfig config = CodecConfig::Paper(kChannels, 8, kTokens, CodecMode::kFrozen);
    ASSERT_TRUE(config.Set(assignment).ok());
    LearnedCoder coder = MatchedCoder(config, deviation);
    const Rate rate = Measure(coder, torch::randn({1, kTokens, kChannels}) * deviation);
    PrintRate(assignment, rate, kTokens);
    EXPECT_LT(std::fabs(rate.real / rate.estimated - 1), 0.005) << assignment;
    EXPECT_LT(rate.real / rate.tables - 1, 0.003) << assignment << ": coder overhead";
  }
}

TEST(LearnedCoderTest, CostsWhatTheEstimateSaysAfterTraining) {
  constexpr int64_t kTokens = 256, kChannels = 32;
  const auto deviation = torch::exp(torch::linspace(std::log(0.5), std::log(10.0), kChannels));
  CodecConfig config = CodecConfig::Paper(kChannels, 4, kTokens, CodecMode::kFrozen);
  config.mean_steps = 16;
  torch::manual_seed(8);
  StoredCodec stored = MakeStored(config, deviation);
  stored.codec->transform()->Set(torch::zeros({kChannels}), torch::eye(kChannels), torch::ones({kChannels}));
  const auto held_out = Autoregressive(1, kTokens, deviation);
  torch::optim::Adam adam(stored.codec->parameters(), torch::optim::AdamOptions(3e-3));
  double first = 0, last = 0;
  for (int step = 0; step < 60; ++step) {
    adam.zero_grad();
    const CodecOutput output = stored.codec->RateOnly(Autoregressive(4, 64, deviation));
    const auto bits = (output.bits_hyper.sum() + output.bits_latent.sum()) / (4 * 64);
    bits.backward();
    adam.step();
    (step == 0 ? first : last) = bits.item<double>();
  }
  EXPECT_LT(last, 0.95 * first) << "training must learn something";
  stored.hyper_tables = MakeSideTables(*stored.codec).value();
  LearnedCoder coder = LearnedCoder::Create(std::move(stored)).value();
  const Rate rate = Measure(coder, held_out);
  std::printf("60 steps: %.1f -> %.1f bits/token\n", first, last);
  PrintRate("trained, mean_steps=16", rate, kTokens);
  EXPECT_LT(std::fabs(rate.real / rate.estimated - 1), 0.005);
}

TEST(LearnedCoderTest, CostsLessInOneStreamThanInOnePerToken) {
  CodecConfig config = TinyConfig();
  LearnedCoder together = MakeCoder(config);
  config.stream_per_token = true;
  LearnedCoder apart = MakeCoder(config);
  const auto x = HiddenStates(1, 128, 8);
  const Rate one = Measure(together, x), many = Measure(apart, x);
  EXPECT_DOUBLE_EQ(one.tables, many.tables);
  PrintRate("one stream a chunk", one, 128);
  PrintRate("two streams a token", many, 128);
  EXPECT_GT(many.real - one.real, 20 * 128);  // the paper measured 13 to 34 bits a stream
}

}  // namespace
}  // namespace sluice
