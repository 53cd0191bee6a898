#include "neural/context_config.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "prob/id_tables.h"

namespace sluice {
namespace {

using Json = nlohmann::json;

constexpr const char* kIdNames[] = {"none", "tokens", "classes"};  // in the order of ContextIds

// The integer fields with their names and ranges: what is written, read and checked is one list.
struct IntegerField {
  const char* name;
  int64_t ContextConfig::*value;
  int64_t low, high;
};
constexpr IntegerField kIntegers[] = {
    {"width", &ContextConfig::width, 1, 8192},       {"context", &ContextConfig::context, 2, 1 << 20},
    {"hidden", &ContextConfig::hidden, 5, 1024},     {"groups", &ContextConfig::groups, 1, 64},
    {"block", &ContextConfig::block, 0, 8192},       {"id_count", &ContextConfig::id_count, 0, 1 << 18},
    {"pair_bits", &ContextConfig::pair_bits, 0, 20}, {"class_width", &ContextConfig::class_width, 1, 8192},
    {"points", &ContextConfig::points, 1, 16},       {"scale_hidden", &ContextConfig::scale_hidden, 0, 1024},
    {"direct", &ContextConfig::direct, 0, 2},        {"class_groups", &ContextConfig::class_groups, 0, 256},
};

struct BoolField {
  const char* name;
  bool ContextConfig::*value;
};
constexpr BoolField kBools[] = {{"learn_axes", &ContextConfig::learn_axes}, {"latents", &ContextConfig::latents}};

Status Wrong(const std::string& field, const std::string& expected, const std::string& got) {
  return InvalidArgument(fmt::format("codec configuration: {}: expected {}, got {}", field, expected, got));
}

Status ReadField(const std::string& field, const Json& value, ContextConfig& config) {
  for (const IntegerField& known : kIntegers) {
    if (field != known.name) continue;
    if (!value.is_number_integer()) return Wrong(field, "an integer", value.dump());
    config.*known.value = value.get<int64_t>();
    return OkStatus();
  }
  if (field == "ids") {
    for (int i = 0; i < 3; ++i) {
      if (value == kIdNames[i]) {
        config.ids = static_cast<ContextIds>(i);
        return OkStatus();
      }
    }
    return Wrong(field, "none|tokens|classes", value.dump());
  }
  for (const BoolField& known : kBools) {
    if (field != known.name) continue;
    if (!value.is_boolean()) return Wrong(field, "true|false", value.dump());
    config.*known.value = value.get<bool>();
    return OkStatus();
  }
  if (field == "precision_bits") {
    if (!value.is_number_integer() || value < 10 || value > 16) return Wrong(field, "10 to 16", value.dump());
    config.precision_bits = value.get<int>();
    return OkStatus();
  }
  if (field == "preset") {
    if (!value.is_string()) return Wrong(field, "a name", value.dump());
    config.preset = value.get<std::string>();
    return OkStatus();
  }
  return Unsupported(fmt::format("codec configuration: unknown field '{}'", field));
}

}  // namespace

Json ContextConfig::ToJson() const {
  Json object = {{"preset", preset}, {"ids", kIdNames[static_cast<int>(ids)]}, {"precision_bits", precision_bits}};
  for (const IntegerField& field : kIntegers) object[field.name] = this->*field.value;
  for (const BoolField& field : kBools) object[field.name] = this->*field.value;
  return object;
}

Result<ContextConfig> ContextConfig::FromJson(const Json& object) {
  if (!object.is_object()) return Wrong("(all of it)", "an object", object.dump());
  ContextConfig config;
  for (const auto& [field, value] : object.items()) SLUICE_RETURN_IF_ERROR(ReadField(field, value, config));
  SLUICE_RETURN_IF_ERROR(config.Validate());
  return config;
}

Status ContextConfig::Set(const std::string& assignment) {
  const size_t equals = assignment.find('=');
  const std::string field = assignment.substr(0, equals);
  if (equals == std::string::npos || field == "preset" || field == "width") {
    return InvalidArgument(fmt::format(
        "switch '{}': expected name=value with one of the names context, hidden, groups, block, ids, id_count, "
        "pair_bits, class_groups, class_width, points, latents, scale_hidden, direct, learn_axes, precision_bits",
        assignment));
  }
  Json value = Json::parse(assignment.substr(equals + 1), nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) value = assignment.substr(equals + 1);
  return ReadField(field, value, *this);
}

Status ContextConfig::Validate() const {
  for (const IntegerField& field : kIntegers) {
    const int64_t value = this->*field.value;
    if (value >= field.low && value <= field.high) continue;
    return Wrong(field.name, fmt::format("{} to {}", field.low, field.high), std::to_string(value));
  }
  if (!latents && groups > 1) return Wrong("groups", "1 where the network sees no latents", std::to_string(groups));
  if (groups > width) return Wrong("groups", "at most width", std::to_string(groups));
  if (block > 0 && width % block != 0) return Wrong("block", "a divisor of width", std::to_string(block));
  if ((ids == ContextIds::kNone) != (id_count == 0)) {
    return Wrong("id_count", "0 without ids, and more with them", std::to_string(id_count));
  }
  if (ids == ContextIds::kNone && direct > 0) return Wrong("direct", "0 without ids", std::to_string(direct));
  if (ids == ContextIds::kNone && pair_bits > 0) return Wrong("pair_bits", "0 without ids", std::to_string(pair_bits));
  if (class_groups == 1 || (class_groups > 0 && (ids != ContextIds::kClasses || id_count < 2 * class_groups))) {
    return Wrong("class_groups", "0, or groups of at least two classes", std::to_string(class_groups));
  }
  // Every class keeps a frequency of at least 1 in tables of 2^precision_bits.
  if (ids == ContextIds::kClasses && class_groups == 0 &&
      (id_count < 2 || id_count > int64_t{1} << (precision_bits - 1))) {
    return Wrong("id_count", "2 to half of the tables' total", std::to_string(id_count));
  }
  if (class_width > width) return Wrong("class_width", "at most width", std::to_string(class_width));
  return OkStatus();
}

Result<ContextConfig> MakeContextPreset(const std::string& name, int64_t width, int64_t context) {
  if (!IsContextPreset(name)) return InvalidArgument(fmt::format("preset '{}': expected sluice or fast", name));
  ContextConfig config;
  config.preset = name;
  config.width = width;
  config.context = context;
  config.hidden = 96;
  config.scale_hidden = 16;
  config.id_count = 4096;
  config.class_groups = 64;
  config.pair_bits = 15;
  if (name == "fast") {
    config.hidden = 48;
    config.latents = false;
    config.groups = 1;
    config.class_width = 32;
  }
  config.class_width = std::min(width, config.class_width);
  config.groups = std::min(width, config.groups);
  config.direct = MostDirect(config);
  constexpr int64_t kWidestBlock = 128;
  if (width > kWidestBlock && width % kWidestBlock == 0) config.block = kWidestBlock;
  return config;
}

int64_t MostDirect(const ContextConfig& config) {
  constexpr int64_t kMostBytes = 32 << 20;
  return std::min<int64_t>(2, kMostBytes / (2 * config.width * (config.id_count + 1)));
}

bool IsContextPreset(const std::string& name) { return name == "sluice" || name == "fast"; }

double ContextMultiplyAdds(const ContextConfig& config) {
  const auto d = static_cast<double>(config.width), m = static_cast<double>(config.hidden);
  const double transform = d * static_cast<double>(config.block > 0 ? config.block : config.width);
  const double network = d * ((config.latents ? 2 * m : m) + static_cast<double>(config.ScaleUnits())) + 2 * m * m;
  const auto r = static_cast<double>(config.class_width), classes = static_cast<double>(config.id_count);
  const auto class_groups = static_cast<double>(config.class_groups);
  constexpr auto kTried = static_cast<double>(kClassGroupsTried);
  const double compared =
      config.class_groups > 0 ? class_groups + classes * std::min(1.0, kTried / class_groups) : classes;
  const double search = config.ids == ContextIds::kClasses ? r * (d + compared) : 0;
  return 2 * (transform + network) + search;
}

}  // namespace sluice
