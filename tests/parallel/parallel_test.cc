// Each test gives several threads the same shared objects and the same work, and compares what every thread made with
// what one thread made before. ThreadSanitizer (preset tsan) sees the same runs.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "codec/activation_coder.h"
#include "codec/pack_stream.h"
#include "codec/static_fit.h"
#include "format/dtype.h"
#include "plain/hidden_stream.h"
#include "plain/plain_codec.h"
#include "prob/gaussian_tables.h"
#include "rans/rans_decoder.h"
#include "rans/rans_encoder.h"

namespace sluice {
namespace {

constexpr int kThreads = 4;
constexpr uint32_t kStreams = 6;  // of each thread

using Bytes = std::vector<uint8_t>;
/// Makes the bytes of stream `seed`; none when they do not decode to what went in.
using MakeStream = std::function<Bytes(uint32_t seed)>;

HiddenStates Sample(uint32_t seed, uint64_t tokens, size_t width) {
  std::mt19937 random(seed);
  HiddenStates hidden;
  hidden.tokens = tokens;
  hidden.values = Matrix<float>(tokens, width);
  for (float& value : hidden.values.View().all()) {
    value = static_cast<float>(static_cast<int>(random() % 2000) - 1000) / 64.0f;
  }
  return hidden;
}

void ExpectSameOnAllThreads(const MakeStream& make) {
  std::vector<Bytes> expected;
  for (uint32_t seed = 0; seed < kStreams; ++seed) {
    expected.push_back(make(seed));
    ASSERT_FALSE(expected.back().empty()) << "stream " << seed << " does not come back";
  }
  std::vector<std::vector<Bytes>> made(kThreads);
  std::vector<std::thread> threads;
  for (std::vector<Bytes>& mine : made) {
    threads.emplace_back([&make, &mine] {
      for (uint32_t seed = 0; seed < kStreams; ++seed) mine.push_back(make(seed));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<Bytes>& each : made) EXPECT_EQ(each, expected);
}

TEST(ParallelTest, MatchesOneThreadWithGaussianTables) {
  const auto tables = GaussianTables::Create(12, 8);
  ASSERT_TRUE(tables.ok());
  ExpectSameOnAllThreads([&](uint32_t seed) {
    std::mt19937 random(seed);
    struct Symbol {
      int32_t value, mean;
      int scale;
    };
    std::vector<Symbol> symbols(3000);
    RansEncoder encoder = *RansEncoder::Create(8, 12);
    for (Symbol& symbol : symbols) {
      symbol = {static_cast<int32_t>(random() % 21) - 10, static_cast<int32_t>(random() % 64) - 32,
                static_cast<int>(random() % kScaleCodes)};
      EncodeGaussian(*tables, symbol.value, symbol.mean, symbol.scale, encoder);
    }
    const Bytes bytes = encoder.Finish();
    RansDecoder decoder = *RansDecoder::Create(bytes, 8, 12);
    for (const Symbol& symbol : symbols) {
      if (DecodeGaussian(*tables, symbol.mean, symbol.scale, decoder) != symbol.value) return Bytes();
    }
    return decoder.Finish().ok() ? bytes : Bytes();
  });
}

TEST(ParallelTest, MatchesOneThreadWithEveryPlainCodec) {
  for (const PlainCodecInfo& info : ListPlainCodecs()) {
    SCOPED_TRACE(info.spec);
    const std::unique_ptr<HiddenCodec> codec = std::move(*MakePlainCodec(info.spec));
    ExpectSameOnAllThreads([&](uint32_t seed) {
      const HiddenStates hidden = Sample(seed, 20, 48);
      StreamWriter writer = *StreamWriter::ToMemory(PlainStreamHeader(*codec, hidden));
      if (!EncodeHidden(*codec, hidden, 7, writer).ok() || !writer.Finish().ok()) return Bytes();
      Bytes bytes = writer.Take();
      return DecodeHidden(bytes).ok() ? bytes : Bytes();
    });
  }
}

TEST(ParallelTest, MatchesOneThreadWithAPackCodec) {
  StaticFitOptions options;
  options.step = 0.5;
  const Bytes pack = *FitStaticPack(Sample(99, 500, 12).values.View(), options)->pack.Serialize();
  const std::unique_ptr<PackCodec> codec = std::move(*PackCodec::Make(*Pack::FromBytes(pack)));
  for (const uint32_t chunk : {1u, 25u}) {
    ExpectSameOnAllThreads([&](uint32_t seed) {
      const HiddenStates hidden = Sample(seed, 60, 12);
      StreamWriter writer = *StreamWriter::ToMemory(codec->Header(DType::kF32));
      if (!EncodeHidden(*codec, hidden, chunk, writer).ok() || !writer.Finish().ok()) return Bytes();
      Bytes bytes = writer.Take();
      return DecodeHidden(*codec, bytes).ok() ? bytes : Bytes();
    });
  }
}

TEST(ParallelTest, MatchesOneThreadWithArchiveChunks) {
  for (const FidelitySpec spec : {FidelitySpec{}, FidelitySpec{Fidelity::kAbsolute, 0.01}}) {
    ExpectSameOnAllThreads([&](uint32_t seed) {
      const HiddenStates hidden = Sample(seed, 100, 16);
      const Bytes source = *FromFloats(hidden.values.View().all(), DType::kF16);
      const auto payload = EncodeActivations(source, DType::kF16, 100, 16, spec);
      if (!payload.ok() || payload->empty()) return Bytes();
      const auto decoded = DecodeActivations(*payload, DType::kF16, 100, 16, spec);
      if (!decoded.ok()) return Bytes();
      return spec.kind != Fidelity::kLossless || *decoded == source ? *payload : Bytes();
    });
  }
}

}  // namespace
}  // namespace sluice
