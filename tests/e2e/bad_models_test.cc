// Models, codecs and texts that are missing, damaged or do not belong together.
#include <nlohmann/json.hpp>

#include "format/safetensors.h"
#include "program_test_base.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

class BadModelsTest : public ProgramTest {
 protected:
  Arguments Encode(const fs::path& model, const std::string& codec, const fs::path& text) const {
    return {"encode", "--model",   model, "--codec", codec,   "--text",
            text,     "--threads", "1",   "--quiet", "--out", Path("out.slc")};
  }
  Arguments Encode(const fs::path& model) const { return Encode(model, "fp16", tiny().text()); }
  Arguments EncodeText(const fs::path& text) const { return Encode(tiny().model(), "fp16", text); }
  Arguments Eval(const fs::path& model, const std::string& codec) const {
    return {"eval",        "--model",   model, "--codec", codec,    "--text",
            tiny().text(), "--threads", "1",   "--quiet", "--html", Path("out.html")};
  }

  // A copy of the model with one value of its configuration replaced.
  fs::path WithConfig(std::string_view name, const std::string& key, const nlohmann::json& value) const {
    const fs::path model = Copy(tiny().model(), name);
    auto config = nlohmann::json::parse(FileBytes(model / "config.json"));
    config[key] = value;
    WriteBytes(model / "config.json", config.dump());
    return model;
  }
};

TEST_F(BadModelsTest, RejectsMissingFiles) {
  ExpectRefused(Encode(Path("none")), "Io", "config.json");
  ExpectRefused(Eval(Path("none"), "fp16"), "Io", "config.json");
  const fs::path weights = Copy(tiny().model(), "no-weights");
  fs::remove(weights / "model.safetensors");
  ExpectRefused(Encode(weights), "Io", "model.safetensors");
  const fs::path tokenizer = Copy(tiny().model(), "no-tokenizer");
  fs::remove(tokenizer / "tokenizer.model");
  ExpectRefused(Encode(tokenizer), "InvalidArgument", "no tokenizer");
}

TEST_F(BadModelsTest, RejectsTruncatedWeights) {
  const std::string whole = FileBytes(tiny().model() / "model.safetensors");
  const fs::path model = Copy(tiny().model(), "truncated");
  for (const size_t length : {size_t{0}, size_t{7}, size_t{200}, whole.size() / 2, whole.size() - 1}) {
    SCOPED_TRACE(length);
    WriteBytes(model / "model.safetensors", whole.substr(0, length));
    ExpectRefused(Encode(model), "Truncated", "model.safetensors");
  }
}

TEST_F(BadModelsTest, RejectsDamagedHeaderOfWeights) {
  std::string bytes = FileBytes(tiny().model() / "model.safetensors");
  const fs::path model = Copy(tiny().model(), "damaged");
  bytes[8] = '[';
  WriteBytes(model / "model.safetensors", bytes);
  ExpectRefused(Encode(model), "Corrupt", "model.safetensors");
}

TEST_F(BadModelsTest, RejectsWrongShapes) {
  ExpectRefused(Encode(WithConfig("wide", "n_embd", 36)), "Corrupt", "expected shape [320, 36], got [320, 32]");
  ExpectRefused(Eval(WithConfig("deep", "n_layer", 3), "fp16"), "Corrupt", "h.2.");
  const fs::path model = Copy(tiny().model(), "flat");
  const auto file = SafetensorsFile::Open(tiny().model() / "model.safetensors");
  ASSERT_TRUE(file.ok());
  std::vector<TensorView> tensors;
  for (const auto& [name, view] : file->tensors()) {
    tensors.push_back(view);
    if (name.ends_with("wpe.weight")) tensors.back().shape = {view.elements()};
  }
  ASSERT_TRUE(WriteSafetensors(model / "model.safetensors", tensors).ok());
  ExpectRefused(Encode(model), "Corrupt", "wpe.weight");
}

TEST_F(BadModelsTest, RejectsConfigurationsItCannotRun) {
  const fs::path unknown = WithConfig("unknown", "model_type", "mamba");
  auto config = nlohmann::json::parse(FileBytes(unknown / "config.json"));
  config["architectures"] = {"MambaForCausalLM"};
  WriteBytes(unknown / "config.json", config.dump());
  ExpectRefused(Encode(unknown), "Unsupported", "mamba");
  const fs::path malformed = Copy(tiny().model(), "malformed");
  for (const char* text : {"", "{", "[]", "\xff\xfe"}) {
    SCOPED_TRACE(text);
    WriteBytes(malformed / "config.json", text);
    ExpectRefused(Encode(malformed), "Corrupt", "config.json");
  }
  ExpectRefused(Encode(WithConfig("number", "model_type", 5)), "InvalidArgument", "model_type");
  ExpectRefused(Encode(WithConfig("negative", "n_head", -4)), "InvalidArgument", "heads is -4");
  ExpectRefused(Encode(WithConfig("odd", "n_head", 5)), "InvalidArgument", "heads 5");
  ExpectRefused(Encode(WithConfig("huge", "n_layer", 1000000000000)), "InvalidArgument", "layers is 1000000000000");
}

TEST_F(BadModelsTest, RejectsCutsOutOfRange) {
  Arguments beyond = Encode(tiny().model());
  beyond.insert(beyond.end(), {"--cut", "3"});
  ExpectRefused(beyond, "InvalidArgument", "0 to 2");
  Arguments other = Encode(tiny().model(), tiny().codec(), tiny().text());
  other.insert(other.end(), {"--cut", "2"});
  ExpectRefused(other, "Mismatch", "cut 1");
  ExpectRefused({"train", "--model", tiny().model(), "--text", tiny().train_text(), "--cut", "3", "--out", Path("c"),
                 "--allow-slow-blas"},
                "InvalidArgument", "0 to 2");
  ExpectRefused({"eval", "--model", tiny().model(), "--codec", "fp16", "--cut", "9", "--text", tiny().text()},
                "InvalidArgument", "0 to 2");
}

TEST_F(BadModelsTest, RejectsCodecOfAnotherModel) {
  ExpectRefused(Encode(tiny().other_model(), tiny().codec(), tiny().text()), "Mismatch", "model");
  ExpectRefused(Eval(tiny().other_model(), tiny().codec()), "Mismatch", "model");
  ExpectRefused({"decode", "--model", tiny().other_model(), "--codec", tiny().codec(), "--in", tiny().stream(),
                 "--text", tiny().text()},
                "Mismatch", "model");
  ExpectRefused(
      {"decode", "--codec", tiny().joint() / "codec", "--in", tiny().stream(), "--out", Path("h.safetensors")},
      "Mismatch", "codec");
}

TEST_F(BadModelsTest, RejectsDamagedCodec) {
  ExpectRefused(Encode(tiny().model(), Path("none"), tiny().text()), "InvalidArgument");
  fs::create_directory(Path("empty"));
  ExpectRefused(Encode(tiny().model(), Path("empty"), tiny().text()), "InvalidArgument", "codec.json");
  const fs::path codec = Copy(tiny().codec(), "codec");
  const std::string whole = FileBytes(codec / "codec.safetensors");
  WriteBytes(codec / "codec.safetensors", whole.substr(0, whole.size() / 2));
  ExpectRefused(Encode(tiny().model(), codec, tiny().text()), "Corrupt", "codec.safetensors");
  // One bit of a weight: only a checksum can tell.
  for (const size_t place : {whole.size() - 5, whole.size() / 2}) {
    std::string flipped = whole;
    flipped[place] = static_cast<char>(flipped[place] ^ 4);
    WriteBytes(codec / "codec.safetensors", flipped);
    ExpectRefused(Encode(tiny().model(), codec, tiny().text()), "Corrupt", "codec");
  }
  fs::remove(codec / "codec.safetensors");
  ExpectRefused(Encode(tiny().model(), codec, tiny().text()), "Io", "codec.safetensors");
  WriteBytes(codec / "codec.safetensors", whole);
  WriteBytes(codec / "codec.json", "{\"version\":");
  ExpectRefused(Encode(tiny().model(), codec, tiny().text()), "Corrupt", "codec.json");
}

TEST_F(BadModelsTest, RejectsTexts) {
  ExpectRefused(EncodeText(Path("none.txt")), "Io", "none.txt");
  ExpectRefused(EncodeText(Write("empty.txt", "")), "InvalidArgument", "empty.txt");
  ExpectRefused(EncodeText(Write("blank.txt", " \n\n")), "InvalidArgument", "blank.txt");
  ExpectRefused(EncodeText(Write("bytes.txt", "good\xff words")), "InvalidArgument", "0xFF at offset 4");
  ExpectRefused(EncodeText(Write("cut.txt", "d\xc3")), "InvalidArgument", "offset 1");
  ExpectRefused(EncodeText(tiny().folder), "Io");
}

TEST_F(BadModelsTest, RejectsTokensOutsideTheVocabulary) {
  const fs::path model = Copy(tiny().model(), "mixed");
  fs::copy_file(tiny().other_model() / "tokenizer.model", model / "tokenizer.model",
                fs::copy_options::overwrite_existing);
  ExpectRefused(Encode(model), "Mismatch", "vocabulary of 320");
  ExpectRefused({"train", "--model", model, "--text", tiny().train_text(), "--out", Path("c"), "--allow-slow-blas"},
                "Mismatch", "320");
}

}  // namespace
}  // namespace sluice
