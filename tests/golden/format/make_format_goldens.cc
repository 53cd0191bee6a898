// make_format_goldens OUT: writes the folders decode, decode_errors and encode_inputs of tests/golden, from numbers
// that it makes itself. Run once for every addition to the format; files that are there already stay as they are,
// because old frames decode for ever: a change of theirs is a change of the format.
#include <cstdio>
#include <filesystem>
#include <map>
#include <tuple>

#include "base/bytes.h"
#include "codec/activation_archive.h"
#include "codec/pack_stream.h"
#include "codec/static_fit.h"
#include "context_integers.h"
#include "nets/context_sample.h"
#include "plain/hidden_stream.h"
#include "plain/plain_codec.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<uint8_t>;

fs::path g_out;

void Check(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "make_format_goldens: %s\n", status.ToString().c_str());
  std::exit(1);
}
template <typename T>
T Value(Result<T> result) {
  Check(result.status());
  return std::move(*result);
}

void Save(const std::string& name, const Bytes& bytes) {
  const fs::path path = g_out / name;
  Check(MakeFolder(path.parent_path()));
  if (fs::exists(path)) return;
  Check(WriteFileAtomic(path, std::span<const uint8_t>(bytes)));
}

// Sums of small whole numbers, so that every machine makes the same floats; about one in 60 is far away.
HiddenStates Numbers(uint64_t batch, uint64_t tokens, size_t width, double scale, uint64_t seed) {
  uint64_t state = seed * 2 + 1;
  const auto next = [&] {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<int64_t>(state >> 48) - 32768;
  };
  HiddenStates hidden = HiddenStates::Zeros(batch, tokens, width);
  for (size_t i = 0; i < batch * tokens * width; ++i) {
    const int64_t bell = next() + next() + next() + next();
    const int64_t far = next() > 31700 ? 40 : 1;
    hidden.values.data()[i] = static_cast<float>(static_cast<double>(bell * far) * scale / 65536.0);
  }
  return hidden;
}

Bytes Plain(const char* spec, const HiddenStates& hidden, uint32_t chunk, uint16_t flags = 0) {
  const auto codec = Value(MakePlainCodec(spec));
  StreamHeader header = PlainStreamHeader(*codec, hidden);
  header.flags = flags;
  StreamWriter writer = Value(StreamWriter::ToMemory(header));
  Check(EncodeHidden(*codec, hidden, chunk, writer));
  Check(writer.Finish());
  return writer.Take();
}

Bytes Coded(const PackCodec& codec, const HiddenStates& hidden, std::initializer_list<uint32_t> chunks,
            uint16_t flags = 0) {
  StreamWriter writer = Value(StreamWriter::ToMemory(codec.Header(hidden.source, flags)));
  const auto encoder = codec.NewEncoder();
  uint64_t begin = 0;
  for (const uint32_t chunk : chunks) {
    Check(encoder->Push(CutFrame(hidden, begin, chunk).View(), static_cast<uint32_t>(hidden.batch), writer));
    begin += chunk;
  }
  Check(writer.Finish());
  return writer.Take();
}

Bytes Fit(const HiddenStates& sample, StaticBasis basis, double step, uint16_t cut, int precision) {
  StaticFitOptions options;
  options.basis = basis;
  options.step = step;
  options.cut = cut;
  options.precision_bits = precision;
  options.model_hash[0] = 7;
  return Value(Value(FitStaticPack(sample.values.View(), options)).pack.Serialize());
}

// A stored pack wins over a new one: fits need not give the same floats everywhere.
Bytes SavedPack(const std::string& name, const Bytes& made) {
  Save(name, made);
  const std::string bytes = Value(ReadFile(g_out / name));
  return {bytes.begin(), bytes.end()};
}

void MakePlainStreams() {
  const HiddenStates one = Numbers(1, 7, 40, 1, 1), batch = Numbers(3, 5, 9, 1, 2);
  for (const char* name : {"fp32", "fp16", "bf16", "int8", "q80"}) {
    Save(std::string("decode/") + name + ".slc", Plain(name, one, 3));
  }
  for (const PlainCodecInfo& info : ListPlainCodecs()) {
    const std::string spec(info.spec), name = spec.substr(0, spec.find(':'));
    if (!fs::exists(g_out / "decode" / (name + ".slc")))
      Save("decode/library/" + name + ".slc", Plain(spec.c_str(), one, 3));
  }
  Save("decode/fp16-batch.slc", Plain("fp16", batch, 2));
  Save("decode/fp16-single.slc", Plain("fp16", batch, 5, kSingle));
  Check(MakeFolder(g_out / "encode_inputs"));
  if (!fs::exists(g_out / "encode_inputs/one.npy"))
    Check(SaveHidden(g_out / "encode_inputs/one.npy", one, DType::kF32));
}

void MakeCodedStreams() {
  const HiddenStates sample = Numbers(1, 3000, 16, 0.5, 3);
  const Bytes diagonal = SavedPack("decode/static.pack", Fit(sample, StaticBasis::kDiagonal, 0.5, 2, 12));
  const Bytes principal = SavedPack("decode/principal.pack", Fit(sample, StaticBasis::kPrincipal, 0.25, 0, 16));
  const auto a = Value(PackCodec::Make(Value(Pack::FromBytes(diagonal))));
  const auto b = Value(PackCodec::Make(Value(Pack::FromBytes(principal))));
  const HiddenStates one = Numbers(1, 30, 16, 0.5, 4), batch = Numbers(3, 6, 16, 0.5, 5);
  Save("decode/static-chunks.slc", Coded(*a, one, {10, 19, 1}, kFreshFrames));
  Save("decode/static-batch.slc", Coded(*a, batch, {2, 4}));
  Save("decode/static-single.slc", Coded(*a, one, {30}, kSingle));
  Save("decode/static-tokens.slc", Coded(*a, one, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}));
  Save("decode/static-mixed.slc", Coded(*a, one, {4, 1, 1, 20, 1, 1, 1, 1}));
  Save("decode/static-2-lanes.slc", Coded(*a, Numbers(1, 600, 16, 0.5, 6), {600}));
  Save("decode/static-32-lanes.slc", Coded(*a, Numbers(1, 8200, 16, 0.03, 7), {8200}));
  Save("decode/principal-chunks.slc", Coded(*b, one, {30}));
  Save("decode/principal-tokens.slc", Coded(*b, one, {1, 1, 1, 1, 1, 1, 1, 1}));
}

// The packs of codec "context", one for each kind of names, small and of generated numbers.
struct ContextPackCase {
  const char* name;
  ContextSample sample;
};

std::vector<ContextPackCase> ContextPacks() {
  // Deviations of up to 250, so that the low bits of some values are sent as they are, in one dense transform.
  ContextSample plain{.shape = {.width = 20, .hidden = 9, .groups = 3, .points = 1}, .largest = 4000};
  ContextSample classes{.shape = {.width = 24,
                                  .hidden = 11,
                                  .groups = 5,
                                  .points = 16,
                                  .names = TokenNames::kClasses,
                                  .ids = 6,
                                  .pair_bits = 5},
                        .block = 8,
                        .precision = 12};
  ContextSample tokens{.shape = {.width = 24,
                                 .hidden = 11,
                                 .groups = 3,
                                 .points = 4,
                                 .names = TokenNames::kTokens,
                                 .ids = 10,
                                 .pair_bits = 4},
                       .block = 8};
  // 5 bits an id, of which not all are one.
  ContextSample bits{
      .shape = {.width = 8, .hidden = 5, .groups = 2, .points = 1, .names = TokenNames::kTokens, .ids = 21},
      .block = 4,
      .id_tables = false};
  // As the presets are: a shape of nine fields, classes in groups, rows of ids for what is predicted.
  ContextSample direct{.shape = {.width = 24,
                                 .hidden = 11,
                                 .groups = 3,
                                 .points = 3,
                                 .names = TokenNames::kClasses,
                                 .ids = 11,
                                 .pair_bits = 4,
                                 .direct = 2,
                                 .scale_units = 4},
                       .block = 8,
                       .class_groups = 3,
                       .old_shape = false};
  ContextSample blind = direct;
  blind.shape.groups = 1;
  blind.shape.direct = 1;
  blind.shape.latents = false;
  return {{"context_plain", plain}, {"context_classes", classes}, {"context_tokens", tokens},
          {"context_bits", bits},   {"context_direct", direct},   {"context_blind", blind}};
}

HiddenStates ContextNumbers(uint64_t batch, uint64_t tokens, const ContextSample& sample, uint64_t seed) {
  SampleNumbers random(seed);
  HiddenStates hidden = HiddenStates::Zeros(batch, tokens, sample.shape.width);
  for (size_t t = 0; t < batch * tokens; ++t) {
    for (size_t c = 0; c < sample.shape.width; ++c) {
      hidden.values.row(t)[c] = static_cast<float>(random.Bell(16 * sample.Deviation(c))) / 64;
    }
  }
  return hidden;
}

struct ContextFrame {
  uint32_t tokens;
  int point = 0;
};

Bytes CodedContext(const PackCodec& codec, const HiddenStates& hidden, const std::vector<ContextFrame>& frames,
                   uint16_t flags = 0, const std::vector<int32_t>& ids = {}) {
  StreamWriter writer = Value(StreamWriter::ToMemory(codec.Header(hidden.source, flags)));
  const auto encoder = codec.NewEncoder();
  uint64_t begin = 0;
  for (const ContextFrame& frame : frames) {
    std::vector<int32_t> own;
    for (uint64_t row = 0; row < hidden.batch && !ids.empty(); ++row) {
      const auto from = ids.begin() + static_cast<ptrdiff_t>(row * hidden.tokens + begin);
      own.insert(own.end(), from, from + frame.tokens);
    }
    Check(encoder->SetTokens(own));
    Check(encoder->SetPoint(frame.point));
    Check(encoder->Push(CutFrame(hidden, begin, frame.tokens).View(), static_cast<uint32_t>(hidden.batch), writer));
    begin += frame.tokens;
  }
  Check(writer.Finish());
  return writer.Take();
}

std::vector<int32_t> ContextIds(size_t count, size_t of) {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>((i * i + i / 5) % of));
  return ids;
}

// A stream that does not carry its ids has them beside it, as text.
void SaveWithIds(const std::string& name, const Bytes& stream, const std::vector<int32_t>& ids) {
  std::string text;
  for (size_t i = 0; i < ids.size(); ++i) text += std::to_string(ids[i]) + ((i + 1) % 16 == 0 ? "\n" : " ");
  Save("decode/" + name + ".slc", stream);
  Save("decode/" + name + ".ids", Bytes(text.begin(), text.end()));
}

void MakeContextStreams() {
  const std::vector<ContextFrame> singles(12, ContextFrame{1});
  for (const auto& [name, sample] : ContextPacks()) {
    const std::string prefix = std::string("decode/") + name;
    const Bytes pack = SavedPack(prefix + ".pack", sample.Make());
    const auto codec = Value(PackCodec::Make(Value(Pack::FromBytes(pack))));
    const HiddenStates one = ContextNumbers(1, 24, sample, 11), batch = ContextNumbers(3, 6, sample, 12);
    if (sample.shape.names != TokenNames::kTokens) {
      const int most = static_cast<int>(sample.shape.points) - 1;
      Save(prefix + "-chunks.slc", CodedContext(*codec, one, {{9}, {14, most}, {1, most / 2}}, kFreshFrames));
      Save(prefix + "-tokens.slc", CodedContext(*codec, one, singles));
      Save(prefix + "-mixed.slc",
           CodedContext(*codec, one, {{5}, {1, most}, {1, most}, {1, most / 3}, {10, most / 3}, {1}, {1}}));
      Save(prefix + "-batch.slc", CodedContext(*codec, batch, {{2, most / 2}, {4, most / 2}}));
      Save(prefix + "-single.slc", CodedContext(*codec, batch, {{6, most / 4}}, kSingle));
      if (most > 0) Save(prefix + "-2-lanes.slc", CodedContext(*codec, ContextNumbers(1, 345, sample, 13), {{345, 2}}));
      continue;
    }
    const auto ids = ContextIds(24, sample.shape.ids), rows = ContextIds(18, sample.shape.ids);
    const std::string known = std::string(name) + "-known-";
    SaveWithIds(known + "chunks", CodedContext(*codec, one, {{9}, {15}}, 0, ids), ids);
    SaveWithIds(known + "tokens", CodedContext(*codec, one, singles, 0, ids), ids);
    SaveWithIds(known + "batch", CodedContext(*codec, batch, {{2}, {4}}, kFreshFrames, rows), rows);
    Save(prefix + "-ids-chunks.slc", CodedContext(*codec, one, {{9}, {15}}, kIdsInStream, ids));
    Save(prefix + "-ids-tokens.slc", CodedContext(*codec, one, singles, kIdsInStream, ids));
    Save(prefix + "-ids-mixed.slc", CodedContext(*codec, one, {{3}, {1}, {1}, {15}, {1}}, kIdsInStream, ids));
    Save(prefix + "-ids-batch.slc", CodedContext(*codec, batch, {{2}, {4}}, kIdsInStream, rows));
  }
}

struct Change {
  const char* name;
  size_t at;
  uint8_t value;
};

// Replaces a byte of the header and makes its checksum right again.
Bytes WithHeaderByte(Bytes bytes, const Change& change) {
  bytes[change.at] = change.value;
  StoreLe<uint32_t>(Checksum32(std::span(bytes).first(36)), bytes.data() + 36);
  return bytes;
}

void MakeStreamErrors(const Bytes& plain, const Bytes& coded, const Bytes& tokens) {
  for (const Change& change : {Change{"Unsupported-flag", 6, 16},
                               {"Unsupported-kind", 5, 0x14},
                               {"Unsupported-source", 5, 0x41},
                               {"Unsupported-codec", 16, 'x'},
                               {"Corrupt-width-0", 24, 0},
                               {"Corrupt-width-large", 26, 2},
                               {"Corrupt-precision", 30, 9},
                               {"Corrupt-threads", 31, 1}}) {
    Save(std::string("decode_errors/") + change.name + ".slc", WithHeaderByte(plain, change));
  }
  for (const Change& change : {Change{"Mismatch-codec", 16, 1},
                               {"Mismatch-model", 8, 9},
                               {"Mismatch-cut", 28, 3},
                               {"Mismatch-width", 24, 17},
                               {"Mismatch-residual", 6, 3},
                               {"Mismatch-precision", 30, 13}}) {
    Save(std::string("decode_errors/") + change.name + ".slc", WithHeaderByte(coded, change));
  }
  const auto flip = [](Bytes bytes, size_t at, uint8_t mask) {
    bytes[at] = static_cast<uint8_t>(bytes[at] ^ mask);
    return bytes;
  };
  const auto cut = [](const Bytes& bytes, size_t size) {
    return Bytes(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size));
  };
  const auto longer = [](Bytes bytes) {
    bytes.push_back(0);
    return bytes;
  };
  const std::vector<std::pair<const char*, Bytes>> files = {
      {"Corrupt-magic", flip(plain, 1, 1)},
      {"Unsupported-version", flip(plain, 4, 2)},
      {"Corrupt-header", flip(plain, 20, 1)},
      {"Unsupported-frame-type", flip(plain, 40, 4)},
      {"Corrupt-batch-0", flip(plain, 41, 1)},
      {"Corrupt-first-token", flip(plain, 43, 1)},
      {"Corrupt-payload", flip(plain, 60, 8)},
      {"Corrupt-end", flip(plain, plain.size() - 6, 1)},
      {"Corrupt-after-end", longer(plain)},
      {"Truncated-header", cut(plain, 39)},
      {"Truncated-frame", cut(plain, 100)},
      {"Truncated-no-end", cut(plain, plain.size() - 8)},
      {"Truncated-nothing", {}},
      {"Corrupt-rans", flip(coded, 60, 16)},
      {"Corrupt-chunk-checksum", flip(coded, coded.size() - 9, 1)},
      {"Truncated-tokens", cut(tokens, tokens.size() - 9)},
      {"Corrupt-token", flip(tokens, 43, 2)},
      {"Truncated-token", cut(tokens, 42)}};
  for (const auto& [name, bytes] : files) Save(std::string("decode_errors/") + name + ".slc", bytes);
}

void MakePackErrors(const Bytes& pack) {
  const auto with = [&](size_t at, uint8_t value) {
    Bytes bytes = pack;
    bytes[at] = value;
    StoreLe<uint32_t>(Checksum32(std::span(bytes).first(bytes.size() - 4)), bytes.data() + bytes.size() - 4);
    return bytes;
  };
  Bytes flipped = pack, shorter = pack, longer = pack;
  flipped[pack.size() / 2] ^= 1;
  shorter.resize(pack.size() - 1);
  longer.push_back(0);
  const std::vector<std::pair<const char*, Bytes>> files = {
      {"Corrupt-flip", flipped},           {"Truncated-end", shorter},           {"Corrupt-long", longer},
      {"Unsupported-version", with(4, 2)}, {"Unsupported-codec", with(16, 'x')}, {"Unsupported-section", with(80, 9)},
      {"Corrupt-precision", with(5, 17)},  {"Corrupt-tables", with(5, 13)},      {"Corrupt-offset", with(104, 1)},
      {"Mismatch-cut", with(68, 9)}};
  for (const auto& [name, bytes] : files) Save(std::string("decode_errors/") + name + ".pack", bytes);
}

void MakeArchives() {
  const fs::path states = g_out / "decode/states.safetensors", archive = g_out / "decode/made.sla";
  const std::vector<std::tuple<const char*, DType, FidelitySpec>> kinds = {
      {"archive-f32", DType::kF32, {Fidelity::kLossless, 0}},
      {"archive-f16", DType::kF16, {Fidelity::kLossless, 0}},
      {"archive-bf16", DType::kBf16, {Fidelity::kLossless, 0}},
      {"archive-absolute", DType::kF32, {Fidelity::kAbsolute, 0.05}},
      {"archive-relative", DType::kF16, {Fidelity::kRelative, 0.01}},
      {"archive-bits", DType::kF32, {Fidelity::kBits, 4}}};
  for (const auto& [name, dtype, fidelity] : kinds) {
    HiddenStates hidden = Numbers(1, 150, 12, 0.5, 8);
    Check(SaveHidden(states, hidden, dtype));
    PackOptions options;
    options.fidelity = fidelity;
    options.chunk_tokens = 90;
    Check(PackHidden(states, "", archive, options).status());
    const std::string bytes = Value(ReadFile(archive));
    Save(std::string("decode/") + name + ".sla", Bytes(bytes.begin(), bytes.end()));
  }
  fs::remove(states);
  fs::remove(archive);
}

void MakeArchiveErrors(const Bytes& archive) {
  const auto with = [&](size_t at, uint8_t mask, size_t size) {
    Bytes bytes = archive;
    bytes[at] = static_cast<uint8_t>(bytes[at] ^ mask);
    bytes.resize(size);
    return bytes;
  };
  const std::vector<std::pair<const char*, Bytes>> files = {{"Corrupt-payload", with(200, 1, archive.size())},
                                                            {"Corrupt-header", with(9, 1, archive.size())},
                                                            {"Corrupt-chunk-header", with(45, 1, archive.size())},
                                                            {"Unsupported-version", with(4, 2, archive.size())},
                                                            {"Truncated-header", with(39, 0, 39)}};
  for (const auto& [name, bytes] : files) Save(std::string("decode_errors/") + name + ".sla", bytes);
}

// Where a section of a pack begins.
size_t PlaceOf(const Bytes& pack, const std::string& name) {
  for (size_t entry = 80; entry < pack.size(); entry += 104) {
    if (name == reinterpret_cast<const char*>(pack.data() + entry + 40)) {
      return static_cast<size_t>(LoadLe<uint64_t>(pack.data() + entry + 24));
    }
  }
  Check(Internal("no section " + name));
  return 0;
}

void MakeContextPackErrors(const Bytes& pack, const Bytes& direct) {
  const auto changed = [](Bytes bytes, size_t at, uint8_t value) {
    bytes[at] = value;
    StoreLe<uint32_t>(Checksum32(std::span(bytes).first(bytes.size() - 4)), bytes.data() + bytes.size() - 4);
    return bytes;
  };
  const auto with = [&](size_t at, uint8_t value) { return changed(pack, at, value); };
  const auto with_direct = [&](const char* name, size_t at, uint8_t value) {
    return changed(direct, PlaceOf(direct, name) + at, value);
  };
  const size_t last_weight = 2 * 24 * 11 - 1;  // of a unit that predicts no scale
  const std::vector<std::pair<const char*, Bytes>> files = {
      {"direct", with_direct("shape", 24, 3)},
      {"latents", with_direct("shape", 28, 0)},
      {"units", with_direct("shape", 32, 12)},
      {"scale-weight", with_direct("output.weights", last_weight, 1)},
      {"class-sizes", with_direct("class_sizes", 0, 4)},
      {"shape", with(PlaceOf(pack, "shape") + 4, 9)},
      {"flags", with(6, 0)},
      {"shift", with(PlaceOf(pack, "past.shifts"), 15)},
      {"order", with(PlaceOf(pack, "order"), 7)},
      {"gain", with(PlaceOf(pack, "gain") + 3, 0xC0)},
      {"precision", with(5, 15)}};
  for (const auto& [name, bytes] : files) Save(std::string("decode_errors/Corrupt-context_") + name + ".pack", bytes);
}

void MakeContextErrors(const Bytes& chunks, const Bytes& classes, const Bytes& tokens, const Bytes& known) {
  const auto flip = [](Bytes bytes, size_t at, uint8_t mask) {
    bytes[at] = static_cast<uint8_t>(bytes[at] ^ mask);
    return bytes;
  };
  const auto cut = [](const Bytes& bytes, size_t size) {
    return Bytes(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size));
  };
  // The name behind the status is that of the pack.
  const std::vector<std::pair<const char*, Bytes>> files = {
      {"Corrupt-context_plain-payload", flip(chunks, 90, 4)},
      {"Corrupt-context_plain-checksum", flip(chunks, chunks.size() - 9, 1)},
      {"Truncated-context_plain-chunk", cut(chunks, 90)},
      {"Mismatch-context_classes-codec", chunks},
      {"Corrupt-context_classes-state", flip(classes, 45, 0xFF)},
      {"Unsupported-context_classes-ids", WithHeaderByte(classes, {"", 6, 16})},
      {"Mismatch-context_classes-side", WithHeaderByte(classes, {"", 6, 4})},
      {"Corrupt-context_bits-token", flip(tokens, 43, 2)},
      {"Truncated-context_bits-token", cut(tokens, 42)},
      {"Truncated-context_bits-end", cut(tokens, tokens.size() - 9)},
      {"Corrupt-context_tokens-other-ids", known}};
  for (const auto& [name, bytes] : files) Save(std::string("decode_errors/") + name + ".slc", bytes);
  std::string ids;
  for (int i = 0; i < 24; ++i) ids += "7 ";
  Save("decode_errors/Corrupt-context_tokens-other-ids.ids", Bytes(ids.begin(), ids.end()));
}

void MakeErrors() {
  const auto bytes = [](const char* name) {
    const std::string text = Value(ReadFile(g_out / "decode" / name));
    return Bytes(text.begin(), text.end());
  };
  MakeStreamErrors(bytes("fp16.slc"), bytes("static-chunks.slc"), bytes("static-tokens.slc"));
  MakePackErrors(bytes("static.pack"));
  MakeArchiveErrors(bytes("archive-f32.sla"));
  MakeContextErrors(bytes("context_plain-chunks.slc"), bytes("context_classes-chunks.slc"),
                    bytes("context_bits-ids-tokens.slc"), bytes("context_tokens-known-chunks.slc"));
  MakeContextPackErrors(bytes("context_bits.pack"), bytes("context_direct.pack"));
}

// What a stream or an archive decodes to; of codec "context" its integers, since the floats' last digits depend on the
// machine.
std::string HashOf(const fs::path& path) {
  const std::string name = path.filename().string();
  if (path.extension() == ".sla") {
    const ArchiveReader archive = Value(ArchiveReader::Open(path));
    return ToHex(Sha256::Of(Value(ReadTokens(archive, 0, archive.tokens()))));
  }
  const std::string text = Value(ReadFile(path));
  const fs::path pack = g_out / "decode" / (name.substr(0, name.find_first_of("-.")) + ".pack");
  if (name.starts_with("context_")) {
    const auto integers = Value(ContextIntegersOf(AsBytes(text), Value(Pack::Open(pack)), Value(IdsBeside(path))));
    return ToHex(Sha256::Of({reinterpret_cast<const uint8_t*>(integers.data()), 4 * integers.size()}));
  }
  const HiddenStates hidden = fs::exists(pack) ? Value(DecodeHidden(*Value(PackCodec::Open(pack)), AsBytes(text)))
                                               : Value(DecodeHidden(AsBytes(text)));
  const size_t size = 4 * hidden.values.rows() * hidden.values.cols();
  return ToHex(Sha256::Of({reinterpret_cast<const uint8_t*>(hidden.values.data()), size}));
}

void MakeHashes() {
  std::map<std::string, std::string> lines;
  for (const auto& entry : fs::recursive_directory_iterator(g_out / "decode")) {
    const fs::path suffix = entry.path().extension();
    if (suffix == ".slc" || suffix == ".sla") lines[entry.path().filename().string()] = HashOf(entry.path());
  }
  std::string text;
  for (const auto& [name, hash] : lines) text += hash + " " + name + "\n";
  Check(WriteFileAtomic(g_out / "decode/hashes.txt", text));
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_format_goldens OUT\n");
    return 2;
  }
  sluice::g_out = argv[1];
  sluice::MakePlainStreams();
  sluice::MakeCodedStreams();
  sluice::MakeContextStreams();
  sluice::MakeArchives();
  sluice::MakeErrors();
  sluice::MakeHashes();
  return 0;
}
