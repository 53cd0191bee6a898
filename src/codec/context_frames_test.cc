// Codec "context" from the outside: streams come back from any cutting, take nothing on trust, and change their rate.
#include "codec/context_frames.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/bytes.h"
#include "codec/pack_stream.h"
#include "nets/context_sample.h"

namespace sluice {
namespace {

constexpr size_t kWidth = 24;

ContextSample SampleOf(TokenNames names, size_t points = 6) {
  ContextSample sample;
  sample.shape = {.width = kWidth, .hidden = 11, .groups = 3, .points = points, .names = names};
  if (names != TokenNames::kNone) sample.shape.ids = 10;
  if (names == TokenNames::kTokens) sample.shape.pair_bits = 4;
  sample.block = 8;
  return sample;
}

// What the presets are made of: classes in groups, rows of their own for what is coded; and the network's latents, or
// none of them.
ContextSample PresetOf(bool latents) {
  ContextSample sample = SampleOf(TokenNames::kClasses);
  sample.old_shape = false;
  sample.shape.direct = 2;
  sample.shape.scale_units = 4;
  sample.shape.pair_bits = 5;
  sample.shape.latents = latents;
  sample.shape.groups = latents ? 3 : 1;
  sample.class_groups = 4;
  return sample;
}

struct Kind {
  const char* name;
  TokenNames names;
  ContextSample sample;
};

Matrix<float> Hidden(size_t tokens, float spread = 1) {
  SampleNumbers random(9);
  Matrix<float> hidden(tokens, kWidth);
  for (size_t t = 0; t < tokens; ++t) {
    for (float& x : hidden.row(t)) x = static_cast<float>(random.Bell(16 * 64)) / 64 * spread;
  }
  return hidden;
}

class ContextFramesTest : public testing::TestWithParam<Kind> {
 protected:
  std::vector<uint8_t> bytes_ = GetParam().sample.Make();
  std::unique_ptr<PackCodec> codec_ = *PackCodec::Make(*Pack::FromBytes(bytes_));

  static std::vector<int32_t> Ids(size_t from, size_t count) {
    std::vector<int32_t> ids;
    for (size_t i = from; i < from + count; ++i) ids.push_back(static_cast<int32_t>(i * i % 10));
    return ids;
  }

  // Encodes `hidden` in frames of these sizes.
  std::vector<uint8_t> Encode(const Matrix<float>& hidden, const std::vector<size_t>& frames, uint16_t flags = 0) {
    StreamWriter writer = *StreamWriter::ToMemory(codec_->Header(DType::kF32, flags));
    const auto encoder = codec_->NewEncoder();
    size_t at = 0;
    for (const size_t count : frames) {
      EXPECT_TRUE(encoder->SetTokens(Ids(at, count)).ok());
      EXPECT_TRUE(encoder->SetPoint(static_cast<int>(at % 3)).ok());
      const Status pushed = encoder->Push(hidden.View().Rows(at, at + count), 1, writer);
      EXPECT_TRUE(pushed.ok()) << pushed.ToString();
      at += count;
    }
    EXPECT_TRUE(writer.Finish().ok());
    return writer.Take();
  }

  Result<Matrix<float>> Decode(std::span<const uint8_t> stream) {
    SLUICE_ASSIGN_OR_RETURN(StreamReader reader, StreamReader::FromBytes(stream));
    const auto decoder = codec_->NewDecoder();
    std::vector<float> all;
    while (true) {
      SLUICE_ASSIGN_OR_RETURN(const auto frame, reader.Next());
      if (!frame) break;
      SLUICE_RETURN_IF_ERROR(decoder->SetTokens(Ids(all.size() / kWidth, frame->tokens)));
      SLUICE_ASSIGN_OR_RETURN(const Matrix<float> rows, decoder->Pull(*frame, reader));
      all.insert(all.end(), rows.data(), rows.data() + rows.rows() * rows.cols());
    }
    Matrix<float> hidden(all.size() / kWidth, kWidth);
    std::copy(all.begin(), all.end(), hidden.data());
    return hidden;
  }
};

TEST_P(ContextFramesTest, RoundTripsInFramesOfAnySize) {
  const Matrix<float> hidden = Hidden(140);
  const auto once = Decode(Encode(hidden, {140}));
  ASSERT_TRUE(once.ok()) << once.status().ToString();
  // Within a step of the grid, by the rotation's norm; the finest point has four to five steps a unit.
  for (size_t t = 0; t < 140; ++t) {
    for (size_t j = 0; j < kWidth; ++j) ASSERT_NEAR(once->row(t)[j], hidden.row(t)[j], 0.5) << t << " " << j;
  }
  for (const auto& frames : {std::vector<size_t>{1, 1, 1, 137}, {64, 1, 63, 1, 11}, {100, 40}}) {
    const auto got = Decode(Encode(hidden, frames));
    ASSERT_TRUE(got.ok()) << got.status().ToString();
    ASSERT_EQ(got->rows(), 140u);
    for (size_t j = 0; j < kWidth; ++j) ASSERT_NEAR(got->row(139)[j], hidden.row(139)[j], 1);
  }
}

TEST_P(ContextFramesTest, MatchesTheBatchWhenTokensComeOneByOne) {
  StreamWriter chunk = *StreamWriter::ToMemory(codec_->Header(DType::kF32));
  const Matrix<float> hidden = Hidden(80);
  const auto encoder = codec_->NewEncoder();
  ASSERT_TRUE(encoder->SetTokens(Ids(0, 80)).ok());
  ASSERT_TRUE(encoder->Push(hidden.View(), 1, chunk).ok());
  StreamWriter tokens = *StreamWriter::ToMemory(codec_->Header(DType::kF32));
  const auto stepper = codec_->NewEncoder();
  for (size_t t = 0; t < 80; ++t) {
    ASSERT_TRUE(stepper->SetTokens(Ids(t, 1)).ok());
    ASSERT_TRUE(stepper->Push(hidden.View().Rows(t, t + 1), 1, tokens).ok());
  }
  ASSERT_TRUE(chunk.Finish().ok() && tokens.Finish().ok());
  const auto a = Decode(chunk.Take()), b = Decode(tokens.Take());
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_TRUE(std::equal(a->data(), a->data() + 80 * kWidth, b->data()));
  // 11 bits a token over the values' own.
  EXPECT_LT(tokens.bytes_written(), chunk.bytes_written() + 80 * 2);
}

TEST_P(ContextFramesTest, RoundTripsRowsThatContinue) {
  if (GetParam().names == TokenNames::kTokens) GTEST_SKIP() << "ids are a matter of one row here";
  const Matrix<float> hidden = Hidden(60);
  StreamWriter writer = *StreamWriter::ToMemory(codec_->Header(DType::kF32));
  const auto encoder = codec_->NewEncoder();
  ASSERT_TRUE(encoder->Push(hidden.View().Rows(0, 30), 3, writer).ok());
  ASSERT_TRUE(encoder->Push(hidden.View().Rows(30, 60), 3, writer).ok());
  EXPECT_EQ(encoder->Push(hidden.View().Rows(0, 30), 2, writer).code(), StatusCode::kInvalidArgument);
  ASSERT_TRUE(writer.Finish().ok());
  const auto got = Decode(writer.Take());
  ASSERT_TRUE(got.ok()) << got.status().ToString();
  EXPECT_EQ(got->rows(), 60u);
}

TEST_P(ContextFramesTest, RoundTripsOutliersExactlyThroughEscapes) {
  Matrix<float> hidden = Hidden(12);
  hidden.row(5)[3] = 1000;
  hidden.row(7)[20] = -300000;
  const auto got = Decode(Encode(hidden, {6, 1, 1, 4}));
  ASSERT_TRUE(got.ok()) << got.status().ToString();
  EXPECT_NEAR(got->row(5)[3], 1000, 0.5);
  EXPECT_NEAR(got->row(7)[20], -300000, 2);
}

TEST_P(ContextFramesTest, RejectsWhatIsNotFinite) {
  Matrix<float> hidden = Hidden(4);
  hidden.row(2)[7] = std::numeric_limits<float>::quiet_NaN();
  StreamWriter writer = *StreamWriter::ToMemory(codec_->Header(DType::kF32));
  const auto encoder = codec_->NewEncoder();
  ASSERT_TRUE(encoder->SetTokens(Ids(0, 4)).ok());
  Status status = encoder->Push(hidden.View(), 1, writer);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("token 2, channel 7"), std::string::npos) << status.message();
  hidden.row(2)[7] = 1e9f;
  EXPECT_EQ(encoder->Push(hidden.View(), 1, writer).code(), StatusCode::kInvalidArgument);
  hidden.row(2)[7] = 0;
  EXPECT_TRUE(encoder->Push(hidden.View(), 1, writer).ok()) << "a refused frame leaves no trace";
}

TEST_P(ContextFramesTest, RejectsEveryFlippedBit) {
  const Matrix<float> hidden = Hidden(9);
  const auto stream = Encode(hidden, {6, 1, 1, 1});
  const auto want = *Decode(stream);
  for (size_t bit = 0; bit < stream.size() * 8; ++bit) {
    auto damaged = stream;
    damaged[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    const auto got = Decode(damaged);
    if (!got.ok()) continue;
    // Spellings that mean the same are harmless.
    ASSERT_EQ(got->rows(), want.rows()) << bit;
    ASSERT_TRUE(std::equal(want.data(), want.data() + 9 * kWidth, got->data())) << bit;
  }
}

TEST_P(ContextFramesTest, RejectsTheStateAfterAnError) {
  const auto stream = Encode(Hidden(8), {4, 4});
  StreamReader reader = *StreamReader::FromBytes(stream);
  const auto decoder = codec_->NewDecoder();
  auto first = *reader.Next();
  auto second = *reader.Next();
  ASSERT_TRUE(decoder->SetTokens(Ids(4, 4)).ok());
  EXPECT_EQ(decoder->Pull(*second, reader).status().code(), StatusCode::kCorrupt) << "frames out of order";
  EXPECT_EQ(decoder->Pull(*first, reader).status().code(), StatusCode::kInvalidArgument);
}

TEST_P(ContextFramesTest, RoundTripsATokenThatWasCutOff) {
  const auto stream = Encode(Hidden(3), {1, 1, 1});
  size_t truncated = 0;
  for (size_t size = kStreamHeaderSize; size < stream.size(); ++size) {
    const auto got = Decode(std::span(stream).first(size));
    ASSERT_EQ(got.status().code(), StatusCode::kTruncated) << size << " " << got.status().ToString();
    ++truncated;
  }
  EXPECT_GT(truncated, 30u);
}

TEST_P(ContextFramesTest, MatchesAStreamThatNeverHadTheTokensTakenBack) {
  const Matrix<float> hidden = Hidden(30);
  const auto run = [&](bool detour) {
    StreamWriter writer = *StreamWriter::ToMemory(codec_->Header(DType::kF32));
    const auto encoder = codec_->NewEncoder();
    const auto decoder = codec_->NewDecoder();
    Matrix<float> last;
    std::vector<uint8_t> bytes;
    StreamReader reader = *[&] {
      bytes = writer.Take();
      return StreamReader::FromBytes(bytes);
    }();
    const auto send = [&](size_t from, size_t to) {
      EXPECT_TRUE(encoder->SetTokens(Ids(from, to - from)).ok() && decoder->SetTokens(Ids(from, to - from)).ok());
      EXPECT_TRUE(encoder->Push(hidden.View().Rows(from, to), 1, writer).ok());
      bytes = writer.Take();
      reader.Continue(bytes);
      const auto frame = reader.Next();
      EXPECT_TRUE(frame.ok() && frame->has_value());
      auto rows = decoder->Pull(**frame, reader);
      EXPECT_TRUE(rows.ok()) << rows.status().ToString();
      if (rows.ok()) last = std::move(*rows);
    };
    send(0, 10);
    if (detour) {
      send(20, 25);
      send(11, 12);
      EXPECT_TRUE(encoder->Trim(6).ok() && decoder->Trim(6).ok());
    }
    send(10, 20);
    return last;
  };
  const Matrix<float> straight = run(false), detour = run(true);
  EXPECT_TRUE(std::equal(straight.data(), straight.data() + 10 * kWidth, detour.data()));
  const auto encoder = codec_->NewEncoder();
  EXPECT_EQ(encoder->Trim(1).code(), StatusCode::kInvalidArgument);
}

TEST_P(ContextFramesTest, MatchesAStreamThatWentBackToACheckpoint) {
  const Matrix<float> hidden = Hidden(40);
  StreamWriter writer = *StreamWriter::ToMemory(codec_->Header(DType::kF32));
  std::vector<uint8_t> bytes = writer.Take();
  StreamReader reader = *StreamReader::FromBytes(bytes);
  auto encoder = codec_->NewEncoder();
  auto decoder = codec_->NewDecoder();
  const auto send = [&](size_t from, size_t to) -> Matrix<float> {
    EXPECT_TRUE(encoder->SetTokens(Ids(from, to - from)).ok() && decoder->SetTokens(Ids(from, to - from)).ok());
    EXPECT_TRUE(encoder->Push(hidden.View().Rows(from, to), 1, writer).ok());
    bytes = writer.Take();
    reader.Continue(bytes);
    auto rows = decoder->Pull(**reader.Next(), reader);
    EXPECT_TRUE(rows.ok()) << rows.status().ToString();
    return rows.ok() ? std::move(*rows) : Matrix<float>();
  };
  send(0, 10);
  const auto sent = encoder->Checkpoint(), received = decoder->Checkpoint();
  const Matrix<float> once = send(10, 11), rest = send(11, 40);
  // More than Trim can take back, twice, the second time on other ends.
  for (int time = 0; time < 2; ++time) {
    if (time == 1) {
      encoder = codec_->NewEncoder();
      decoder = codec_->NewDecoder();
    }
    ASSERT_TRUE(encoder->Restore(*sent).ok() && decoder->Restore(*received).ok());
    const Matrix<float> again = send(10, 11), then = send(11, 40);
    EXPECT_TRUE(std::equal(once.data(), once.data() + kWidth, again.data()));
    EXPECT_TRUE(std::equal(rest.data(), rest.data() + 29 * kWidth, then.data()));
  }
  EXPECT_EQ(encoder->Restore(*received).code(), StatusCode::kInvalidArgument) << "the other end's";
  const auto other = *PackCodec::Make(*Pack::FromBytes(bytes_));
  EXPECT_EQ(other->NewEncoder()->Restore(*sent).code(), StatusCode::kInvalidArgument) << "another codec's";
}

TEST_P(ContextFramesTest, RoundTripsOutliersOfAThousandDeviationsToTheSameIntegers) {
  // At every point and in every channel once, in chunks and in token frames: what comes back are the integers that
  // went.
  const ContextParts parts = *ContextParts::FromPack(*Pack::FromBytes(bytes_));
  const bool classes = GetParam().names == TokenNames::kClasses, named = GetParam().names == TokenNames::kTokens;
  const ContextSample& sample = GetParam().sample;
  ContextEnd sender(parts), receiver(parts);
  SampleNumbers random(12);
  for (size_t j = 0; j < kWidth; ++j) {
    ContextIntegers sent, got;
    const size_t tokens = 5;
    if (classes) sent.classes = Ids(j, tokens);
    if (named) sent.tokens = got.tokens = Ids(j, tokens);
    for (size_t i = 0; i < tokens * kWidth; ++i) sent.latents.push_back(random.Bell(sample.Deviation(i % kWidth)));
    sent.latents[2 * kWidth + j] = (j % 2 == 0 ? 1000 : -1000) * sample.Deviation(j) / 16;
    std::vector<uint8_t> payload;
    ASSERT_TRUE(sender.BeginFrame(1, false).ok());
    ASSERT_TRUE(sender.EncodeChunk(sent, static_cast<int>(j % 6), payload).ok());
    got.classes.resize(sent.classes.size());
    got.latents.resize(sent.latents.size());
    ASSERT_TRUE(receiver.BeginFrame(1, false).ok() && receiver.DecodeChunk(payload, got).ok());
    ASSERT_EQ(got.latents, sent.latents) << j;
    ASSERT_EQ(got.classes, sent.classes) << j;
  }
}

TEST_P(ContextFramesTest, RejectsInfinityNamingTokenAndChannel) {
  StreamWriter writer = *StreamWriter::ToMemory(codec_->Header(DType::kF32));
  const auto encoder = codec_->NewEncoder();
  for (const float bad : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::signaling_NaN()}) {
    // Behind the first block of tokens as well.
    for (const size_t token : {0, 95, 96, 199}) {
      Matrix<float> hidden = Hidden(200);
      hidden.row(token)[kWidth - 1] = bad;
      ASSERT_TRUE(encoder->SetTokens(Ids(0, 200)).ok());
      const Status status = encoder->Push(hidden.View(), 1, writer);
      EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
      EXPECT_NE(status.message().find(fmt::format("token {}, channel {}", token, kWidth - 1)), std::string::npos)
          << status.message();
    }
  }
  EXPECT_EQ(writer.tokens_written(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Kinds, ContextFramesTest,
                         testing::Values(Kind{"None", TokenNames::kNone, SampleOf(TokenNames::kNone)},
                                         Kind{"Tokens", TokenNames::kTokens, SampleOf(TokenNames::kTokens)},
                                         Kind{"Classes", TokenNames::kClasses, SampleOf(TokenNames::kClasses)},
                                         Kind{"Sluice", TokenNames::kClasses, PresetOf(true)},
                                         Kind{"Fast", TokenNames::kClasses, PresetOf(false)}),
                         [](const auto& kind) { return std::string(kind.param.name); });

TEST(ContextPackTest, RejectsOtherPacksAndPoints) {
  const auto bytes = SampleOf(TokenNames::kClasses).Make();
  const auto codec = *PackCodec::Make(*Pack::FromBytes(bytes));
  const auto encoder = codec->NewEncoder();
  EXPECT_EQ(encoder->SetPoint(6).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(encoder->SetPoint(-1).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(encoder->SetTarget(0).code(), StatusCode::kInvalidArgument);
  auto sample = SampleOf(TokenNames::kClasses);
  sample.shape.hidden = 12;
  const auto other_bytes = sample.Make();
  const auto other = *PackCodec::Make(*Pack::FromBytes(other_bytes));
  StreamWriter writer = *StreamWriter::ToMemory(codec->Header(DType::kF32));
  ASSERT_TRUE(encoder->Push(Hidden(3).View(), 1, writer).ok() && writer.Finish().ok());
  EXPECT_EQ(DecodeHidden(*other, writer.Take()).status().code(), StatusCode::kMismatch);
  Matrix<float> wide(2, kWidth + 1);
  StreamWriter again = *StreamWriter::ToMemory(codec->Header(DType::kF32));
  EXPECT_EQ(encoder->Push(wide.View(), 1, again).code(), StatusCode::kInvalidArgument);
}

// What floats decide differs between machines; what they sent, every other machine must read.
TEST(ContextKernelsTest, RoundTripsFromHiddenStatesBetweenAllKernels) {
  const auto bytes = PresetOf(true).Make();
  const Pack pack = *Pack::FromBytes(bytes);
  const ContextParts parts = *ContextParts::FromPack(pack);
  const Matrix<float> hidden = Hidden(130, 3);
  size_t pairs = 0;
  for (const FloatKernels& floats : AllFloatKernels()) {
    const ContextFloats analysis = *ContextFloats::FromPack(pack, 10, floats);
    ContextIntegers sent;
    sent.latents.resize(130 * kWidth);
    sent.classes.resize(130);
    ContextFloats::Work work;
    ASSERT_TRUE(analysis.Quantize(hidden.View(), 1, sent.latents, sent.classes, work).ok());
    for (const IntegerKernels& writing : AllIntegerKernels()) {
      ContextEnd sender(parts, writing, AllRansKernels()[pairs % AllRansKernels().size()]);
      std::vector<uint8_t> payload;
      ASSERT_TRUE(sender.BeginFrame(1, false).ok() && sender.EncodeChunk(sent, 1, payload).ok());
      for (const IntegerKernels& reading : AllIntegerKernels()) {
        ContextEnd receiver(parts, reading, AllRansKernels()[++pairs % AllRansKernels().size()]);
        ContextIntegers got;
        got.latents.resize(sent.latents.size());
        got.classes.resize(130);
        ASSERT_TRUE(receiver.BeginFrame(1, false).ok() && receiver.DecodeChunk(payload, got).ok());
        ASSERT_EQ(got.latents, sent.latents) << floats.name << ", " << writing.name << " to " << reading.name;
        ASSERT_EQ(got.classes, sent.classes);
      }
    }
  }
  EXPECT_GE(pairs, 1u);
}

TEST(ContextPackTest, RejectsStreamsOfAnotherModelCutOrWidth) {
  const auto bytes = SampleOf(TokenNames::kClasses).Make();
  const auto codec = *PackCodec::Make(*Pack::FromBytes(bytes));
  const StreamHeader own = codec->Header(DType::kF32);
  EXPECT_TRUE(codec->CheckHeader(own).ok());
  const auto differs = [&](const char* what, auto change) {
    StreamHeader header = own;
    change(header);
    const Status status = codec->CheckHeader(header);
    EXPECT_EQ(status.code(), StatusCode::kMismatch) << what;
    EXPECT_NE(status.message().find(what), std::string::npos) << status.message();
  };
  differs("model id", [](StreamHeader& h) { h.model_id ^= 1; });
  differs("codec id", [](StreamHeader& h) { h.codec_id ^= 1; });
  differs("cut", [](StreamHeader& h) { ++h.cut; });
  differs("width", [](StreamHeader& h) { ++h.width; });
  differs("precision", [](StreamHeader& h) { --h.precision_bits; });
  differs("flags", [](StreamHeader& h) { h.flags ^= kSideTokens; });
}

TEST(ContextPackTest, RejectsPacksThatAreCutOffFlippedOrForeign) {
  const auto bytes = PresetOf(true).Make();
  const auto open = [](std::span<const uint8_t> pack) -> Status {
    SLUICE_ASSIGN_OR_RETURN(Pack made, Pack::FromBytes(pack));
    return PackCodec::Make(std::move(made)).status();
  };
  ASSERT_TRUE(open(bytes).ok());
  for (size_t size = 0; size < bytes.size(); size += 1 + size / 50) {
    const StatusCode code = open(std::span(bytes).first(size)).code();
    EXPECT_TRUE(code == StatusCode::kTruncated || code == StatusCode::kCorrupt) << size;
  }
  for (size_t at = 0; at < bytes.size(); at += 1 + bytes.size() / 997) {
    auto damaged = bytes;
    damaged[at] ^= 0x10;
    const StatusCode code = open(damaged).code();
    // A version of its own is newer, not damaged.
    EXPECT_TRUE(code == StatusCode::kCorrupt || code == StatusCode::kTruncated || code == StatusCode::kUnsupported)
        << at << " " << StatusCodeName(code);
  }
  auto longer = bytes;
  longer.push_back(0);
  EXPECT_EQ(open(longer).code(), StatusCode::kCorrupt);
}

// Whether a codec is made of a pack that has another tensor of this name.
StatusCode OpensWith(const Pack& pack, const TensorView& other) {
  PackWriter writer(pack.info());
  for (const auto& [key, view] : pack.tensors()) {
    writer.AddTensor(key == other.name ? other : TensorView{key, view.dtype, view.shape, view.bytes});
  }
  for (const auto& [name, tables] : pack.tables()) writer.AddTables(name, tables);
  writer.SetOperatingPoints(pack.operating_points());
  return PackCodec::Make(*Pack::FromBytes(*writer.Serialize())).status().code();
}

TEST(ContextPackTest, RejectsClassTablesThatDoNotFitTheirGroups) {
  const auto bytes = PresetOf(true).Make();
  const Pack pack = *Pack::FromBytes(bytes);
  // Sizes of groups that are not all of the classes, or empty, or of another number of groups than there are tables.
  const auto opens = [&](std::vector<int32_t> sizes) {
    ByteWriter list;
    for (const int32_t size : sizes) list.Put(size);
    return OpensWith(pack, {"class_sizes", DType::kI32, {sizes.size()}, list.bytes()});
  };
  EXPECT_EQ(opens({2, 3, 2, 3}), StatusCode::kOk);
  EXPECT_EQ(opens({3, 2, 2, 3}), StatusCode::kCorrupt);
  EXPECT_EQ(opens({2, 3, 2, 4}), StatusCode::kCorrupt);
  EXPECT_EQ(opens({2, 3, 2, 1}), StatusCode::kCorrupt);
  EXPECT_EQ(opens({5, 5}), StatusCode::kCorrupt);
}

TEST(ContextPackTest, RejectsClassesThatLieTooFarOut) {
  const auto bytes = PresetOf(true).Make();
  const Pack pack = *Pack::FromBytes(bytes);
  const TensorView means = pack.tensors().find("class_means")->second;
  const auto opens = [&](float first) {
    ByteWriter values;
    values.Put(first);
    for (size_t i = sizeof(first); i < means.bytes.size(); ++i) values.Put(means.bytes[i]);
    return OpensWith(pack, {"class_means", DType::kF32, means.shape, values.bytes()});
  };
  EXPECT_EQ(opens(1e15f), StatusCode::kOk);
  EXPECT_EQ(opens(1e20f), StatusCode::kCorrupt) << "its square is no number, and it would be the nearest to nothing";
}

TEST(ContextPackTest, CostsATenthOfABlockWithPresetFast) {
  ContextSample sample;
  sample.shape = {.width = 768,
                  .hidden = 48,
                  .groups = 1,
                  .points = 1,
                  .names = TokenNames::kClasses,
                  .ids = 4096,
                  .direct = 2,
                  .latents = false,
                  .scale_units = 16};
  sample.old_shape = false;
  sample.block = 128;
  sample.class_width = 32;
  sample.class_groups = 64;
  const auto bytes = sample.Make();
  const CodecCost cost = (*PackCodec::Make(*Pack::FromBytes(bytes)))->MultiplyAdds();
  const uint64_t network = 768 * (48 + 16) + 2 * 48 * 48, transform = 768 * 128;
  EXPECT_EQ(cost.decode, network + transform);
  // The axes that tell classes apart, the middles of groups, and the classes of six groups.
  EXPECT_EQ(cost.encode, network + transform + 32 * (768 + 64 + 6 * 64));
  EXPECT_LE(static_cast<double>(cost.encode + cost.decode), 0.05 * 7.08e6) << "a twentieth of a block of GPT-2";
}

}  // namespace
}  // namespace sluice
