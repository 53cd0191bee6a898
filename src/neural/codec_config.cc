#include "neural/codec_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace sluice {
namespace {

using Json = nlohmann::json;

constexpr int64_t kWidest = 65536;  // as the stream's header

// NLOHMANN_JSON_SERIALIZE_ENUM maps unknown strings to the first entry in silence; these maps refuse them.
template <typename E>
struct EnumName {
  E value;
  const char* name;
};
constexpr EnumName<CodecMode> kModes[] = {{CodecMode::kJoint, "joint"}, {CodecMode::kFrozen, "frozen"}};
constexpr EnumName<TransformKind> kTransforms[] = {
    {TransformKind::kNone, "none"}, {TransformKind::kFixed, "fixed"}, {TransformKind::kLearned, "learned"}};
constexpr EnumName<DensityKind> kDensities[] = {{DensityKind::kFactorized, "factorized"},
                                                {DensityKind::kFourier, "fourier"},
                                                {DensityKind::kFourierSafe, "fourier_safe"}};
constexpr EnumName<PriorKind> kPriors[] = {{PriorKind::kHyper, "hyper"}, {PriorKind::kDirect, "direct"}};
constexpr EnumName<SigmaKind> kSigmas[] = {{SigmaKind::kLinear, "linear"}, {SigmaKind::kLog, "log"}};

template <typename E, size_t n>
Json NameOf(const EnumName<E> (&names)[n], E value) {
  for (const auto& entry : names) {
    if (entry.value == value) return entry.name;
  }
  return nullptr;
}

Status WrongValue(const std::string& field, const Json& got, const std::string& expected) {
  return InvalidArgument(fmt::format("codec configuration: {}: expected {}, got {}", field, expected, got.dump()));
}

template <typename E, size_t n>
Status ReadEnum(const Json& value, const std::string& field, const EnumName<E> (&names)[n], E& out) {
  std::string expected;
  for (const auto& entry : names) {
    if (value == entry.name) {
      out = entry.value;
      return OkStatus();
    }
    if (!expected.empty()) expected += '|';
    expected += entry.name;
  }
  return WrongValue(field, value, expected);
}

Status ReadBool(const Json& value, const std::string& field, bool& out) {
  if (!value.is_boolean()) return WrongValue(field, value, "true|false");
  out = value.get<bool>();
  return OkStatus();
}

template <typename Int>
Status ReadInt(const Json& value, const std::string& field, Int& out) {
  constexpr int64_t kLargest = 1 << 30;
  if (!value.is_number_integer() || value < 0 || value > kLargest) return WrongValue(field, value, "an integer");
  out = value.get<Int>();
  return OkStatus();
}

Status ReadWidths(const Json& value, std::vector<int64_t>& out) {
  constexpr size_t kMostBlocks = 16;
  if (!value.is_array() || value.empty() || value.size() > kMostBlocks) {
    return WrongValue("widths", value, "a list of 1 to 16 integers");
  }
  std::vector<int64_t> widths;
  for (const Json& item : value) SLUICE_RETURN_IF_ERROR(ReadInt(item, "widths", widths.emplace_back()));
  out = std::move(widths);
  return OkStatus();
}

Status ReadField(const std::string& field, const Json& value, CodecConfig& config) {
  if (field == "mode") return ReadEnum(value, field, kModes, config.mode);
  if (field == "transform") return ReadEnum(value, field, kTransforms, config.transform);
  if (field == "sigma") return ReadEnum(value, field, kSigmas, config.sigma);
  if (field == "density") return ReadEnum(value, field, kDensities, config.density);
  if (field == "prior") return ReadEnum(value, field, kPriors, config.prior);
  if (field == "causal") return ReadBool(value, field, config.causal);
  if (field == "window") return ReadInt(value, field, config.window);
  if (field == "gain") return ReadBool(value, field, config.gain);
  if (field == "residual") return ReadBool(value, field, config.residual);
  if (field == "last_mlp") return ReadBool(value, field, config.last_mlp);
  if (field == "last_mlp_ratio") return ReadInt(value, field, config.last_mlp_ratio);
  if (field == "attention") return ReadBool(value, field, config.attention);
  if (field == "channel_prior") return ReadBool(value, field, config.channel_prior);
  if (field == "stream_per_token") return ReadBool(value, field, config.stream_per_token);
  if (field == "centroid") return ReadBool(value, field, config.centroid);
  if (field == "mean_steps") return ReadInt(value, field, config.mean_steps);
  if (field == "precision_bits") return ReadInt(value, field, config.precision_bits);
  if (field == "width") return ReadInt(value, field, config.width);
  if (field == "heads") return ReadInt(value, field, config.heads);
  if (field == "context") return ReadInt(value, field, config.context);
  if (field == "hyper_channels") return ReadInt(value, field, config.hyper_channels);
  if (field == "classes") return ReadInt(value, field, config.classes);
  if (field == "widths") return ReadWidths(value, config.widths);
  if (field == "sigma_floor") {
    if (!value.is_number()) return WrongValue(field, value, "a number");
    config.sigma_floor = value.get<double>();
    return OkStatus();
  }
  if (field == "preset") {
    if (!value.is_string()) return WrongValue(field, value, "a name");
    config.preset = value.get<std::string>();
    return OkStatus();
  }
  return Unsupported(fmt::format("codec configuration: unknown field '{}'", field));
}

int64_t NearestMultiple(double value, int64_t unit) {
  return unit * std::max<int64_t>(1, std::llround(value / static_cast<double>(unit)));
}

}  // namespace

CodecConfig CodecConfig::Paper(int64_t width, int64_t heads, int64_t context, CodecMode mode) {
  CodecConfig config;
  config.mode = mode;
  config.width = width;
  config.heads = heads;
  config.context = context;
  for (int i = 1; i <= 3; ++i) config.widths.push_back(NearestMultiple(std::ldexp(width, -i), heads));
  config.hyper_channels = NearestMultiple(std::min(24.0, static_cast<double>(width) / 16), heads);
  if (mode == CodecMode::kJoint) {
    config.transform = TransformKind::kNone;
    config.gain = false;
  } else {
    // A joint model rescales itself until the networks' raw outputs fit; a frozen one cannot, so the networks work in
    // units of each channel's own scale.
    config.sigma = SigmaKind::kLog;
    config.channel_prior = true;
  }
  return config;
}

nlohmann::json CodecConfig::ToJson() const {
  return {{"preset", preset},
          {"mode", NameOf(kModes, mode)},
          {"width", width},
          {"heads", heads},
          {"context", context},
          {"widths", widths},
          {"hyper_channels", hyper_channels},
          {"transform", NameOf(kTransforms, transform)},
          {"gain", gain},
          {"residual", residual},
          {"centroid", centroid},
          {"mean_steps", mean_steps},
          {"last_mlp", last_mlp},
          {"last_mlp_ratio", last_mlp_ratio},
          {"attention", attention},
          {"causal", causal},
          {"window", window},
          {"classes", classes},
          {"density", NameOf(kDensities, density)},
          {"prior", NameOf(kPriors, prior)},
          {"sigma", NameOf(kSigmas, sigma)},
          {"channel_prior", channel_prior},
          {"sigma_floor", sigma_floor},
          {"stream_per_token", stream_per_token},
          {"precision_bits", precision_bits}};
}

Result<CodecConfig> CodecConfig::FromJson(const Json& object) {
  if (!object.is_object()) return WrongValue("(all of it)", object, "an object");
  CodecConfig config;
  for (const auto& [field, value] : object.items()) SLUICE_RETURN_IF_ERROR(ReadField(field, value, config));
  SLUICE_RETURN_IF_ERROR(config.Validate());
  return config;
}

Status CodecConfig::Set(const std::string& assignment) {
  const size_t equals = assignment.find('=');
  const std::string field = assignment.substr(0, equals);
  static constexpr const char* kSwitches[] = {
      "widths",   "hyper_channels", "transform",     "gain",        "residual",         "centroid",      "mean_steps",
      "last_mlp", "last_mlp_ratio", "attention",     "causal",      "window",           "classes",       "density",
      "prior",    "sigma",          "channel_prior", "sigma_floor", "stream_per_token", "precision_bits"};
  const bool known = std::any_of(std::begin(kSwitches), std::end(kSwitches), [&](const char* s) { return field == s; });
  if (equals == std::string::npos || !known) {
    return InvalidArgument(fmt::format("switch '{}': expected name=value with one of the names {}", assignment,
                                       fmt::join(kSwitches, ", ")));
  }
  const std::string text = assignment.substr(equals + 1);
  Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) value = text;  // a bare word: log, learned ...
  return ReadField(field, value, *this);
}

Status CodecConfig::Validate() const {
  const auto fail = [](const std::string& what) { return InvalidArgument("codec configuration: " + what); };
  if (width < 1 || width > kWidest) return fail(fmt::format("width {} is outside 1..{}", width, kWidest));
  if (heads < 1 || heads > width) return fail(fmt::format("heads {} is outside 1..width", heads));
  if (context < 1) return fail("context must be at least 1");
  if (hyper_channels < 1 || hyper_channels > kWidest || hyper_channels % heads != 0) {
    return fail(fmt::format("hyper_channels {} is not a positive multiple of heads {} up to {}", hyper_channels, heads,
                            kWidest));
  }
  if (widths.empty()) return fail("widths is empty");
  for (int64_t w : widths) {
    if (w < 1 || w > kWidest || w % heads != 0) {
      return fail(fmt::format("widths: {} is not a positive multiple of heads {} up to {}", w, heads, kWidest));
    }
  }
  if (width % heads != 0) return fail(fmt::format("heads {} does not divide width {}", heads, width));
  if (mean_steps != 1 && mean_steps != 8 && mean_steps != 16) return fail("mean_steps must be 1, 8 or 16");
  if (last_mlp_ratio < 1 || last_mlp_ratio > 4) return fail("last_mlp_ratio must be 1 to 4");
  if (precision_bits < 10 || precision_bits > 16) return fail("precision_bits must be 10 to 16");
  if (!(sigma_floor >= 0.01 && sigma_floor <= 1)) return fail("sigma_floor must be 0.01 to 1");
  if (prior == PriorKind::kDirect &&
      (residual || stream_per_token || !attention || !causal || window > 0 || classes > 0)) {
    return fail(
        "direct access goes token by token: residual, stream_per_token, attention, causal, window and classes stay "
        "as they are");
  }
  if (classes != 0 && (classes < 2 || classes > int64_t{1} << (precision_bits - 1))) {
    return fail(fmt::format("classes {} is neither 0 nor 2 to {}, half of 2^precision_bits", classes,
                            int64_t{1} << (precision_bits - 1)));
  }
  if (!causal && window > 0) return fail("a window belongs to causal attention");
  if (mode == CodecMode::kJoint && (gain || transform != TransformKind::kNone)) {
    return fail("joint mode has step 1: gain and transform belong to frozen mode");
  }
  return OkStatus();
}

Result<CodecConfig> MakePreset(const std::string& name, int64_t width, int64_t heads, int64_t context, CodecMode mode) {
  CodecConfig config = CodecConfig::Paper(width, heads, context, mode);
  config.preset = name;
  if (name == "fourier") {
    config.density = DensityKind::kFourierSafe;
  } else if (name == "direct") {
    config.prior = PriorKind::kDirect;
  } else if (name == "paper+") {
    config.residual = true;
    config.centroid = true;
    config.window = 32;
    config.last_mlp = false;
    config.classes = 2048;
    if (mode == CodecMode::kFrozen) config.transform = TransformKind::kLearned;
  } else if (name != "paper") {
    return InvalidArgument(fmt::format("preset '{}': expected one of: paper, paper+, fourier, direct", name));
  }
  return config;
}

}  // namespace sluice
