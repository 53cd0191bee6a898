#include "format/safetensors.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "base/bytes.h"
#include "format/checkpoint_files.h"
#include "format/temporary_folder.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

std::vector<uint8_t> FileOf(std::string_view header, size_t data_bytes) {
  ByteWriter writer;
  writer.Put<uint64_t>(header.size());
  writer.PutString(header);
  for (size_t i = 0; i < data_bytes; ++i) writer.Put<uint8_t>(static_cast<uint8_t>(i));
  return std::move(writer).Take();
}

StatusCode CodeOf(std::string_view header, size_t data_bytes) {
  const std::vector<uint8_t> bytes = FileOf(header, data_bytes);
  return SafetensorsFile::FromBytes(bytes).status().code();
}

TensorView View(std::string name, DType dtype, std::vector<uint64_t> shape, const std::vector<uint8_t>& bytes) {
  return {std::move(name), dtype, std::move(shape), bytes};
}

TEST(SafetensorsTest, RoundTripsTensorsAndMetadata) {
  const TemporaryFolder folder;
  const std::vector<uint8_t> a = *FromFloats(std::vector<float>{1.5f, -2.0f, 3.25f}, DType::kF16);
  const std::vector<uint8_t> b = *FromFloats(std::vector<float>{1e10f, -7.0f}, DType::kF32);
  const std::vector<uint8_t> none;
  const std::vector<TensorView> tensors = {View("a \"quoted\" \xC3\xA9", DType::kF16, {3}, a),
                                           View("b", DType::kF32, {1, 2}, b), View("empty", DType::kF32, {0, 4}, none)};
  ASSERT_TRUE(WriteSafetensors(folder / "x.safetensors", tensors, {{"k", "v\n"}}).ok());
  const auto file = SafetensorsFile::Open(folder / "x.safetensors");
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  EXPECT_EQ(file->tensors().size(), 3u);
  EXPECT_EQ(file->metadata().at("k"), "v\n");
  const TensorView found = *file->Find("a \"quoted\" \xC3\xA9");
  EXPECT_EQ(*ToFloats(found), (std::vector<float>{1.5f, -2.0f, 3.25f}));
  const TensorView wide = *file->Find("b");
  EXPECT_EQ(wide.shape, (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ(*ToFloats(wide), (std::vector<float>{1e10f, -7.0f}));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(wide.bytes.data()) % 8, 0u);
  EXPECT_EQ(file->Find("c").status().code(), StatusCode::kInvalidArgument);
}

TEST(SafetensorsTest, RoundTripsToTheSameBytesWhateverTheOrder) {
  const TemporaryFolder folder;
  const std::vector<uint8_t> a(4, 1), b(4, 2);
  const std::vector<TensorView> forward = {View("a", DType::kF32, {1}, a), View("b", DType::kF32, {1}, b)};
  const std::vector<TensorView> backward = {forward[1], forward[0]};
  ASSERT_TRUE(WriteSafetensors(folder / "f", forward).ok());
  ASSERT_TRUE(WriteSafetensors(folder / "b", backward).ok());
  EXPECT_EQ(*ReadFile(folder / "f"), *ReadFile(folder / "b"));
}

TEST(SafetensorsTest, RejectsBadHeadersWithTheirCode) {
  EXPECT_EQ(CodeOf(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8), StatusCode::kOk);
  const std::pair<std::string, size_t> corrupt[] = {
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 9},   // bytes nobody owns
      {R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8},   // size is not shape * dtype
      {R"({"a":{"dtype":"Q4","shape":[2],"data_offsets":[0,8]}})", 8},    // unknown dtype
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8},   // backwards
      {R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8},  // negative
      {R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", 8},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})", 8},
      {R"({"a":{"dtype":"F32","shape":[2]}})", 0},
      {R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})", 0},  // overflow to 0
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       8},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
       4},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
       12},                                                                              // hole
      {R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4},    // field twice
      {R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}})", 4},  // too many dimensions
      {R"({"a":{"dtype":"F32","shape":[[1]],"data_offsets":[0,4]}})", 4},
      {R"({"__metadata__":{"k":1}})", 0},
      {R"({"__metadata__":"x"})", 0},
      {R"([1])", 0},
      {R"({"a":{)", 0},
      {"{\"a\xFF\":{}}", 0},
      {"", 0}};
  for (const auto& [header, data] : corrupt) EXPECT_EQ(CodeOf(header, data), StatusCode::kCorrupt) << header;
  EXPECT_EQ(CodeOf(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 7), StatusCode::kTruncated);
}

TEST(SafetensorsTest, RejectsOversizedAndTruncatedHeaders) {
  ByteWriter writer;
  writer.Put<uint64_t>(kMaxSafetensorsHeader + 1);
  EXPECT_EQ(SafetensorsFile::FromBytes(writer.bytes()).status().code(), StatusCode::kCorrupt);
  const std::vector<uint8_t> good = FileOf(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8);
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_EQ(SafetensorsFile::FromBytes(std::span(good).first(size)).status().code(), StatusCode::kTruncated) << size;
  }
}

TEST(SafetensorsTest, RejectsFlippedBytesWithoutCrashing) {
  const std::vector<uint8_t> good = FileOf(
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}})",
      11);
  std::mt19937 random(7);
  for (int i = 0; i < 20000; ++i) {
    std::vector<uint8_t> bad = good;
    for (int k = 0; k < 3; ++k) bad[random() % (bad.size() - 11)] ^= static_cast<uint8_t>(1u << (random() % 8));
    const auto file = SafetensorsFile::FromBytes(bad);
    if (!file.ok()) continue;
    for (const auto& [name, tensor] : file->tensors()) {
      EXPECT_GE(tensor.bytes.data(), bad.data());
      EXPECT_LE(tensor.bytes.data() + tensor.bytes.size(), bad.data() + bad.size());
    }
  }
}

TEST(SafetensorsTest, RejectsUnwritableAndInconsistentTensors) {
  const TemporaryFolder folder;
  const std::vector<uint8_t> four(4);
  const std::vector<TensorView> twice = {View("a", DType::kF32, {1}, four), View("a", DType::kF32, {1}, four)};
  EXPECT_EQ(WriteSafetensors(folder / "x", twice).code(), StatusCode::kInvalidArgument);
  const std::vector<TensorView> wrong = {View("a", DType::kF32, {2}, four)};
  EXPECT_EQ(WriteSafetensors(folder / "x", wrong).code(), StatusCode::kInvalidArgument);
  EXPECT_FALSE(fs::exists(folder / "x"));
  EXPECT_EQ(WriteSafetensors(folder / "none/x", {}).code(), StatusCode::kIo);
}

TEST(SafetensorsTest, MatchesExactWidening) {
  const std::vector<uint8_t> i32 = {0x01, 0x00, 0x00, 0x01, 0xFF, 0xFF, 0xFF, 0xFF};  // 2^24 + 1, -1
  EXPECT_EQ(ToFloats(View("t", DType::kI32, {2}, i32)).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(*ToInts(View("t", DType::kI32, {2}, i32)), (std::vector<int64_t>{(1 << 24) + 1, -1}));
  const std::vector<uint8_t> u64(8, 0xFF);
  EXPECT_EQ(ToFloats(View("t", DType::kU64, {1}, u64)).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ToInts(View("t", DType::kU64, {1}, u64)).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(*ToFloats(View("t", DType::kI64, {1}, u64)), std::vector<float>{-1.0f});
  EXPECT_EQ(*ToFloats(View("t", DType::kI8, {2}, {0x80, 0x7F})), (std::vector<float>{-128.0f, 127.0f}));
  EXPECT_EQ(*ToFloats(View("t", DType::kBf16, {1}, {0x80, 0x3F})), std::vector<float>{1.0f});
  EXPECT_EQ(ToFloats(View("t", DType::kF8E4M3, {1}, {0x80})).status().code(), StatusCode::kUnsupported);
  EXPECT_EQ(ToInts(View("t", DType::kF16, {1}, {0x80, 0x3F})).status().code(), StatusCode::kInvalidArgument);
}

TEST(CheckpointFilesTest, MatchesShardsAndOpensThemLazily) {
  const TemporaryFolder folder;
  const std::vector<uint8_t> four(4, 9);
  ASSERT_TRUE(WriteSafetensors(folder / "s1.safetensors", std::vector{View("a", DType::kF32, {1}, four)}).ok());
  ASSERT_TRUE(WriteSafetensors(folder / "s2.safetensors", std::vector{View("b", DType::kF32, {1}, four)}).ok());
  ASSERT_TRUE(WriteFileAtomic(folder / "model.safetensors.index.json", std::string_view(R"({"metadata":{},"weight_map":
                                {"a":"s1.safetensors","b":"s2.safetensors","c":"s2.safetensors","d":"s3.safetensors"}})"))
                  .ok());
  auto files = CheckpointFiles::Open(folder.path());
  ASSERT_TRUE(files.ok()) << files.status().ToString();
  EXPECT_EQ(files->Names(), (std::vector<std::string>{"a", "b", "c", "d"}));
  EXPECT_EQ(files->open_shards(), 0u);
  EXPECT_EQ(files->Find("b")->bytes[0], 9);
  EXPECT_EQ(files->open_shards(), 1u);
  EXPECT_EQ(files->Find("c").status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(files->Find("d").status().code(), StatusCode::kIo);
  EXPECT_EQ(files->Find("e").status().code(), StatusCode::kInvalidArgument);
}

TEST(CheckpointFilesTest, RejectsIndexesThatLeaveTheFolder) {
  const TemporaryFolder folder;
  EXPECT_EQ(CheckpointFiles::Open(folder.path()).status().code(), StatusCode::kIo);
  for (const std::string file : {"../x", "/etc/passwd", "a/../../x", "", "a/", "./a"}) {
    const std::string text = R"({"weight_map":{"a":")" + file + R"("}})";
    ASSERT_TRUE(WriteFileAtomic(folder / "model.safetensors.index.json", std::string_view(text)).ok());
    EXPECT_EQ(CheckpointFiles::Open(folder.path()).status().code(), StatusCode::kCorrupt) << file;
  }
  const std::string deep = R"({"weight_map":{"a":"b"},"more":)" + std::string(300, '[') + std::string(300, ']') + "}";
  for (const std::string& text : {std::string(), std::string("[]"), std::string("{}"),
                                  std::string(R"({"weight_map":3})"), std::string(R"({"weight_map":{"a":3}})"), deep}) {
    ASSERT_TRUE(WriteFileAtomic(folder / "model.safetensors.index.json", std::string_view(text)).ok());
    EXPECT_EQ(CheckpointFiles::Open(folder.path()).status().code(), StatusCode::kCorrupt) << text;
  }
}

TEST(CheckpointFilesTest, GoldenModelFoldersOpen) {
  const char* set = std::getenv("SLUICE_GOLDEN");
  const fs::path golden = set != nullptr ? fs::path(set) : fs::path(SLUICE_SOURCE_DIR) / "../shared/golden";
  if (!fs::is_directory(golden)) GTEST_SKIP() << "no golden data at " << golden;
  size_t models = 0;
  for (const auto& entry : fs::directory_iterator(golden)) {
    if (!fs::exists(entry.path() / "golden.safetensors")) continue;
    ++models;
    auto files = CheckpointFiles::Open(entry.path());
    ASSERT_TRUE(files.ok()) << files.status().ToString();
    for (const std::string& name : files->Names()) {
      const auto tensor = files->Find(name);
      ASSERT_TRUE(tensor.ok()) << tensor.status().ToString();
      EXPECT_TRUE(ToFloats(*tensor).ok()) << name;
    }
    EXPECT_TRUE(SafetensorsFile::Open(entry.path() / "golden.safetensors").ok()) << entry.path();
  }
  EXPECT_GT(models, 0u);
}

}  // namespace
}  // namespace sluice
