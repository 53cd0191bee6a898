// Writes the first inputs of every fuzz target: small files of each kind, made by the writers themselves from generated
// numbers and from the model and the text of this repository. Nothing else goes in, so that the corpora carry the
// licence of the repository. The same program gives the same files.
//
//   make_fuzz_seeds FOLDER
//
// writes FOLDER/<target>/<name>. What fuzzing finds worth keeping is merged into fuzz/corpus by tools/run_fuzz.sh.
#include <cstdio>
#include <filesystem>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "codec/activation_archive.h"
#include "codec/pack_stream.h"
#include "codec/static_fit.h"
#include "format/dtype.h"
#include "format/hidden_file.h"
#include "format/npy.h"
#include "format/pack.h"
#include "format/safetensors.h"
#include "frame_codec.h"
#include "fuzz_input.h"
#include "plain/hidden_stream.h"
#include "plain/plain_codec.h"
#include "rans/rans_encoder.h"
#include "rans_script.h"
#include "text/byte_level_bpe.h"
#include "text/sentencepiece_train.h"

namespace fs = std::filesystem;

namespace sluice {
namespace {

void OrThrow(const Status& status) {
  if (!status.ok()) throw std::runtime_error(status.ToString());
}
template <typename T>
T OrThrow(Result<T> result) {
  OrThrow(result.status());
  return std::move(*result);
}

std::vector<uint8_t> RandomBytes(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<uint8_t> bytes(size);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random() >> 11);
  return bytes;
}

class Seeds {
 public:
  Seeds(fs::path folder, std::string target) : folder_(std::move(folder) / target) { OrThrow(MakeFolder(folder_)); }

  fs::path Path(const std::string& name) const { return folder_ / name; }
  void Add(const std::string& name, std::span<const uint8_t> bytes) const {
    OrThrow(WriteFileAtomic(Path(name), bytes));
  }

 private:
  fs::path folder_;
};

/// Hidden states with channels of different size, exact in fp16.
HiddenStates MakeHidden(uint64_t batch, uint64_t tokens, size_t width, uint32_t seed) {
  std::mt19937 random(seed);
  HiddenStates hidden = HiddenStates::Zeros(batch, tokens, width);
  for (size_t t = 0; t < batch * tokens; ++t) {
    for (size_t c = 0; c < width; ++c) {
      const int drawn = static_cast<int>(random() % 255) - 127;
      hidden.values.row(t)[c] = static_cast<float>(drawn) / static_cast<float>(8 << (c % 5));
    }
  }
  return hidden;
}

void MakeStreams(const fs::path& folder) {
  const Seeds seeds(folder, "stream");
  for (const PlainCodecInfo& info : ListPlainCodecs()) {
    const auto codec = OrThrow(MakePlainCodec(info.spec));
    for (const uint64_t batch : {1, 3}) {
      const HiddenStates hidden = MakeHidden(batch, 5, batch == 1 ? 7 : 33, 1);
      StreamWriter writer = OrThrow(StreamWriter::ToMemory(PlainStreamHeader(*codec, hidden)));
      OrThrow(EncodeHidden(*codec, hidden, 2, writer));
      OrThrow(writer.Finish());
      seeds.Add(std::string(info.spec.substr(0, info.spec.find(':'))) + "-" + std::to_string(batch), writer.Take());
    }
  }
  StreamHeader header = {.kind = CodecKind::kInteger,
                         .flags = kFreshFrames,
                         .model_id = 1,
                         .codec_id = 2,
                         .width = 4,
                         .cut = 3,
                         .precision_bits = 12,
                         .source = DType::kF16};
  const std::vector<uint8_t> z = RandomBytes(9, 2);
  const std::vector<uint8_t> y = RandomBytes(40, 3);
  const std::vector<std::span<const uint8_t>> sections = {z, y};
  StreamWriter chunks = OrThrow(StreamWriter::ToMemory(header));
  for (int frame = 0; frame < 3; ++frame) OrThrow(chunks.AddChunk(2, 4, sections, {}));
  OrThrow(chunks.Finish());
  seeds.Add("chunks", chunks.Take());

  header.flags = kSingle;
  StreamWriter single = OrThrow(StreamWriter::ToMemory(header));
  OrThrow(single.AddChunk(2, 4, sections, {}));
  OrThrow(single.Finish());
  seeds.Add("single", single.Take());

  header.flags = kResidual;
  StreamWriter tokens = OrThrow(StreamWriter::ToMemory(header));
  OrThrow(tokens.AddChunk(1, 4, sections, {}));
  for (uint8_t frame = 0; frame < 3; ++frame) OrThrow(tokens.AddToken(frame, std::span(z).first(1 + z[0] % 8), {}));
  OrThrow(tokens.Finish());
  seeds.Add("tokens", tokens.Take());
}

void MakePacks(const fs::path& folder) {
  const Seeds seeds(folder, "pack");
  PackWriter writer({.codec = "static",
                     .flags = kResidual,
                     .model_hash = {1, 2, 3},
                     .width = 3,
                     .cut = 2,
                     .hyper_channels = 0,
                     .precision_bits = 12});
  seeds.Add("empty", OrThrow(writer.Serialize()));
  const std::vector<uint8_t> numbers = RandomBytes(24, 8);
  const std::vector<float> steps = {0.5f, 1, 2};
  writer.AddTables("latent", {{-1, false, {1000, 2000, 1000, 96}}, {7, true, {4095, 1}}});
  writer.AddTensor({"step", DType::kF32, {3}, {reinterpret_cast<const uint8_t*>(steps.data()), 12}});
  writer.AddTensor({"wide", DType::kI32, {3, 2}, numbers});
  writer.AddTensor({"odd", DType::kI8, {1, 5}, std::span(numbers).first(5)});
  writer.AddTensor({"scalar", DType::kI16, {}, std::span(numbers).first(2)});
  writer.SetOperatingPoints({{"usual", 0.01, 120.5}, {"low", 0, 1}});
  writer.SetMetadata(R"({"made by": "a generator"})");
  const std::vector<uint8_t> pack = OrThrow(writer.Serialize());
  seeds.Add("full", pack);
  StaticFitOptions fit;
  fit.step = 0.5;
  seeds.Add("static", OrThrow(OrThrow(FitStaticPack(MakeHidden(1, 200, 4, 10).values.View(), fit)).pack.Serialize()));
  fit.basis = StaticBasis::kDiagonal;
  seeds.Add("diagonal", OrThrow(OrThrow(FitStaticPack(MakeHidden(1, 200, 4, 11).values.View(), fit)).pack.Serialize()));
  seeds.Add("certified", OrThrow(WithCertificate(pack, R"({"ppl": 1.02})")));
}

void MakeTensorFiles(const fs::path& folder) {
  const Seeds seeds(folder, "safetensors");
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBf16}) {
    const std::string name(DTypeName(dtype));
    OrThrow(SaveHidden(seeds.Path(name + ".safetensors"), MakeHidden(1, 3, 5, 4), dtype));
    OrThrow(SaveHidden(seeds.Path(name + "-batch.safetensors"), MakeHidden(2, 3, 4, 5), dtype));
    if (dtype != DType::kBf16) OrThrow(SaveHidden(seeds.Path(name + ".npy"), MakeHidden(2, 2, 3, 6), dtype));
  }
  const std::vector<uint8_t> bytes = RandomBytes(48, 7);
  std::vector<TensorView> tensors;
  for (const DType dtype :
       {DType::kBool, DType::kU8, DType::kI16, DType::kF8E4M3, DType::kI32, DType::kU64, DType::kF64}) {
    const uint64_t elements = 48 / DTypeSize(dtype);
    tensors.push_back({std::string(DTypeName(dtype)), dtype, {2, elements / 2}, bytes});
    if (dtype == DType::kBool) tensors.back().bytes = tensors.back().bytes.first(0), tensors.back().shape = {0, 3};
  }
  tensors.push_back({"scalar", DType::kF32, {}, std::span(bytes).first(4)});
  OrThrow(WriteSafetensors(seeds.Path("types.safetensors"), tensors, {{"made", "by a generator"}, {"empty", ""}}));
}

std::vector<uint8_t> TokenizerInput(uint8_t kind, std::string_view text, std::string_view file) {
  ByteWriter writer;
  writer.Put(kind);
  writer.Put(static_cast<uint8_t>(text.size()));
  writer.PutString(text);
  writer.PutString(file);
  return std::move(writer).Take();
}

/// The bytes in the printable alphabet of byte-level vocabularies, quoted, each with its id.
std::string ByteVocabulary() {
  std::string json = "{";
  for (uint32_t code = 0, id = 0; id < 256; ++code) {
    std::string character(1, static_cast<char>(code));
    if (code >= 0x80) character = {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
    if (!ByteLevelBytes(character).ok()) continue;
    if (code == '"' || code == '\\') character.insert(0, 1, '\\');
    json += "\"" + character + "\":" + std::to_string(id++) + ",";
  }
  return json + R"("ab":256,"abc":257,"aa":258,"<|endoftext|>":259})";
}

/// Special pieces, the bytes by name, and a few characters and words, handed to `put` with their ids.
template <typename Put>
void ForPieces(std::string_view space, const Put& put) {
  int id = 0;
  for (const char* special : {"<unk>", "<s>", "</s>"}) put(std::string(special), id++);
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof(name), "<0x%02X>", static_cast<unsigned>(byte));
    put(std::string(name), id++);
  }
  const std::string mark(space);
  for (const std::string& piece :
       {mark, std::string("a"), std::string("b"), mark + "a", std::string("ab"), mark + "ab"})
    put(piece, id++);
}

std::string Llama2cFile() {
  ByteWriter writer;
  writer.Put<int32_t>(8);
  ForPieces(" ", [&](const std::string& piece, int id) {
    writer.Put<float>(static_cast<float>(-id));
    writer.Put<int32_t>(static_cast<int32_t>(piece.size()));
    writer.PutString(piece);
  });
  return {writer.bytes().begin(), writer.bytes().end()};
}

std::string CharJson(const std::string& rules) {
  const std::string mark = "\xE2\x96\x81";
  std::string vocabulary;
  ForPieces(mark, [&](const std::string& piece, int id) {
    vocabulary += (vocabulary.empty() ? "\"" : ",\"") + piece + "\":" + std::to_string(id);
  });
  return "{" + rules +
         R"("added_tokens":[{"id":1,"content":"<s>","special":true}],"model":{"type":"BPE","byte_fallback":true,)" +
         "\"vocab\":{" + vocabulary + "},\"merges\":[[\"" + mark + "\",\"a\"],\"a b\",\"" + mark + "a b\"]}}";
}

void MakeTokenizers(const fs::path& folder) {
  const Seeds seeds(folder, "tokenizers");
  const std::string text = "abc aab \xC3\xA9\n12 it's";
  const std::string byte_level = R"("pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},)";
  const std::string model =
      "\"model\":{\"type\":\"BPE\",\"vocab\":" + ByteVocabulary() + R"(,"merges":["a b","ab c",["a","a"]]}})";
  seeds.Add("json-bytes", TokenizerInput(0, text, "{" + byte_level + model));
  seeds.Add("json-nfc", TokenizerInput(0, text,
                                       "{\"normalizer\":{\"type\":\"NFC\"}," + byte_level +
                                           R"("added_tokens":[{"id":260,"content":"  ","normalized":true}],)" + model));
  seeds.Add("json-metaspace",
            TokenizerInput(0, text,
                           CharJson("\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\xE2\x96\x81\","
                                    "\"prepend_scheme\":\"first\",\"split\":false},")));
  seeds.Add(
      "json-replace",
      TokenizerInput(
          0, text,
          CharJson(
              "\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\xE2\x96\x81\"},")));
  const std::string merges = "#version: 0.2\na b\nab c\na a\n";
  seeds.Add("gpt2", TokenizerInput(1, text, ByteVocabulary() + std::string(1, '\0') + merges));
  seeds.Add("llama2c", TokenizerInput(2, text, Llama2cFile()));
  seeds.Add("wordpiece", TokenizerInput(3, text, "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n##a\n##b\nab\n'\nit\ns\n12\n##c\n"));
}

void MakeSentencePiece(const fs::path& folder) {
  const Seeds seeds(folder, "sentencepiece");
  const std::string text = "the cat sat on a mat, the caterpillar on the other cat.\n";
  const auto add = [&](const std::string& name, const std::string& model) {
    std::vector<uint8_t> bytes = {static_cast<uint8_t>(text.size())};
    bytes.insert(bytes.end(), text.begin(), text.end());
    bytes.insert(bytes.end(), model.begin(), model.end());
    seeds.Add(name, bytes);
  };
  add("shipped", OrThrow(ReadFile(fs::path(SLUICE_SOURCE_DIR) / "models/default/tokenizer.model")));
  std::string corpus;
  for (int i = 0; i < 50; ++i) corpus += text;
  const fs::path model = seeds.Path("small");
  OrThrow(TrainSentencePiece(corpus, 290, model));
  add("small", OrThrow(ReadFile(model)));
}

/// A way to send 12 tokens.
struct FrameSeed {
  const char* name;
  uint8_t mode;  ///< of the target: the first byte
  uint16_t flags;
  uint64_t batch;
  uint32_t chunk;
};

/// The frames of such a stream, behind its mode in place of a header.
std::vector<uint8_t> FramesOf(const PackCodec& codec, const FrameSeed& seed, const PackRate& rate = {},
                              std::span<const int32_t> ids = {}) {
  const HiddenStates hidden = FuzzHidden(RandomBytes(200, seed.chunk), seed.batch, 12);
  StreamWriter writer = OrThrow(StreamWriter::ToMemory(codec.Header(DType::kF16, seed.flags)));
  OrThrow(EncodeHidden(codec, hidden, seed.chunk, writer, rate, ids));
  OrThrow(writer.Finish());
  std::vector<uint8_t> input = writer.Take();
  input.erase(input.begin(), input.begin() + kStreamHeaderSize - 1);
  input[0] = seed.mode;
  return input;
}

void MakeFrames(const fs::path& folder) {
  const Seeds seeds(folder, "frame");
  for (const FrameSeed& kind : {FrameSeed{"tokens", 1, 0, 1, 1}, FrameSeed{"chunks", 1, 0, 2, 7},
                                FrameSeed{"fresh", 2, kFreshFrames, 1, 5}, FrameSeed{"single", 3, kSingle, 2, 12}}) {
    seeds.Add(kind.name, FramesOf(FuzzFrameCodec(), kind));
  }
  for (const uint8_t batch : {0, 1, 2}) {
    std::vector<uint8_t> input = RandomBytes(150, batch);
    input[0] = 0;
    input[1] = batch;
    seeds.Add("hidden-" + std::to_string(batch + 1), input);
  }
}

/// Frames of codec "context" behind a byte that says which and how; scripts of numbers for the ways there and back.
void MakeContextFrames(const fs::path& folder) {
  const Seeds seeds(folder, "context");
  for (uint8_t kind = 0; kind < kFuzzContexts; ++kind) {
    const FuzzContext context = FuzzContextOf(kind);
    for (FrameSeed mode : {FrameSeed{"tokens", 2, 0, 1, 1}, FrameSeed{"chunks", 2, 0, 2, 7},
                           FrameSeed{"fresh", 3, kFreshFrames, 3, 5}, FrameSeed{"single", 4, kSingle, 2, 12}}) {
      std::vector<int32_t> ids;
      for (uint64_t i = 0; i < mode.batch * 12 && context.ids > 0; ++i) ids.push_back(static_cast<int32_t>(i % 12 % 5));
      mode.mode = static_cast<uint8_t>(mode.mode * kFuzzContexts + kind);
      if (context.carried) mode.flags |= kIdsInStream;
      seeds.Add(std::string(mode.name) + "-" + std::to_string(kind), FramesOf(context.codec, mode, {.point = 1}, ids));
    }
    for (const uint8_t mode : {0, 1}) {
      std::vector<uint8_t> input = RandomBytes(160, kind);
      input[0] = static_cast<uint8_t>(mode * kFuzzContexts + kind);
      seeds.Add((mode == 0 ? "hidden-" : "steps-") + std::to_string(kind), input);
    }
  }
}

void MakeArchives(const fs::path& folder) {
  const Seeds archives(folder, "archive");
  const Seeds activations(folder, "activations");
  const FidelitySpec specs[] = {{}, {Fidelity::kAbsolute, 0.01}, {Fidelity::kRelative, 0.001}, {Fidelity::kBits, 30}};
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBf16}) {
    const std::string name(DTypeName(dtype));
    const HiddenStates hidden = MakeHidden(1, 96, 5, 9);
    const fs::path source = archives.Path(name + ".safetensors");
    OrThrow(SaveHidden(source, hidden, dtype));
    for (const FidelitySpec& spec : specs) {
      const std::string kind = std::to_string(static_cast<int>(spec.kind));
      PackOptions options;
      options.fidelity = spec;
      options.chunk_tokens = spec.kind == Fidelity::kBits ? 96 : 40;
      OrThrow(PackHidden(source, "", archives.Path(name + "-" + kind), options).status());
      const std::vector<uint8_t> bytes = OrThrow(FromFloats(hidden.values.View().all(), dtype));
      const uint8_t type = dtype == DType::kF32 ? 0 : dtype == DType::kF16 ? 1 : 2;
      std::vector<uint8_t> input = {type, static_cast<uint8_t>(spec.kind), 80, 33, 4};
      input.insert(input.end(), bytes.begin(), bytes.end());
      activations.Add(name + "-" + kind, input);
    }
    fs::remove(source);
  }
}

void MakeKernels(const fs::path& folder) {
  const Seeds seeds(folder, "kernels");
  for (const uint8_t lanes : {1, 3, 4, 8, 16, 32, 64}) {
    std::vector<uint8_t> input = RandomBytes(1500, lanes);
    input[0] = lanes % 5;
    input[1] = lanes - 1;
    input[2] = lanes % 4;
    input[3] = static_cast<uint8_t>(3 * lanes);
    seeds.Add("lanes-" + std::to_string(lanes), input);
  }
}

/// A script of `kinds` and a stream that it decodes.
std::vector<uint8_t> RansInput(uint8_t lanes, uint8_t precision, uint8_t kinds) {
  std::vector<uint8_t> bytes = {lanes, precision, 7};
  for (const uint8_t weight : {1, 3, 10, 30, 90, 30, 10, 2}) bytes.insert(bytes.end(), {weight, 5});
  bytes.insert(bytes.end(), {4, 0, 5, kinds});
  FuzzInput input(bytes.data(), bytes.size());
  const RansScript script(input);
  RansEncoder encoder = OrThrow(RansEncoder::Create(script.lanes, script.precision));
  std::mt19937 random(lanes);
  for (uint32_t i = 0; i < script.count; ++i) {
    script.Encode(i, script.Fit(i, static_cast<int32_t>(random() % 9) - 5), encoder);
  }
  const std::vector<uint8_t> stream = encoder.Finish(script.seal);
  bytes.insert(bytes.end(), stream.begin(), stream.end());
  return bytes;
}

void MakeRans(const fs::path& folder) {
  const Seeds decode(folder, "rans");
  const Seeds round_trip(folder, "round_trip");
  for (const uint8_t lanes : {1, 2, 4, 8, 16, 32, 64}) {
    for (const uint8_t kinds : {0x00, 0x55, 0xAA, 0xE4}) {
      decode.Add("lanes-" + std::to_string(lanes) + "-kinds-" + std::to_string(kinds),
                 RansInput(lanes, static_cast<uint8_t>(kinds % 7), kinds));
    }
    std::vector<uint8_t> input = RandomBytes(400, lanes);
    input[0] = static_cast<uint8_t>(lanes - 1);
    round_trip.Add("lanes-" + std::to_string(lanes), input);
  }
}

/// A kind, a template behind its length, and the body of a request.
void MakeRequests(const fs::path& folder) {
  const Seeds seeds(folder, "gateway");
  const auto add = [&](const char* name, char kind, const std::string& jinja, const std::string& body) {
    const std::string input = kind + std::string(1, static_cast<char>(jinja.size())) + jinja + body;
    seeds.Add(name, AsBytes(input));
  };
  add("completion", 0, "",
      R"({"model":"m","prompt":"Once upon","max_tokens":7,"temperature":0.5,"top_p":0.9,"seed":-3,"stop":["a","upon a"],)"
      R"("stream":true,"stream_options":{"include_usage":true},"echo":true,"n":1,"logit_bias":{},"suffix":null})");
  add("tokens", 4, "{{ '<|im_start|>' }}",
      R"({"prompt":[[1,2],[3]],"logprobs":0,"return_token_ids":true,"stop":"2]"})");
  add("texts", 6, "[INST] <<SYS>> <</SYS>> [/INST] bos_token", R"({"prompt":["a","b"],"best_of":1,"max_tokens":null})");
  add("chat", 1, "{{ '<|im_start|>' + message['role'] + '\n' + '<|im_end|>' }}",
      R"({"messages":[{"role":"developer","content":"Be brief."},{"role":"user","content":[{"type":"text",)"
      R"("text":"Hi"}]}],"max_completion_tokens":5,"logprobs":true,"tools":[],"response_format":{"type":"text"},)"
      R"("stop":["role","user\n"]})");
  add("refused", 0, "'", R"({"prompt":"a","n":2,"top_p":0,"frequency_penalty":1})");
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_fuzz_seeds FOLDER\n");
    return 2;
  }
  try {
    sluice::MakeStreams(argv[1]);
    sluice::MakePacks(argv[1]);
    sluice::MakeTensorFiles(argv[1]);
    sluice::MakeTokenizers(argv[1]);
    sluice::MakeSentencePiece(argv[1]);
    sluice::MakeRans(argv[1]);
    sluice::MakeFrames(argv[1]);
    sluice::MakeContextFrames(argv[1]);
    sluice::MakeArchives(argv[1]);
    sluice::MakeKernels(argv[1]);
    sluice::MakeRequests(argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "make_fuzz_seeds: %s\n", error.what());
    return 1;
  }
  return 0;
}
