// The register of plain codecs: one table from which the list, the specification grammar and the ids in files all come.
#include "plain/plain_codec.h"

#include <fmt/format.h>

#include <charconv>
#include <cstring>
#include <vector>

#include "plain/codebook_codec.h"
#include "plain/compressor.h"
#include "plain/float_codecs.h"
#include "plain/low_rank_codec.h"
#include "plain/narrow_codecs.h"
#include "plain/plane_codec.h"
#include "plain/scaled_codecs.h"

namespace sluice {
namespace {

constexpr PlainCodecInfo kInfos[] = {
    {"fp32", "32-bit floats as they are"},
    {"fp16", "16-bit IEEE floats, rounded to nearest"},
    {"bf16", "bfloat16, rounded to nearest"},
    {"lz4:1", "LZ4 on the byte planes of fp16, levels 1 to 12"},
    {"deflate:6", "Deflate (zlib) on the byte planes of fp16, levels 1 to 9"},
    {"libdeflate:6", "Deflate (libdeflate) on the byte planes of fp16, levels 1 to 12"},
    {"zstd:3", "Zstandard on the byte planes of fp16, levels 1 to 22"},
    {"q80", "8-bit integers in blocks of 32 channels, each with an fp16 scale"},
    {"int8", "8-bit integers, one fp32 scale a token (largest magnitude)"},
    {"fp8", "8-bit floats (E4M3), one fp32 scale a token"},
    {"blk8:2048", "8-bit codes of a dynamic-exponent codebook, blocks of 64 to 4096 elements"},
    {"int4", "4-bit integers in blocks of 32 channels, each with an fp16 scale"},
    {"lowrank:32", "the chunk as a product of int8 factors, rank at most 1 to 1024"},
};

std::string_view NameOf(std::string_view spec) { return spec.substr(0, spec.find(':')); }

// The number after the colon, a level, a block length or a rank.
Result<int> NumberOf(std::string_view spec, int usual) {
  const size_t colon = spec.find(':');
  if (colon == std::string_view::npos) return usual;
  const std::string_view text = spec.substr(colon + 1);
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    return InvalidArgument(fmt::format("codec \"{}\": expected a number after the colon", spec));
  }
  return number;
}

std::unique_ptr<HiddenCodec> MakeWithoutNumber(std::string_view spec) {
  if (spec == "fp32") return MakeFloat32Codec();
  if (spec == "fp16") return MakeHalfCodec();
  if (spec == "bf16") return MakeBfloat16Codec();
  if (spec == "int8") return MakeInt8Codec();
  if (spec == "q80") return MakeQ80Codec();
  if (spec == "fp8") return MakeFloat8Codec();
  if (spec == "int4") return MakeInt4Codec();
  return nullptr;
}

}  // namespace

std::span<const PlainCodecInfo> ListPlainCodecs() { return kInfos; }

std::string PlainCodecSpecs() {
  std::vector<std::string_view> specs;
  for (const PlainCodecInfo& info : kInfos) specs.push_back(info.spec);
  return fmt::format("{}", fmt::join(specs, ", "));
}

Result<std::unique_ptr<HiddenCodec>> MakePlainCodec(std::string_view spec) {
  if (auto codec = MakeWithoutNumber(spec)) return codec;
  for (const CompressorInfo& info : Compressors()) {
    if (info.name != NameOf(spec)) continue;
    SLUICE_ASSIGN_OR_RETURN(const int level, NumberOf(spec, info.usual));
    return MakePlaneCodec(info.compressor, level);
  }
  if (NameOf(spec) == "blk8") {
    SLUICE_ASSIGN_OR_RETURN(const int block, NumberOf(spec, kDefaultCodebookBlock));
    return MakeCodebookCodec(block);
  }
  if (NameOf(spec) == "lowrank") {
    SLUICE_ASSIGN_OR_RETURN(const int rank, NumberOf(spec, kDefaultLowRank));
    return MakeLowRankCodec(rank);
  }
  return InvalidArgument(fmt::format("no plain codec \"{}\"; there are {}", spec, PlainCodecSpecs()));
}

uint64_t PlainCodecId(const HiddenCodec& codec) {
  const std::string spec = codec.name();
  std::string_view name = NameOf(spec);
  if (name == "libdeflate") name = "deflate";
  uint64_t id = 0;
  std::memcpy(&id, name.data(), std::min(name.size(), sizeof(id)));
  return id;
}

std::string PlainCodecName(uint64_t id) {
  std::string name(sizeof(id), '\0');
  std::memcpy(name.data(), &id, sizeof(id));
  return name.substr(0, name.find('\0'));
}

Result<std::unique_ptr<HiddenCodec>> PlainCodecOfId(uint64_t id) {
  for (const PlainCodecInfo& info : kInfos) {
    auto codec = MakePlainCodec(NameOf(info.spec));
    if (codec.ok() && PlainCodecId(**codec) == id) return codec;
  }
  return Unsupported(fmt::format("plain codec id {:#018x} is not known to this build", id));
}

}  // namespace sluice
