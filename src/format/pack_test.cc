#include "format/pack.h"

#include <gtest/gtest.h>

#include <array>
#include <random>

#include "base/bytes.h"
#include "format/pack_parts.h"
#include "format/stream.h"
#include "format/temporary_folder.h"

namespace sluice {
namespace {

const PackInfo kInfo = {.codec = "static",
                        .flags = kResidual,
                        .model_hash = {1, 2, 3},
                        .width = 3,
                        .cut = 2,
                        .hyper_channels = 0,
                        .precision_bits = 12};
const std::vector<PackTable> kTables = {{-1, false, {1000, 2000, 1000, 96}}, {7, true, {4095, 1}}};
const std::vector<float> kStep = {0.5f, 1.0f, 2.0f};

PackWriter MakeWriter() {
  PackWriter writer(kInfo);
  writer.AddTables("latent", kTables);
  writer.AddTensor({"step", DType::kF32, {3}, AsBytes({reinterpret_cast<const char*>(kStep.data()), 12})});
  writer.AddTensor({"odd", DType::kI8, {1, 5}, AsBytes("abcde")});
  writer.AddTensor({"scalar", DType::kI16, {}, AsBytes("xy")});
  writer.SetOperatingPoints({{"usual", 0.01, 120.5}});
  writer.SetMetadata(R"({"made by": "a test"})");
  return writer;
}

std::vector<uint8_t> MakePack() { return *MakeWriter().Serialize(); }

TEST(PackTest, RoundTripsEverySection) {
  const std::vector<uint8_t> bytes = MakePack();
  const Result<Pack> pack = Pack::FromBytes(bytes);
  ASSERT_TRUE(pack.ok()) << pack.status().ToString();
  EXPECT_EQ(pack->info(), kInfo);
  EXPECT_EQ(std::vector<PackTable>(pack->Tables("latent", 2)->begin(), pack->Tables("latent", 2)->end()), kTables);
  const std::array<uint64_t, 1> shape = {3};
  const TensorView step = *pack->Tensor("step", DType::kF32, shape);
  EXPECT_EQ(LoadLe<float>(step.bytes.data() + 8), 2.0f);
  EXPECT_EQ((step.bytes.data() - bytes.data()) % 8, 0);
  EXPECT_TRUE(pack->Tensor("scalar", DType::kI16, {}).ok());
  EXPECT_EQ(pack->operating_points(), (std::vector<OperatingPoint>{{"usual", 0.01, 120.5}}));
  EXPECT_EQ(pack->metadata(), R"({"made by": "a test"})");
  EXPECT_TRUE(pack->certificate().empty());
  EXPECT_EQ(pack->Tensor("step", DType::kF32, {}).status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(pack->Tensor("step", DType::kI32, shape).status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(pack->Tensor("none", DType::kF32, shape).status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(pack->Tables("latent", 3).status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(pack->Tables("none", 3).status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(MakePack(), bytes);
}

TEST(PackTest, RoundTripsThroughAFile) {
  const TemporaryFolder folder;
  ASSERT_TRUE(MakeWriter().Write(folder / "x.pack").ok());
  EXPECT_TRUE(IsPackFile(folder / "x.pack"));
  EXPECT_FALSE(IsPackFile(folder / "none"));
  EXPECT_FALSE(IsPackFile(folder / ""));
  EXPECT_EQ(Pack::Open(folder / "x.pack")->tensors().size(), 3u);
  EXPECT_EQ(Pack::Open(folder / "none").status().code(), StatusCode::kIo);
}

TEST(PackTest, MatchesItsHashWithAnyCertificate) {
  const std::vector<uint8_t> bare = MakePack();
  const std::vector<uint8_t> certified = *WithCertificate(bare, R"({"ppl": 1.02})");
  const Pack a = *Pack::FromBytes(bare), b = *Pack::FromBytes(certified);
  EXPECT_EQ(a.hash(), b.hash());
  EXPECT_EQ(a.id(), b.id());
  EXPECT_EQ(b.certificate(), R"({"ppl": 1.02})");
  EXPECT_EQ(*WithCertificate(certified, ""), bare);
  EXPECT_EQ(WithCertificate(bare, "[1]").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(WithCertificate(bare, "{").status().code(), StatusCode::kInvalidArgument);
}

TEST(PackTest, RejectsEveryFlipAndTruncation) {
  const std::vector<uint8_t> good = *WithCertificate(MakePack(), "{}");
  for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::vector<uint8_t> bad = good;
    bad[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    ASSERT_FALSE(Pack::FromBytes(bad).ok()) << "flip of bit " << bit;
  }
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_EQ(Pack::FromBytes(std::span(good).first(size)).status().code(), StatusCode::kTruncated) << size;
  }
  std::vector<uint8_t> longer = good;
  longer.push_back(0);
  EXPECT_EQ(Pack::FromBytes(longer).status().code(), StatusCode::kCorrupt);
}

// The pack with some bytes replaced and its checksum made right again.
StatusCode CodeWith(size_t at, std::initializer_list<uint8_t> values) {
  std::vector<uint8_t> bytes = MakePack();
  std::copy(values.begin(), values.end(), bytes.begin() + static_cast<ptrdiff_t>(at));
  StoreLe<uint32_t>(Checksum32(std::span(bytes).first(bytes.size() - 4)), bytes.data() + bytes.size() - 4);
  return Pack::FromBytes(bytes).status().code();
}

TEST(PackTest, RejectsFieldsOutsideTheFormat) {
  const size_t entry = kPackHeaderSize, second = entry + kPackEntrySize;
  EXPECT_EQ(CodeWith(5, {13}), StatusCode::kOk);
  EXPECT_EQ(CodeWith(0, {'X'}), StatusCode::kCorrupt);
  EXPECT_EQ(CodeWith(4, {2}), StatusCode::kUnsupported);
  EXPECT_EQ(CodeWith(5, {9}), StatusCode::kCorrupt);                    // precision
  EXPECT_EQ(CodeWith(6, {1}), StatusCode::kUnsupported);                // a stream's flag, no codec's
  EXPECT_EQ(CodeWith(8, {1}), StatusCode::kCorrupt);                    // body
  EXPECT_EQ(CodeWith(12, {255, 255, 255, 255}), StatusCode::kCorrupt);  // body
  EXPECT_EQ(CodeWith(16, {'S'}), StatusCode::kCorrupt);                 // codec
  EXPECT_EQ(CodeWith(16, {0}), StatusCode::kCorrupt);                   // codec
  EXPECT_EQ(CodeWith(64, {0, 0, 0, 0}), StatusCode::kCorrupt);          // width
  EXPECT_EQ(CodeWith(72, {255, 255}), StatusCode::kCorrupt);            // sections
  EXPECT_EQ(CodeWith(72, {1}), StatusCode::kCorrupt);                   // sections
  EXPECT_EQ(CodeWith(76, {1}), StatusCode::kUnsupported);               // reserved
  EXPECT_EQ(CodeWith(entry, {9}), StatusCode::kUnsupported);            // type
  EXPECT_EQ(CodeWith(entry, {0}), StatusCode::kUnsupported);            // type
  EXPECT_EQ(CodeWith(entry + 1, {1}), StatusCode::kCorrupt);            // element of no tensor
  EXPECT_EQ(CodeWith(entry + 3, {0}), StatusCode::kCorrupt);            // name
  EXPECT_EQ(CodeWith(entry + 40, {'/'}), StatusCode::kCorrupt);         // name
  EXPECT_EQ(CodeWith(entry + 24, {1}), StatusCode::kCorrupt);           // offset
  EXPECT_EQ(CodeWith(entry + 32, {0}), StatusCode::kCorrupt);           // size
  EXPECT_EQ(CodeWith(entry + 32, {255, 255, 255, 255, 255, 255, 255, 255}), StatusCode::kCorrupt);
  EXPECT_EQ(CodeWith(second + 1, {5}), StatusCode::kUnsupported);   // element type
  EXPECT_EQ(CodeWith(second + 1, {1}), StatusCode::kCorrupt);       // i8 in 12 bytes
  EXPECT_EQ(CodeWith(second + 2, {5}), StatusCode::kCorrupt);       // rank
  EXPECT_EQ(CodeWith(second + 4, {0}), StatusCode::kCorrupt);       // dimension
  EXPECT_EQ(CodeWith(second + 8, {1}), StatusCode::kCorrupt);       // beyond the rank
  EXPECT_EQ(CodeWith(second + 20, {1}), StatusCode::kUnsupported);  // reserved
}

TEST(PackTest, RejectsDamagedTablesAndPoints) {
  const auto tables = [](std::initializer_list<uint8_t> bytes) {
    return ParsePackTables(std::vector(bytes)).status().code();
  };
  EXPECT_EQ(tables({1, 0, 0, 0, 0, 0, 2, 1, 1}), StatusCode::kOk);
  EXPECT_EQ(tables({1, 0, 0}), StatusCode::kCorrupt);
  EXPECT_EQ(tables({255, 255, 255, 255, 0, 0, 2, 1, 1}), StatusCode::kCorrupt);
  EXPECT_EQ(tables({1, 0, 0, 0, 2, 0, 2, 1, 1}), StatusCode::kCorrupt);        // closed
  EXPECT_EQ(tables({1, 0, 0, 0, 0, 0, 1, 1, 1}), StatusCode::kCorrupt);        // one symbol
  EXPECT_EQ(tables({1, 0, 0, 0, 0, 0, 2, 0, 1}), StatusCode::kCorrupt);        // frequency 0
  EXPECT_EQ(tables({1, 0, 0, 0, 0, 0, 2, 1, 0x81, 0}), StatusCode::kCorrupt);  // overlong
  EXPECT_EQ(tables({1, 0, 0, 0, 0, 0, 3, 1, 1}), StatusCode::kCorrupt);        // short
  EXPECT_EQ(tables({1, 0, 0, 0, 0, 0, 2, 1, 1, 0}), StatusCode::kCorrupt);     // long
  std::vector<uint8_t> points = PackPointsBytes(std::vector<OperatingPoint>{{"a", 1, 2}});
  EXPECT_TRUE(ParsePackPoints(points).ok());
  EXPECT_EQ(ParsePackPoints(std::span(points).first(9)).status().code(), StatusCode::kCorrupt);
  points[5] = ' ';
  EXPECT_EQ(ParsePackPoints(points).status().code(), StatusCode::kCorrupt);
  points = PackPointsBytes(std::vector<OperatingPoint>{{"a", -1, 2}});
  EXPECT_EQ(ParsePackPoints(points).status().code(), StatusCode::kCorrupt);
}

TEST(PackTest, RejectsArgumentsOutsideTheFormat) {
  const auto code = [](const PackWriter& writer) { return writer.Serialize().status().code(); };
  PackInfo info = kInfo;
  info.width = 0;
  EXPECT_EQ(code(PackWriter(info)), StatusCode::kInvalidArgument);
  PackWriter twice(kInfo);
  for (int i = 0; i < 2; ++i) twice.AddTensor({"x", DType::kI8, {1}, AsBytes("a")});
  EXPECT_EQ(code(twice), StatusCode::kInvalidArgument);
  PackWriter type(kInfo);
  type.AddTensor({"x", DType::kF16, {1}, AsBytes("ab")});
  EXPECT_EQ(code(type), StatusCode::kInvalidArgument);
  PackWriter name(kInfo);
  name.AddTensor({std::string(65, 'x'), DType::kI8, {1}, AsBytes("a")});
  EXPECT_EQ(code(name), StatusCode::kInvalidArgument);
  PackWriter metadata(kInfo);
  metadata.SetMetadata("no JSON");
  EXPECT_EQ(code(metadata), StatusCode::kInvalidArgument);
  constexpr size_t kLevels = 1000;
  metadata.SetMetadata("{\"a\":" + std::string(kLevels, '[') + std::string(kLevels, ']') + "}");
  EXPECT_EQ(code(metadata), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace sluice
