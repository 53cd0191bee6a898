// Hugging Face writes one config.json a model, with other keys for each family and with years of drift in them. The
// reader takes what decides the arithmetic, refuses any switch that would change it without this build knowing, and
// ignores the rest (dropout, caching, task heads), so that a model either runs as its authors meant or not at all.
#include "backbone/config.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json_depth.h"

namespace sluice {
namespace {

using Json = nlohmann::json;

constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxSize = int64_t{1} << 24;
constexpr uint64_t kMaxConfigBytes = 1 << 20;

std::string Shown(const Json& value) {
  const std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  return text.size() <= 80 ? text : text.substr(0, 77) + "...";
}

/// Typed access to the fields of one JSON object; the first problem is kept, later reads return their default.
class Fields {
 public:
  explicit Fields(const Json& object, std::string where = "") : object_(object), where_(std::move(where)) {}

  const Status& status() const { return status_; }
  bool Has(const char* name) const { return object_.contains(name) && !object_[name].is_null(); }
  const Json& operator[](const char* name) const { return object_[name]; }

  int64_t Int(const char* name) { return Has(name) ? ReadInt(name) : Missing(name); }
  int64_t Int(const char* name, int64_t otherwise) { return Has(name) ? ReadInt(name) : otherwise; }
  double Number(const char* name, double otherwise) {
    if (!Has(name)) return otherwise;
    if (object_[name].is_number()) return object_[name].get<double>();
    Wrong(name, "a number");
    return otherwise;
  }
  bool Bool(const char* name, bool otherwise) {
    if (!Has(name)) return otherwise;
    if (object_[name].is_boolean()) return object_[name].get<bool>();
    Wrong(name, "true or false");
    return otherwise;
  }
  std::string Text(const char* name, std::string otherwise) {
    if (!Has(name)) return otherwise;
    if (object_[name].is_string()) return object_[name].get<std::string>();
    Wrong(name, "a string");
    return otherwise;
  }
  /// An id, or a list of ids.
  std::vector<int64_t> Ids(const char* name) {
    if (!Has(name)) return {};
    const Json& value = object_[name];
    if (value.is_number_integer()) return {value.get<int64_t>()};
    std::vector<int64_t> ids;
    for (const Json& id : value.is_array() ? value : Json::array({value})) {
      if (!id.is_number_integer()) {
        Wrong(name, "an integer or a list of integers");
        return {};
      }
      ids.push_back(id.get<int64_t>());
    }
    return ids;
  }
  /// Refuses an option whose value changes the arithmetic in a way that is not built.
  void Require(const char* name, bool supported) {
    if (Bool(name, supported) == supported) return;
    Fail(Unsupported(fmt::format("config.json: \"{}{}\" is {}; this build runs only {}", where_, name,
                                 Shown(object_[name]), supported)));
  }
  void Fail(Status status) {
    if (status_.ok()) status_ = std::move(status);
  }

 private:
  int64_t ReadInt(const char* name) {
    if (object_[name].is_number_integer()) return object_[name].get<int64_t>();
    Wrong(name, "an integer");
    return 0;
  }
  int64_t Missing(const char* name) {
    Fail(InvalidArgument(fmt::format("config.json: field \"{}{}\" is missing", where_, name)));
    return 0;
  }
  void Wrong(const char* name, const char* expected) {
    Fail(InvalidArgument(
        fmt::format("config.json: field \"{}{}\": expected {}, got {}", where_, name, expected, Shown(object_[name]))));
  }

  const Json& object_;
  std::string where_;
  Status status_;
};

struct NamedActivation {
  const char* name;
  Activation activation;
};
constexpr std::array<NamedActivation, 7> kActivations = {{{"gelu_new", Activation::kGeluTanh},
                                                          {"gelu_pytorch_tanh", Activation::kGeluTanh},
                                                          {"gelu_fast", Activation::kGeluTanh},
                                                          {"gelu", Activation::kGeluErf},
                                                          {"relu", Activation::kRelu},
                                                          {"silu", Activation::kSilu},
                                                          {"swish", Activation::kSilu}}};

Activation ReadActivation(Fields& fields, const char* field, const char* otherwise) {
  const std::string name = fields.Text(field, otherwise);
  for (const NamedActivation& known : kActivations) {
    if (name == known.name) return known.activation;
  }
  fields.Fail(Unsupported(fmt::format(
      "config.json: \"{}\" is \"{}\"; supported: gelu, gelu_new, gelu_pytorch_tanh, gelu_fast, relu, silu, swish",
      field, name)));
  return Activation::kGeluTanh;
}

const char* ActivationName(Activation activation) {
  for (const NamedActivation& known : kActivations) {
    if (known.activation == activation) return known.name;
  }
  return "gelu_new";
}

/// Token ids that mark beginning and end, and the options every family shares.
void ReadCommon(Fields& fields, BackboneConfig& config) {
  config.initializer_range = fields.Number("initializer_range", 0.02);
  config.bos = fields.Int("bos_token_id", -1);
  config.eos = fields.Ids("eos_token_id");
  if (fields.Has("quantization_config")) {
    fields.Fail(Unsupported("config.json: \"quantization_config\" is set; supported: float32, float16 and bfloat16"));
  }
}

Status ReadGpt2(const Json& json, BackboneConfig& config) {
  Fields fields(json);
  config.family = BackboneFamily::kGpt2;
  config.layers = fields.Int("n_layer");
  config.width = fields.Int("n_embd");
  config.heads = config.kv_heads = fields.Int("n_head");
  config.head_dim = config.heads > 0 ? config.width / config.heads : 0;
  config.mlp_width = fields.Int("n_inner", config.width > 0 && config.width <= kMaxSize ? 4 * config.width : 0);
  config.vocab = fields.Int("vocab_size");
  config.context = fields.Has("n_positions") ? fields.Int("n_positions") : fields.Int("n_ctx");
  config.norm_eps = fields.Number("layer_norm_epsilon", 1e-5);
  config.activation = ReadActivation(fields, "activation_function", "gelu_new");
  config.tied = fields.Bool("tie_word_embeddings", true);
  config.attention_bias = config.mlp_bias = true;
  fields.Require("scale_attn_weights", true);
  fields.Require("scale_attn_by_inverse_layer_idx", false);
  fields.Require("add_cross_attention", false);
  ReadCommon(fields, config);
  return fields.status();
}

/// The angles' base and scaling: "rope_theta" and "rope_scaling", or, in newer files, both inside "rope_parameters".
Status ReadRope(const Json& json, BackboneConfig& config) {
  Fields fields(json);
  const char* name = fields.Has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  config.rope_theta = fields.Number("rope_theta", 10000.0);
  if (!fields.Has(name)) return fields.status();
  if (!fields[name].is_object()) {
    return InvalidArgument(
        fmt::format("config.json: field \"{}\": expected an object, got {}", name, Shown(fields[name])));
  }
  Fields inner(fields[name], std::string(name) + ".");
  config.rope_theta = inner.Number("rope_theta", config.rope_theta);
  const std::string type = inner.Text("rope_type", inner.Text("type", "default"));
  RopeScaling& scaling = config.rope_scaling;
  if (type == "linear") {
    scaling.kind = RopeScaling::Kind::kLinear;
    scaling.factor = inner.Number("factor", 0);
  } else if (type == "llama3") {
    scaling.kind = RopeScaling::Kind::kLlama3;
    scaling.factor = inner.Number("factor", 0);
    scaling.low_freq_factor = inner.Number("low_freq_factor", 0);
    scaling.high_freq_factor = inner.Number("high_freq_factor", 0);
    scaling.original_context = inner.Int("original_max_position_embeddings");
  } else if (type != "default") {
    inner.Fail(Unsupported(
        fmt::format("config.json: \"{}\" has type \"{}\"; supported: default, linear, llama3", name, type)));
  }
  SLUICE_RETURN_IF_ERROR(fields.status());
  return inner.status();
}

Status ReadLlama(const Json& json, BackboneConfig& config) {
  Fields fields(json);
  config.family = BackboneFamily::kLlama;
  config.layers = fields.Int("num_hidden_layers");
  config.width = fields.Int("hidden_size");
  config.heads = fields.Int("num_attention_heads");
  config.kv_heads = fields.Int("num_key_value_heads", config.heads);
  config.head_dim = fields.Int("head_dim", config.heads > 0 ? config.width / config.heads : 0);
  config.mlp_width = fields.Int("intermediate_size");
  config.vocab = fields.Int("vocab_size");
  config.context = fields.Int("max_position_embeddings", 2048);
  config.norm_eps = fields.Number("rms_norm_eps", 1e-6);
  config.activation = ReadActivation(fields, "hidden_act", "silu");
  config.tied = fields.Bool("tie_word_embeddings", false);
  config.attention_bias = fields.Bool("attention_bias", false);
  config.mlp_bias = fields.Bool("mlp_bias", false);
  ReadCommon(fields, config);
  SLUICE_RETURN_IF_ERROR(fields.status());
  return ReadRope(json, config);
}

struct FamilyReader {
  BackboneFamily family;
  const char* model_type;
  const char* architecture;
  Status (*read)(const Json&, BackboneConfig&);
};
constexpr std::array<FamilyReader, 2> kFamilies = {{
    {BackboneFamily::kGpt2, "gpt2", "GPT2LMHeadModel", ReadGpt2},
    {BackboneFamily::kLlama, "llama", "LlamaForCausalLM", ReadLlama},
}};

const FamilyReader& ReaderOf(BackboneFamily family) {
  for (const FamilyReader& known : kFamilies) {
    if (known.family == family) return known;
  }
  return kFamilies[0];
}

Status UnknownArchitecture(const std::string& type, const std::string& architecture) {
  std::string supported;
  for (const FamilyReader& known : kFamilies) {
    supported += fmt::format("{}{} ({})", supported.empty() ? "" : ", ", known.model_type, known.architecture);
  }
  return Unsupported(fmt::format("config.json: model_type \"{}\", architecture \"{}\"; supported: {}", type,
                                 architecture.empty() ? "not given" : architecture, supported));
}

Result<const FamilyReader*> FindFamily(const Json& json) {
  Fields fields(json);
  const std::string type = fields.Text("model_type", "");
  std::string architecture;
  if (fields.Has("architectures")) {
    const Json& list = json["architectures"];
    if (!list.is_array() || (!list.empty() && !list[0].is_string())) {
      return InvalidArgument(
          fmt::format("config.json: field \"architectures\": expected a list of strings, got {}", Shown(list)));
    }
    if (!list.empty()) architecture = list[0].get<std::string>();
  }
  SLUICE_RETURN_IF_ERROR(fields.status());
  if (type.empty() && architecture.empty()) {
    return InvalidArgument("config.json: neither \"model_type\" nor \"architectures\" is there");
  }
  for (const FamilyReader& known : kFamilies) {
    const bool type_fits = type.empty() || type == known.model_type;
    const bool architecture_fits = architecture.empty() || architecture == known.architecture;
    if (type_fits && architecture_fits) return &known;
  }
  return UnknownArchitecture(type, architecture);
}

Status CheckSize(const char* name, int64_t value, int64_t most) {
  if (value >= 1 && value <= most) return OkStatus();
  return InvalidArgument(fmt::format("model config: {} is {}; it must be from 1 to {}", name, value, most));
}

Status CheckPositive(const char* name, double value) {
  if (std::isfinite(value) && value > 0) return OkStatus();
  return InvalidArgument(fmt::format("model config: {} is {}; it must be positive", name, value));
}

Status CheckId(const char* name, int64_t id, int64_t vocab) {
  if (id < vocab) return OkStatus();
  return InvalidArgument(fmt::format("model config: {} is {}; the vocabulary has {} tokens", name, id, vocab));
}

}  // namespace

std::string_view BackboneFamilyName(BackboneFamily family) { return ReaderOf(family).model_type; }

BackboneConfig BackboneConfig::Gpt2(int64_t layers, int64_t width, int64_t heads, int64_t vocab, int64_t context) {
  BackboneConfig config;
  config.layers = layers;
  config.width = width;
  config.heads = config.kv_heads = heads;
  config.head_dim = heads > 0 ? width / heads : 0;
  config.mlp_width = 4 * width;
  config.vocab = vocab;
  config.context = context;
  config.attention_bias = config.mlp_bias = true;
  return config;
}

Result<BackboneConfig> BackboneConfig::Parse(std::string_view text) {
  SLUICE_RETURN_IF_ERROR(CheckJsonDepth(text).WithContext("config.json"));
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return Corrupt(fmt::format("config.json: not valid JSON ({} bytes)", text.size()));
  if (!json.is_object()) return Corrupt(fmt::format("config.json: expected an object, got {}", json.type_name()));
  SLUICE_ASSIGN_OR_RETURN(const FamilyReader* family, FindFamily(json));
  BackboneConfig config;
  SLUICE_RETURN_IF_ERROR(family->read(json, config));
  SLUICE_RETURN_IF_ERROR(config.Check());
  return config;
}

Result<BackboneConfig> BackboneConfig::Load(const std::filesystem::path& folder) {
  SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(folder / "config.json", kMaxConfigBytes));
  Result<BackboneConfig> config = Parse(text);
  if (!config.ok()) return config.status().WithContext(folder.string());
  return config;
}

Status BackboneConfig::Check() const {
  SLUICE_RETURN_IF_ERROR(CheckSize("layers", layers, kMaxLayers));
  SLUICE_RETURN_IF_ERROR(CheckSize("width", width, kMaxSize));
  SLUICE_RETURN_IF_ERROR(CheckSize("heads", heads, width));
  SLUICE_RETURN_IF_ERROR(CheckSize("kv_heads", kv_heads, heads));
  SLUICE_RETURN_IF_ERROR(CheckSize("head_dim", head_dim, kMaxSize / heads));
  SLUICE_RETURN_IF_ERROR(CheckSize("mlp_width", mlp_width, kMaxSize));
  SLUICE_RETURN_IF_ERROR(CheckSize("vocab", vocab, kMaxSize));
  SLUICE_RETURN_IF_ERROR(CheckSize("context", context, kMaxSize));
  SLUICE_RETURN_IF_ERROR(CheckPositive("norm_eps", norm_eps));
  SLUICE_RETURN_IF_ERROR(CheckPositive("rope_theta", rope_theta));
  SLUICE_RETURN_IF_ERROR(CheckPositive("initializer_range", initializer_range));
  if (heads % kv_heads != 0) {
    return InvalidArgument(fmt::format("model config: heads {} is not a multiple of kv_heads {}", heads, kv_heads));
  }
  if (family == BackboneFamily::kGpt2 && (heads * head_dim != width || kv_heads != heads)) {
    return InvalidArgument(fmt::format("model config: width {} is not heads {} * head_dim {}", width, heads, head_dim));
  }
  if (family == BackboneFamily::kLlama && head_dim % 2 != 0) {
    return InvalidArgument(fmt::format("model config: head_dim {} is odd; rotary positions need pairs", head_dim));
  }
  SLUICE_RETURN_IF_ERROR(CheckId("bos_token_id", bos, vocab));
  for (const int64_t id : eos) SLUICE_RETURN_IF_ERROR(CheckId("eos_token_id", id, vocab));
  if (rope_scaling.kind == RopeScaling::Kind::kNone) return OkStatus();
  SLUICE_RETURN_IF_ERROR(CheckPositive("rope_scaling.factor", rope_scaling.factor));
  if (rope_scaling.kind == RopeScaling::Kind::kLinear) return OkStatus();
  SLUICE_RETURN_IF_ERROR(CheckPositive("rope_scaling.low_freq_factor", rope_scaling.low_freq_factor));
  SLUICE_RETURN_IF_ERROR(CheckPositive("rope_scaling.high_freq_factor - low_freq_factor",
                                       rope_scaling.high_freq_factor - rope_scaling.low_freq_factor));
  return CheckSize("rope_scaling.original_max_position_embeddings", rope_scaling.original_context, kMaxSize);
}

namespace {

Json RopeScalingJson(const RopeScaling& scaling) {
  switch (scaling.kind) {
    case RopeScaling::Kind::kNone:
      return nullptr;
    case RopeScaling::Kind::kLinear:
      return {{"rope_type", "linear"}, {"type", "linear"}, {"factor", scaling.factor}};
    case RopeScaling::Kind::kLlama3:
      return {{"rope_type", "llama3"},
              {"factor", scaling.factor},
              {"low_freq_factor", scaling.low_freq_factor},
              {"high_freq_factor", scaling.high_freq_factor},
              {"original_max_position_embeddings", scaling.original_context}};
  }
  return nullptr;
}

void WriteGpt2(const BackboneConfig& config, Json& json) {
  json["n_layer"] = config.layers;
  json["n_embd"] = config.width;
  json["n_head"] = config.heads;
  json["n_inner"] = config.mlp_width == 4 * config.width ? Json(nullptr) : Json(config.mlp_width);
  json["n_positions"] = config.context;
  json["n_ctx"] = config.context;
  json["layer_norm_epsilon"] = config.norm_eps;
  json["activation_function"] = ActivationName(config.activation);
}

void WriteLlama(const BackboneConfig& config, Json& json) {
  json["num_hidden_layers"] = config.layers;
  json["hidden_size"] = config.width;
  json["num_attention_heads"] = config.heads;
  json["num_key_value_heads"] = config.kv_heads;
  json["head_dim"] = config.head_dim;
  json["intermediate_size"] = config.mlp_width;
  json["max_position_embeddings"] = config.context;
  json["rms_norm_eps"] = config.norm_eps;
  json["hidden_act"] = ActivationName(config.activation);
  json["attention_bias"] = config.attention_bias;
  json["mlp_bias"] = config.mlp_bias;
  json["rope_theta"] = config.rope_theta;
  json["rope_scaling"] = RopeScalingJson(config.rope_scaling);
}

}  // namespace

std::string BackboneConfig::ToJson(std::string_view stored_dtype) const {
  const FamilyReader& reader = ReaderOf(family);
  Json json = {{"architectures", Json::array({reader.architecture})},
               {"model_type", reader.model_type},
               {"vocab_size", vocab},
               {"initializer_range", initializer_range},
               {"tie_word_embeddings", tied},
               {"torch_dtype", stored_dtype}};
  if (bos >= 0) json["bos_token_id"] = bos;
  if (eos.size() == 1) json["eos_token_id"] = eos[0];
  if (eos.size() > 1) json["eos_token_id"] = eos;
  family == BackboneFamily::kGpt2 ? WriteGpt2(*this, json) : WriteLlama(*this, json);
  return json.dump(2) + "\n";
}

Status BackboneConfig::Save(const std::filesystem::path& folder, std::string_view stored_dtype) const {
  return WriteFileAtomic(folder / "config.json", std::string_view(ToJson(stored_dtype)));
}

}  // namespace sluice
