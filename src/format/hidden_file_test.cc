#include "format/hidden_file.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/file.h"
#include "format/npy.h"
#include "format/safetensors.h"
#include "format/temporary_folder.h"

namespace sluice {
namespace {

HiddenStates Sample(int rank) {
  HiddenStates hidden;
  hidden.rank = rank;
  hidden.batch = rank == 3 ? 2 : 1;
  hidden.tokens = 3;
  hidden.values = Matrix<float>(hidden.batch * hidden.tokens, 4);
  for (size_t i = 0; i < hidden.values.View().size(); ++i)
    hidden.values.data()[i] = 0.25f * static_cast<float>(i) - 1.0f;
  return hidden;
}

std::vector<float> Values(const HiddenStates& hidden) {
  return {hidden.values.data(), hidden.values.data() + hidden.values.View().size()};
}

TEST(HiddenFileTest, RoundTripsBothFormatsRanksAndTypes) {
  const TemporaryFolder folder;
  for (const int rank : {2, 3}) {
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kBf16}) {
      for (const std::string name : {"x.safetensors", "x.npy"}) {
        const HiddenStates hidden = Sample(rank);
        const Status saved = SaveHidden(folder / name, hidden, dtype);
        if (name == "x.npy" && dtype == DType::kBf16) {
          EXPECT_EQ(saved.code(), StatusCode::kUnsupported);
          continue;
        }
        ASSERT_TRUE(saved.ok()) << saved.ToString();
        const auto loaded = LoadHidden(folder / name);
        ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
        EXPECT_EQ(Values(*loaded), Values(hidden));
        EXPECT_EQ(loaded->rank, rank);
        EXPECT_EQ(loaded->batch, hidden.batch);
        EXPECT_EQ(loaded->tokens, 3u);
        EXPECT_EQ(loaded->source, dtype);
      }
    }
  }
}

TEST(HiddenFileTest, RejectsWhatIsNotHiddenStates) {
  const TemporaryFolder folder;
  const HiddenStates hidden = Sample(2);
  EXPECT_EQ(SaveHidden(folder / "x.bin", hidden, DType::kF32).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(SaveHidden(folder / "x.npy", hidden, DType::kI8).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(LoadHidden(folder / "x.bin").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(LoadHidden(folder / "none.npy").status().code(), StatusCode::kIo);
  const std::vector<uint8_t> bytes(16);
  const auto load = [&](std::vector<TensorView> tensors, std::string_view name) {
    EXPECT_TRUE(WriteSafetensors(folder / "t.safetensors", tensors).ok());
    return LoadHidden(folder / "t.safetensors", name).status();
  };
  const TensorView a{"a", DType::kF32, {2, 2}, bytes}, b{"b", DType::kF32, {2, 2}, bytes};
  const TensorView flat{"flat", DType::kF32, {4}, bytes}, ids{"ids", DType::kI32, {2, 2}, bytes};
  const TensorView empty{"empty", DType::kF32, {0, 2}, {}};
  EXPECT_TRUE(load({a, flat, ids}, "").ok());
  EXPECT_TRUE(load({a, b}, "b").ok());
  const Status ambiguous = load({a, b}, "");
  EXPECT_EQ(ambiguous.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(ambiguous.message().find("a, b"), std::string::npos);
  EXPECT_EQ(load({a, b}, "c").code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(load({flat, ids}, "").code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(load({flat, ids}, "ids").code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(load({empty}, "empty").code(), StatusCode::kInvalidArgument);
}

std::vector<uint8_t> NpyOf(std::string_view dict, size_t data, uint8_t version = 1) {
  ByteWriter writer;
  writer.Put<uint8_t>(0x93);
  writer.PutString("NUMPY");
  writer.Put<uint8_t>(version);
  writer.Put<uint8_t>(0);
  if (version == 1) {
    writer.Put<uint16_t>(static_cast<uint16_t>(dict.size()));
  } else {
    writer.Put<uint32_t>(static_cast<uint32_t>(dict.size()));
  }
  writer.PutString(dict);
  writer.PutBytes(std::vector<uint8_t>(data));
  return std::move(writer).Take();
}

TEST(NpyTest, MatchesWhatNumpyWrites) {
  const std::string_view dict = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }      \n";
  EXPECT_EQ(ParseNpy(NpyOf(dict, 12))->shape, std::vector<uint64_t>{3});
  EXPECT_EQ(ParseNpy(NpyOf(dict, 12, 2))->shape, std::vector<uint64_t>{3});
  EXPECT_TRUE(ParseNpy(NpyOf("{'descr':'<f2','fortran_order':False,'shape':()}", 2))->shape.empty());
}

TEST(NpyTest, RejectsBadFilesWithTheirCode) {
  const auto code = [](std::string_view dict, size_t data, uint8_t version = 1) {
    return ParseNpy(NpyOf(dict, data, version)).status().code();
  };
  const std::string_view good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }\n";
  EXPECT_EQ(code(good, 8), StatusCode::kOk);
  EXPECT_EQ(code(good, 7), StatusCode::kTruncated);
  EXPECT_EQ(code(good, 9), StatusCode::kCorrupt);
  EXPECT_EQ(code(good, 8, 3), StatusCode::kUnsupported);
  EXPECT_EQ(code("{'descr': '<f4', 'descr': '<f4', 'descr': '<f4', 'shape': (2, 1), }", 8), StatusCode::kCorrupt);
  EXPECT_EQ(code("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 1), }", 8), StatusCode::kUnsupported);
  EXPECT_EQ(code("{'descr': '|V2', 'fortran_order': False, 'shape': (2, 1), }", 4), StatusCode::kUnsupported);
  EXPECT_EQ(code("{'descr': '>f4', 'fortran_order': False, 'shape': (2, 1), }", 8), StatusCode::kUnsupported);
  EXPECT_EQ(code("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 1), }", 8), StatusCode::kUnsupported);
  EXPECT_EQ(code("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", 8),
            StatusCode::kCorrupt);
  for (const std::string_view bad :
       {"", "{", "{}", "{'descr': '<f4'", "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
        "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, }",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), } x", "{'x': 1}"}) {
    EXPECT_EQ(code(bad, 8), StatusCode::kCorrupt) << bad;
  }
  const std::vector<uint8_t> whole = NpyOf(good, 8);
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(ParseNpy(std::span(whole).first(size)).status().code(), StatusCode::kTruncated) << size;
  }
}

}  // namespace
}  // namespace sluice
