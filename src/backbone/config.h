#ifndef SLUICE_BACKBONE_CONFIG_H_
#define SLUICE_BACKBONE_CONFIG_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace sluice {

/// The transformer families that this build can run.
enum class BackboneFamily { kGpt2, kLlama };

/// Name as in config.json's model_type: "gpt2", "llama".
std::string_view BackboneFamilyName(BackboneFamily family);

/// The nonlinearity of the MLP. kGeluErf is the exact form, kGeluTanh the approximation ("gelu_new").
enum class Activation { kGeluErf, kGeluTanh, kRelu, kSilu };

/// How rotary angles are stretched beyond the length the model was first trained on.
struct RopeScaling {
  enum class Kind { kNone, kLinear, kLlama3 };
  Kind kind = Kind::kNone;
  double factor = 1.0;
  double low_freq_factor = 1.0;   ///< Llama 3 only
  double high_freq_factor = 4.0;  ///< Llama 3 only
  int64_t original_context = 0;   ///< Llama 3 only

  friend bool operator==(const RopeScaling&, const RopeScaling&) = default;
};

/// The shape of a transformer, free of any library: what config.json says, checked.
/// Range: layers in [1, 1024], width, mlp_width, head_dim, context and vocab in [1, 2^24]; heads divides by kv_heads.
struct BackboneConfig {
  BackboneFamily family = BackboneFamily::kGpt2;
  int64_t layers = 0;
  int64_t width = 0;  ///< d, the width of the hidden state
  int64_t heads = 0;
  int64_t kv_heads = 0;  ///< equals heads but for grouped-query attention
  int64_t head_dim = 0;
  int64_t mlp_width = 0;
  int64_t vocab = 0;
  int64_t context = 0;  ///< most positions a sequence may have
  double norm_eps = 1e-5;
  Activation activation = Activation::kGeluTanh;
  bool tied = true;             ///< the output matrix is the token embedding
  bool attention_bias = false;  ///< Llama family; GPT-2 always has biases
  bool mlp_bias = false;        ///< Llama family; GPT-2 always has biases
  double rope_theta = 10000.0;  ///< Llama family
  RopeScaling rope_scaling;     ///< Llama family
  double initializer_range = 0.02;
  int64_t bos = -1;          ///< -1: the model defines none
  std::vector<int64_t> eos;  ///< every id that ends a text; may be empty

  /// A GPT-2 of the given shape with the family's usual choices (tanh GELU, tied output, mlp 4 * width).
  static BackboneConfig Gpt2(int64_t layers, int64_t width, int64_t heads, int64_t vocab, int64_t context);

  /// Reads the text of a Hugging Face config.json.
  /// Errors: Corrupt when it is not JSON; Unsupported for an architecture or option this build does not run, naming it
  /// and what is supported; InvalidArgument for a missing or wrong field, naming it.
  static Result<BackboneConfig> Parse(std::string_view json);
  /// Reads `folder`/config.json. Errors: as Parse; Io.
  static Result<BackboneConfig> Load(const std::filesystem::path& folder);

  /// Whether the numbers fit together. Errors: InvalidArgument with the field, its value and what it must be.
  Status Check() const;

  /// The same in Hugging Face's form; Parse reads it back equal. `stored_dtype`: "float32" or "float16".
  std::string ToJson(std::string_view stored_dtype = "float32") const;
  /// Writes `folder`/config.json.
  Status Save(const std::filesystem::path& folder, std::string_view stored_dtype = "float32") const;

  friend bool operator==(const BackboneConfig&, const BackboneConfig&) = default;
};

}  // namespace sluice

#endif  // SLUICE_BACKBONE_CONFIG_H_
