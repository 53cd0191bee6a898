#ifndef SLUICE_NEURAL_CONTEXT_CONFIG_H_
#define SLUICE_NEURAL_CONTEXT_CONFIG_H_

#include <algorithm>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/status.h"

namespace sluice {

/// What a token is known as before its latent is coded.
enum class ContextIds {
  kNone,     ///< nothing
  kTokens,   ///< its token id, which the decoder has from elsewhere
  kClasses,  ///< a class of hidden states, which the encoder chooses and the stream carries
};

/// Shape of a context codec; a switch that a stored codec does not name has the value it has here. Source:
/// docs/numerics.md.
struct ContextConfig {
  std::string preset = "sluice";
  int64_t width = 0;     ///< d
  int64_t context = 0;   ///< tokens of a training window; chunks may be longer
  int64_t hidden = 160;  ///< m
  bool latents = true;   ///< the network sees latents that were coded before; off: ids alone, so groups must be 1
  int64_t groups = 4;    ///< parts in which the channels of a token are coded, each knowing those before it
  int64_t scale_hidden = 1024;  ///< the first so many hidden units, as far as there are, also predict scales
  int64_t direct = 0;           ///< ids, from the token's own backwards, that add a row of means and one of scales
  int64_t block = 0;            ///< width of the transform's blocks; 0: one dense block
  ContextIds ids = ContextIds::kClasses;
  int64_t id_count = 1024;   ///< different ids; 0 with kNone
  int64_t pair_bits = 0;     ///< log2 of the buckets of the table of id pairs; 0: no such table
  int64_t class_groups = 0;  ///< groups in which classes are named; 0: each by a table of all
  int64_t class_width = 48;  ///< directions in which the encoder looks for the nearest class
  int64_t points = 1;        ///< operating points; each has steps sqrt(2) as wide as the one before
  bool learn_axes = true;    ///< train the transform's axes, not only its gains
  int precision_bits = 14;   ///< log2 of the probability tables' total

  /// Hidden units that predict scales.
  int64_t ScaleUnits() const { return std::min(scale_hidden, hidden); }
  /// First channel of group `g`; of `groups`, the width.
  int64_t GroupBegin(int64_t g) const { return g * width / groups; }

  /// Errors: InvalidArgument or Unsupported naming the field.
  static Result<ContextConfig> FromJson(const nlohmann::json& json);
  nlohmann::json ToJson() const;
  /// Sets one switch from "name=value". Errors: InvalidArgument naming the field.
  Status Set(const std::string& assignment);
  /// Errors: InvalidArgument naming the field that is out of range.
  Status Validate() const;
};

/// Preset `sluice` or `fast`. Errors: InvalidArgument naming the presets.
Result<ContextConfig> MakeContextPreset(const std::string& name, int64_t width, int64_t context);

/// The most `direct` can be for these ids while each of its tables keeps within 32 MiB.
int64_t MostDirect(const ContextConfig& config);

/// Whether a preset's name is that of a context codec.
bool IsContextPreset(const std::string& name);

/// Multiply-adds a token of encoding and decoding together: both transforms, the network on either end, and the
/// encoder's search for a class.
double ContextMultiplyAdds(const ContextConfig& config);

}  // namespace sluice

#endif  // SLUICE_NEURAL_CONTEXT_CONFIG_H_
