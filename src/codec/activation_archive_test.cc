#include "codec/activation_archive.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>

#include "base/bytes.h"
#include "base/half.h"
#include "format/hidden_file.h"
#include "format/safetensors.h"
#include "format/temporary_folder.h"

namespace sluice {
namespace {

constexpr size_t kTokens = 300, kWidth = 24;

// Rows that come back with a little noise, as hidden states do.
std::vector<float> Sample(size_t tokens, size_t width) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  std::vector<float> values(tokens * width);
  for (size_t t = 0; t < tokens; ++t) {
    const size_t from = t > 40 && t % 3 != 0 ? random() % t : t;
    for (size_t c = 0; c < width; ++c) {
      const float fresh = normal(random) * static_cast<float>(c + 1) + 3;
      values[t * width + c] = from == t ? fresh : values[from * width + c] + 0.05f * normal(random);
    }
  }
  return values;
}

void ExpectRoundTrip(const std::vector<uint8_t>& bytes, DType dtype, size_t tokens, size_t width) {
  const auto payload = EncodeActivations(bytes, dtype, tokens, width, {});
  ASSERT_TRUE(payload.ok()) << payload.status().ToString();
  EXPECT_LE(payload->size(), bytes.size() + 1);
  const auto decoded = DecodeActivations(*payload, dtype, tokens, width, {});
  ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
  EXPECT_TRUE(*decoded == bytes);
}

TEST(ActivationCoderTest, RoundTripsEveryTypeBitForBit) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBf16}) {
    ExpectRoundTrip(*FromFloats(Sample(kTokens, kWidth), dtype), dtype, kTokens, kWidth);
    ExpectRoundTrip(*FromFloats(Sample(1, 1), dtype), dtype, 1, 1);
    ExpectRoundTrip(*FromFloats(Sample(2, 5000), dtype), dtype, 2, 5000);
    ExpectRoundTrip(std::vector<uint8_t>(kTokens * kWidth * DTypeSize(dtype)), dtype, kTokens, kWidth);
  }
}

TEST(ActivationCoderTest, RoundTripsAnyBits) {
  std::mt19937 random(4);
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBf16}) {
    std::vector<uint8_t> noise(kTokens * kWidth * DTypeSize(dtype));
    for (uint8_t& byte : noise) byte = static_cast<uint8_t>(random());
    ExpectRoundTrip(noise, dtype, kTokens, kWidth);
    // Mostly tame, with NaN payloads, infinities, signed zeros and subnormals among it.
    std::vector<uint8_t> mixed = *FromFloats(Sample(kTokens, kWidth), dtype);
    for (size_t i = 0; i < mixed.size(); i += 97 * DTypeSize(dtype)) {
      std::copy_n(noise.begin() + static_cast<ptrdiff_t>(i), DTypeSize(dtype),
                  mixed.begin() + static_cast<ptrdiff_t>(i));
    }
    for (size_t i = DTypeSize(dtype) - 1; i < mixed.size(); i += 53 * DTypeSize(dtype)) {
      std::fill_n(mixed.begin() + static_cast<ptrdiff_t>(i + 1 - DTypeSize(dtype)), DTypeSize(dtype), uint8_t{0});
      mixed[i] = i % 2 == 0 ? 0x80 : 0;
    }
    ExpectRoundTrip(mixed, dtype, kTokens, kWidth);
  }
}

TEST(ActivationCoderTest, MatchesItsErrorBounds) {
  std::vector<float> values = Sample(kTokens, kWidth);
  values[7] = std::numeric_limits<float>::infinity();
  values[11] = 1e30f;
  values[12] = 1e-40f;
  const std::vector<uint8_t> bytes = *FromFloats(values, DType::kF32);
  for (const double bound : {1e-4, 1e-2, 0.3}) {
    for (const Fidelity kind : {Fidelity::kAbsolute, Fidelity::kRelative}) {
      const FidelitySpec spec{kind, bound};
      const auto payload = EncodeActivations(bytes, DType::kF32, kTokens, kWidth, spec);
      ASSERT_TRUE(payload.ok()) << payload.status().ToString();
      EXPECT_LT(payload->size(), bytes.size());
      const auto decoded = DecodeActivations(*payload, DType::kF32, kTokens, kWidth, spec);
      ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
      for (size_t i = 0; i < values.size(); ++i) {
        const double x = values[i], y = LoadLe<float>(decoded->data() + 4 * i);
        if (!std::isfinite(x)) {
          EXPECT_EQ(x, y);
        } else {
          ASSERT_LE(std::fabs(y - x), kind == Fidelity::kAbsolute ? bound : bound * std::fabs(x)) << i;
        }
      }
    }
  }
}

// Distributions that hurt: a few huge outliers, many scales at once, two far modes, exact zeros, a constant.
std::vector<std::vector<float>> HostileSamples(size_t count) {
  std::mt19937 random(12);
  std::normal_distribution<float> normal;
  std::vector<std::vector<float>> samples(5, std::vector<float>(count));
  for (size_t i = 0; i < count; ++i) {
    const float x = normal(random);
    samples[0][i] = random() % 50 == 0 ? 1e6f * x : 1e-3f * x;
    samples[1][i] = std::ldexp(x, static_cast<int>(random() % 200) - 100);
    samples[2][i] = (random() % 2 == 0 ? 5e4f : -5e4f) + x;
    samples[3][i] = random() % 4 == 0 ? x : (random() % 2 == 0 ? 0.0f : -0.0f);
    samples[4][i] = 0.1f;
  }
  return samples;
}

TEST(ActivationCoderTest, MatchesItsBoundsOnHostileDistributions) {
  const std::vector<FidelitySpec> specs = {{Fidelity::kAbsolute, 1e-6}, {Fidelity::kAbsolute, 0.02},
                                           {Fidelity::kAbsolute, 1e4},  {Fidelity::kRelative, 1e-6},
                                           {Fidelity::kRelative, 0.05}, {Fidelity::kRelative, 0.9}};
  for (const std::vector<float>& values : HostileSamples(kTokens * kWidth)) {
    const std::vector<uint8_t> bytes = *FromFloats(values, DType::kF32);
    ExpectRoundTrip(bytes, DType::kF32, kTokens, kWidth);
    for (const FidelitySpec& spec : specs) {
      const std::vector<uint8_t> payload = *EncodeActivations(bytes, DType::kF32, kTokens, kWidth, spec);
      EXPECT_LE(payload.size(), bytes.size() + 1);
      const auto decoded = DecodeActivations(payload, DType::kF32, kTokens, kWidth, spec);
      ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
      for (size_t i = 0; i < values.size(); ++i) {
        const double x = values[i], y = LoadLe<float>(decoded->data() + 4 * i);
        ASSERT_LE(std::fabs(y - x), spec.kind == Fidelity::kAbsolute ? spec.bound : spec.bound * std::fabs(x))
            << i << ": " << x << " bound " << spec.bound;
      }
    }
  }
}

TEST(ActivationCoderTest, RejectsDamagedFieldsWithTheirStatus) {
  const std::vector<uint8_t> good =
      *EncodeActivations(*FromFloats(Sample(kTokens, kWidth), DType::kF16), DType::kF16, kTokens, kWidth, {});
  const auto code_with = [&](size_t at, uint8_t byte) {
    std::vector<uint8_t> bad = good;
    bad[at] = byte;
    return DecodeActivations(bad, DType::kF16, kTokens, kWidth, {}).status().code();
  };
  EXPECT_EQ(code_with(0, 2), StatusCode::kCorrupt);                       // mode
  EXPECT_EQ(code_with(8, 0xFF), StatusCode::kCorrupt);                    // step: negative
  EXPECT_EQ(code_with(9, 24), StatusCode::kCorrupt);                      // mantissa
  EXPECT_EQ(code_with(10, 2), StatusCode::kCorrupt);                      // sign of zero
  EXPECT_EQ(code_with(11 + 2 * kWidth + 1, 0x7F), StatusCode::kCorrupt);  // spread
  EXPECT_EQ(code_with(11 + 4 * kWidth, 1), StatusCode::kCorrupt);         // classes
  EXPECT_EQ(code_with(11 + 4 * kWidth, 33), StatusCode::kCorrupt);
  EXPECT_EQ(code_with(11 + 4 * kWidth + 1, 0), StatusCode::kCorrupt);  // weight
  std::vector<uint8_t> longer = good;
  longer.push_back(0);
  EXPECT_EQ(DecodeActivations(longer, DType::kF16, kTokens, kWidth, {}).status().code(), StatusCode::kCorrupt);
  for (const size_t size : {size_t{0}, size_t{5}, 11 + 3 * kWidth, good.size() - 1}) {
    EXPECT_EQ(DecodeActivations(std::span(good).first(size), DType::kF16, kTokens, kWidth, {}).status().code(),
              StatusCode::kTruncated)
        << size;
  }
}

TEST(ActivationCoderTest, CostsAtMostTheBitsAskedFor) {
  const std::vector<uint8_t> bytes = *FromFloats(Sample(2000, kWidth), DType::kF32);
  double last_error = 1e9;
  for (const double bits : {2.0, 4.0, 8.0}) {
    const FidelitySpec spec{Fidelity::kBits, bits};
    const std::vector<uint8_t> payload = *EncodeActivations(bytes, DType::kF32, 2000, kWidth, spec);
    EXPECT_LE(payload.size() * 8.0, bits * 2000 * kWidth);
    EXPECT_GE(payload.size() * 8.0, 0.85 * bits * 2000 * kWidth);
    const std::vector<uint8_t> decoded = *DecodeActivations(payload, DType::kF32, 2000, kWidth, spec);
    double error = 0;
    for (size_t i = 0; i < decoded.size(); i += 4) {
      error += std::fabs(LoadLe<float>(decoded.data() + i) - LoadLe<float>(bytes.data() + i));
    }
    EXPECT_LT(error, last_error / 2);
    last_error = error;
  }
  EXPECT_EQ(
      EncodeActivations(*FromFloats(Sample(1, kWidth), DType::kF32), DType::kF32, 1, kWidth, {Fidelity::kBits, 0.1})
          .status()
          .code(),
      StatusCode::kInvalidArgument);
}

TEST(ActivationCoderTest, RejectsDamageWithoutCrashing) {
  const std::vector<uint8_t> good =
      *EncodeActivations(*FromFloats(Sample(kTokens, kWidth), DType::kF16), DType::kF16, kTokens, kWidth, {});
  for (size_t size = 0; size < good.size(); size += 1 + size / 50) {
    EXPECT_FALSE(DecodeActivations(std::span(good).first(size), DType::kF16, kTokens, kWidth, {}).ok()) << size;
  }
  std::mt19937 random(8);
  for (int i = 0; i < 600; ++i) {
    std::vector<uint8_t> bad = good;
    bad[random() % (i % 2 == 0 ? 400 : bad.size())] ^= static_cast<uint8_t>(1u << (random() % 8));
    const auto decoded = DecodeActivations(bad, DType::kF16, kTokens, kWidth, {});
    if (decoded.ok()) {
      EXPECT_EQ(decoded->size(), kTokens * kWidth * 2);
    }
  }
  const std::vector<uint8_t> bytes(8);
  EXPECT_EQ(EncodeActivations(bytes, DType::kF32, 3, 1, {}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(EncodeActivations(bytes, DType::kI32, 2, 1, {}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(EncodeActivations(bytes, DType::kF32, 2, 1, {Fidelity::kAbsolute, 0}).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(EncodeActivations(bytes, DType::kF32, 2, 1, {Fidelity::kRelative, 1}).status().code(),
            StatusCode::kInvalidArgument);
}

HiddenStates SampleStates(uint32_t batch, uint32_t tokens, size_t width) {
  HiddenStates hidden;
  hidden.rank = batch > 1 ? 3 : 2;
  hidden.batch = batch;
  hidden.tokens = tokens;
  const size_t rows = size_t{batch} * tokens;
  hidden.values = Matrix<float>(rows, width);
  const std::vector<float> values = Sample(rows, width);
  std::copy(values.begin(), values.end(), hidden.values.data());
  return hidden;
}

TEST(ActivationArchiveTest, RoundTripsFilesRangesAndAppends) {
  const TemporaryFolder folder;
  const HiddenStates hidden = SampleStates(3, 100, kWidth);
  ASSERT_TRUE(SaveHidden(folder / "in.safetensors", hidden, DType::kBf16).ok());
  const PackOptions options{.fidelity = {}, .chunk_tokens = 64, .append = true, .progress = {}};
  for (int i = 0; i < 2; ++i) {
    const auto packed = PackHidden(folder / "in.safetensors", "", folder / "x.sla", options);
    ASSERT_TRUE(packed.ok()) << packed.status().ToString();
  }
  const auto unpacked = UnpackHidden(folder / "x.sla", folder / "out.safetensors");
  ASSERT_TRUE(unpacked.ok()) << unpacked.status().ToString();
  EXPECT_EQ(unpacked->tokens, 600u);
  EXPECT_TRUE(unpacked->complete);
  const SafetensorsFile in_file = *SafetensorsFile::Open(folder / "in.safetensors");
  const SafetensorsFile out_file = *SafetensorsFile::Open(folder / "out.safetensors");
  const TensorView a = *in_file.Find("hidden"), b = *out_file.Find("hidden");
  EXPECT_EQ(b.shape, (std::vector<uint64_t>{6, 100, kWidth}));
  EXPECT_TRUE(std::equal(a.bytes.begin(), a.bytes.end(), b.bytes.begin()));
  const ArchiveReader reader = *ArchiveReader::Open(folder / "x.sla");
  for (const auto& [begin, end] : {std::pair<uint64_t, uint64_t>{0, 1}, {63, 65}, {250, 420}, {599, 600}}) {
    const std::vector<uint8_t> part = *ReadTokens(reader, begin, end);
    ASSERT_EQ(part.size(), (end - begin) * kWidth * 2);
    EXPECT_TRUE(std::equal(part.begin(), part.end(), b.bytes.begin() + static_cast<ptrdiff_t>(begin * kWidth * 2)));
  }
  EXPECT_EQ(ReadTokens(reader, 5, 5).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadTokens(reader, 0, 601).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(UnpackHidden(folder / "x.sla", folder / "o.npy").status().code(), StatusCode::kUnsupported);
  EXPECT_EQ(
      UnpackHidden(folder / "x.sla", folder / "o.safetensors", std::pair<uint64_t, uint64_t>(0, 601)).status().code(),
      StatusCode::kInvalidArgument);
  EXPECT_FALSE(std::filesystem::exists(folder / "o.safetensors"));
  EXPECT_EQ(PackHidden(folder / "x.sla", "", folder / "y.sla", options).status().code(), StatusCode::kInvalidArgument);
}

TEST(ActivationArchiveTest, RejectsABudgetBeforeTheOldArchiveIsGone) {
  const TemporaryFolder folder;
  ASSERT_TRUE(SaveHidden(folder / "in.safetensors", SampleStates(1, 40, 1), DType::kF32).ok());
  ASSERT_TRUE(PackHidden(folder / "in.safetensors", "", folder / "x.sla", {}).ok());
  const auto before = ReadFile(folder / "x.sla", 1 << 20);
  PackOptions options;
  options.fidelity = {Fidelity::kBits, 0.1};  // 40 elements of one channel: less than a chunk's own fields
  EXPECT_EQ(PackHidden(folder / "in.safetensors", "", folder / "x.sla", options).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadFile(folder / "x.sla", 1 << 20).value(), before.value());
}

// SECURITY.md promises this of what stands where an archive is written.
TEST(ActivationArchiveTest, RoundTripsTheChunksOfARunThatStopped) {
  const TemporaryFolder folder;
  const auto tokens_left = [&] {
    const auto reader = ArchiveReader::Open(folder / "x.sla");
    return reader.ok() && ReadTokens(*reader, 0, reader->tokens()).ok() ? reader->tokens() : 0;
  };
  ASSERT_TRUE(SaveHidden(folder / "in.safetensors", SampleStates(1, 40, 8), DType::kF32).ok());
  PackOptions options{.fidelity = {}, .chunk_tokens = 16, .append = false, .progress = {}};
  ASSERT_TRUE(PackHidden(folder / "in.safetensors", "", folder / "x.sla", options).ok());
  options.progress = [](uint64_t, uint64_t) { return Interrupted("stopped"); };
  EXPECT_EQ(PackHidden(folder / "in.safetensors", "", folder / "x.sla", options).status().code(),
            StatusCode::kInterrupted);
  EXPECT_EQ(tokens_left(), 16u) << "the old archive is gone, the first chunk of the new one is there";
  options.append = true;
  EXPECT_EQ(PackHidden(folder / "in.safetensors", "", folder / "x.sla", options).status().code(),
            StatusCode::kInterrupted);
  EXPECT_EQ(tokens_left(), 32u) << "what was there stays when it is appended to";
  options.fidelity = {Fidelity::kAbsolute, 0.1};
  EXPECT_EQ(PackHidden(folder / "in.safetensors", "", folder / "x.sla", options).status().code(),
            StatusCode::kMismatch);
  EXPECT_EQ(tokens_left(), 32u);
}

TEST(ActivationArchiveTest, CostsLessThanThirteenBitsOnRealHalves) {
  const char* set = std::getenv("SLUICE_GOLDEN");
  const std::filesystem::path golden =
      set != nullptr ? std::filesystem::path(set) : std::filesystem::path(SLUICE_SOURCE_DIR) / "../shared/golden";
  const std::filesystem::path path = golden / "activations-stories260K.safetensors";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no reference activations at " << path;
  const TemporaryFolder folder;
  // zstd -19 on the byte planes needs 12.94 bits an element.
  const auto packed = PackHidden(path, "hidden.2", folder / "x.sla", {});
  ASSERT_TRUE(packed.ok()) << packed.status().ToString();
  EXPECT_LT(8.0 * static_cast<double>(packed->bytes), 10.7 * 16384 * 64);
  const std::vector<uint8_t> back = *ReadTokens(*ArchiveReader::Open(folder / "x.sla"), 0, 16384);
  const SafetensorsFile file = *SafetensorsFile::Open(path);
  const TensorView original = *file.Find("hidden.2");
  EXPECT_TRUE(std::equal(back.begin(), back.end(), original.bytes.begin(), original.bytes.end()));
}

}  // namespace
}  // namespace sluice
